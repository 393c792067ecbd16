import ArgumentParser
import Glibc
import JSON
import SignalKit

struct TryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "try", abstract: "Show what an adapter makes of a payload, without touching anything.",
        discussion: """
            Prints every signal and what each in-process policy says of it. The adapter and the policies are those of \
            the configuration; without one, the adapter has its defaults and no policy is asked. The gate is not: \
            whether a signal is new only a running host knows.
            """)

    @Argument(help: "The adapter's id: alertmanager, prometheus, …")
    var adapter: String

    @Argument(help: ArgumentHelp("A file that holds a request's body; - is the standard input.", valueName: "file"))
    var body: String

    @Option(help: "The route whose adapter to take, when several have the same.")
    var path: String?

    @Option(help: ArgumentHelp("The Content-Type to read it with.", valueName: "type"))
    var contentType = "application/json"

    @OptionGroup var config: ConfigurationOption
    @OptionGroup var form: OutputOption

    func run() async throws {
        let console = CommandContext.current.console
        let bench = try bench()
        let bytes: [UInt8]
        do {
            bytes = try InputFile.bytes(body, limit: bench.limit)
        } catch {
            throw CommandFailure("\(body): \(error.message)")
        }
        let now = Timestamp.now
        let decoded: Decoded
        do {
            decoded = try bench.adapter.decode(InboundRequest(body: bytes, contentType: contentType, receivedAt: now))
        } catch {
            let place = [error.path, error.offset.map { "byte \($0)" }].compactMap(\.self).joined(separator: ", ")
            throw CommandFailure(
                "\(body): \(adapter) can't read it: \(error.message)\(place.isEmpty ? "" : " (\(place))")")
        }
        var trials: [Trial] = []
        for signal in decoded.signals {
            trials.append(
                await Trial(signal, bench.policies, PolicyContext(adapter: bench.id, receivedAt: now)))
        }
        let report = TryReport(adapter: bench.words, trials: trials, decoded: decoded)
        if form.isJSON {
            console.out(json: String(decoding: try report.document.text(pretty: true), as: UTF8.self))
        } else {
            for line in report.lines { console.out(line) }
        }
    }

    private struct Bench {
        let id: PluginID
        let adapter: any SignalAdapter
        let policies: [HostConfiguration.InProcessPolicy]
        let limit: Int
        /// Where it comes from.
        let words: String
    }

    private func bench() throws(CommandFailure) -> Bench {
        let known = CommandContext.current.plugins.adapters
        guard let type = known.first(where: { $0.id.description == adapter }) else {
            let names = known.map { $0.id.description }
            let hint = nearest(adapter, among: names).map { "; did you mean \($0)?" } ?? ""
            throw CommandFailure(
                "there is no adapter \(adapter)\(hint) known here: \(names.joined(separator: ", "))",
                code: CommandFailure.usage)
        }
        // Without a file named, the usual one counts when there is one.
        var policies: [HostConfiguration.InProcessPolicy] = []
        var limit = HostConfiguration.Limits().body
        if config.given != nil || path != nil || access(config.file, F_OK) == 0 {
            let read = try config.load()
            let routes = read.routes.filter { $0.adapter == type.id && (path == nil || $0.path == path) }
            if let route = routes.first {
                return Bench(
                    id: type.id, adapter: route.plugin, policies: read.policies, limit: read.server.limits.body,
                    words: "\(adapter) at \(route.path)")
            }
            if let path {
                throw CommandFailure("\(config.file) has no \(adapter) at \(path)", code: CommandFailure.usage)
            }
            policies = read.policies
            limit = read.server.limits.body
        }
        var keys = ConfigReader(ConfigNode(.null, mark: ConfigMark(line: 1, column: 1)), path: adapter)
        do {
            return Bench(
                id: type.id, adapter: try type.init(&keys, .silent), policies: policies, limit: limit,
                words: "\(adapter) with its defaults")
        } catch {
            throw CommandFailure(
                "\(adapter) has keys without a default, so it needs a configuration: \(error.message)",
                code: CommandFailure.usage)
        }
    }
}
