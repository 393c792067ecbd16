import ArgumentParser
import JSON
import SignalKit

struct TryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "try",
        abstract: "Shows what an adapter makes of a payload, and what each policy in the host says.",
        discussion: """
            Touches nothing: no store, no sink, no network. The adapter's keys and the policies come from the configuration; \
            without --config the adapter has its defaults, and no policy is asked.

            portcullis try alertmanager payload.json --config portcullis.yaml
            """)

    @Argument(help: "The adapter's id.") var adapter: String
    @Argument(help: "A file with the payload, or - for standard input.") var file: String
    @Option(name: .long, help: ArgumentHelp("The configuration file.", valueName: "file")) var config: String?
    @Option(name: .long, help: ArgumentHelp("The route, when the adapter has several.", valueName: "path")) var path:
        String?
    @OptionGroup var format: OutputOption

    func run() async throws {
        let body = try InputFile.bytes(file, most: 64 << 20)
        let (plugin, policies) = try plugin()
        let decoded: Decoded
        do throws(AdapterError) {
            decoded = try plugin.decode(
                InboundRequest(body: body, contentType: "application/json", receivedAt: JSONLogHandler.now))
        } catch {
            let place = [error.path.map { "at \($0)" }, error.offset.map { "at byte \($0)" }].compactMap(\.self)
            throw Failure.failed("\(adapter) can't read \(file): " + ([error.message] + place).joined(separator: " "))
        }
        let chain = PolicyChain(policies: policies)
        let context = PolicyContext(adapter: PluginID(adapter) ?? "unknown", receivedAt: JSONLogHandler.now)
        var results: [(Signal, String)] = []
        for signal in decoded.signals {
            switch await chain.decide(signal, context) {
            case .pass(let passed): results.append((passed, "pass: on to the gate"))
            case .filtered(let policy, let reason): results.append((signal, "filtered by \(policy): \(reason)"))
            case .unavailable(let policy, let message): results.append((signal, "unavailable: \(policy): \(message)"))
            }
        }
        format.output == .json ? printJSON(results, decoded) : printText(results, decoded)
    }

    private func plugin() throws -> (any SignalAdapter, [HostConfiguration.InProcessPolicy]) {
        let plugins = PortcullisHost.plugins
        guard let type = plugins.adapters.first(where: { $0.id.description == adapter }) else {
            let known = plugins.adapters.map { $0.id.description }
            let hint =
                nearest(adapter, among: known).map { "did you mean \($0)?" }
                ?? "this build has \(known.joined(separator: ", "))"
            throw Failure.usage("no adapter is called \(adapter); \(hint)")
        }
        guard let config else {
            var reader = ConfigReader(ConfigNode(.null, mark: ConfigMark(line: 1, column: 1)), path: adapter)
            do {
                return (try type.init(&reader, .silent), [])
            } catch {
                throw Failure.usage("\(adapter) needs keys of its own (\(error.message)): name a file with --config")
            }
        }
        var options = ConfigOption()
        options.config = config
        let configuration = try options.configuration()
        guard
            let route = configuration.routes.first(where: {
                $0.adapter.description == adapter && (path == nil || $0.path == path)
            })
        else { throw Failure.usage("\(config) has no such route of \(adapter)") }
        return (route.plugin, configuration.policies)
    }

    private func printText(_ results: [(Signal, String)], _ decoded: Decoded) {
        for (signal, said) in results {
            Output.line("\(signal.name)  \(signal.status.rawValue)")
            Output.line("    fingerprint  \(Fingerprint(signal.identity))")
            if let severity = signal.severity { Output.line("    severity     \(severity)") }
            if let target = signal.target {
                Output.line("    target       \(target.kind) \(target.namespace.map { "\($0)/" } ?? "")\(target.name)")
            }
            if let time = signal.startsAt { Output.line("    starts       \(time)") }
            if let time = signal.endsAt { Output.line("    ends         \(time)") }
            let labels = signal.labels.entries.map { "\($0.name)=\"\($0.value)\"" }.joined(separator: ", ")
            Output.line("    labels       \(labels)")
            Output.line("    policies     \(said)")
        }
        for item in decoded.rejected { Output.line("item \(item.index) would be a dead letter: \(item.reason)") }
        if decoded.truncated > 0 { Output.line("the sender says that it left out \(decoded.truncated)") }
        if results.isEmpty && decoded.rejected.isEmpty { Output.line("nothing in it") }
    }

    private func printJSON(_ results: [(Signal, String)], _ decoded: Decoded) {
        var out = JSONWriter()
        out.beginObject()
        out.key("signals")
        out.beginArray()
        for (signal, said) in results {
            out.beginObject()
            out.member("fingerprint", Fingerprint(signal.identity).description)
            out.key("signal")
            out.raw(SignalDocument.encode(signal))
            out.member("policies", said)
            out.endObject()
        }
        out.endArray()
        out.key("dead_letters")
        out.beginArray()
        for item in decoded.rejected {
            out.beginObject()
            out.member("index", item.index)
            out.member("reason", item.reason)
            out.endObject()
        }
        out.endArray()
        out.member("truncated", decoded.truncated)
        out.endObject()
        Output.line(String(decoding: out.bytes, as: UTF8.self))
    }
}
