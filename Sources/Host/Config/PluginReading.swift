import SignalKit
import Synchronization

/// Builds the plugins that the lists of a file name.
struct PluginReading {
    let plugins: Plugins
    let services: Services
    let findings: Findings

    /// The id behind `use`, when this build has it.
    func use(_ config: inout ConfigReader, _ kind: Plugins.Kind, known: [PluginID]) -> PluginID? {
        guard let word = findings.attempt({ () throws(ConfigError) in try config.text("use", longest: 63) }) else {
            return nil
        }
        guard let id = known.first(where: { $0.description == word }) else {
            let names = known.map(\.description)
            let hint = nearest(word, among: names).map { "; did you mean \($0)?" } ?? ""
            let list = names.isEmpty ? "this build has none" : "known here: \(names.joined(separator: ", "))"
            config.report("use", "there is no \(kind.family) \(word)\(hint)\(hint.isEmpty ? "; " : " ")\(list)")
            return nil
        }
        return id
    }

    /// A plugin from its keys; nil when something about them is wrong. What it warns of while it reads becomes a
    /// warning of the file.
    func build<Built>(
        _ config: inout ConfigReader, _ type: any Plugin.Type,
        _ make: (inout ConfigReader, Services) throws(ConfigError) -> Built
    ) -> Built? {
        let heard = Heard()
        let listening = Services(
            log: { [services] level, text in
                if level != .warning || !heard.add(text) { services.log(level, text) }
            })
        var built: Built?
        do {
            built = try make(&config, listening)
        } catch {
            findings.add([error])
            // It stopped there: the keys that it would have asked for are not unknown.
            for key in Self.keys(of: type) {
                _ = config.node(key.path.split(separator: ".").first.map(String.init) ?? "")
            }
        }
        for text in heard.end() { findings.warn(config.path, config.mark, text) }
        config.finish()
        findings.add(config.errors)
        return config.errors.isEmpty ? built : nil
    }

    /// What a plugin declares.
    static func keys(of type: any Plugin.Type) -> [ConfigKey] {
        var describing = ConfigReader.describing()
        // A plugin may refuse a stand-in; what it asked for until then is declared.
        _ = try? type.init(&describing, .silent)
        return describing.keys
    }
}

/// Warnings of a plugin while it is built; what it says later, in its life, is for the log.
private final class Heard: Sendable {
    private let said = Mutex<[String]?>([])

    /// - Returns: false when the building is over.
    func add(_ text: String) -> Bool {
        said.withLock { said in
            said?.append(text)
            return said != nil
        }
    }

    func end() -> [String] {
        said.withLock { said in
            defer { said = nil }
            return said ?? []
        }
    }
}

extension PluginReading {
    func routes(_ nodes: [ConfigNode]) -> [HostConfiguration.Route] {
        var lines: [String: Int] = [:]
        var routes: [HostConfiguration.Route] = []
        for (index, node) in nodes.enumerated() {
            var config = ConfigReader(node, path: "adapters[\(index)]")
            guard case .map = node.content else {
                findings.add(config.errors.isEmpty ? [Self.noMapping(config)] : config.errors)
                continue
            }
            let id = use(&config, .adapter, known: plugins.adapters.map { $0.id })
            let head = RouteHead(&config, findings)
            if let path = head.path {
                if let line = lines[path] {
                    config.report("path", "\(path) is taken by the adapter of line \(line)")
                } else {
                    lines[path] = node.mark.line
                }
            }
            guard let type = plugins.adapters.first(where: { $0.id == id }) else {
                findings.add(config.errors)
                continue
            }
            let plugin = build(&config, type) { config, services throws(ConfigError) -> any SignalAdapter in
                try type.init(&config, services)
            }
            guard let plugin, let path = head.path, let authentication = head.authentication else { continue }
            routes.append(
                .init(
                    adapter: type.id, path: path, authentication: authentication, resolves: head.resolves,
                    plugin: plugin))
        }
        return routes
    }

    func policies(
        _ nodes: [ConfigNode], list: ConfigMark?
    ) -> (inProcess: [HostConfiguration.InProcessPolicy], gate: [any GatePolicy]) {
        var inProcess: [HostConfiguration.InProcessPolicy] = []
        var gate: [any GatePolicy] = []
        var places: [PolicyPlace] = []
        let known = plugins.policies.map { $0.id } + plugins.gatePolicies.map { $0.id }
        var allKnown = true
        for (index, node) in nodes.enumerated() {
            var config = ConfigReader(node, path: "policies[\(index)]")
            let id = use(&config, .policy, known: known)
            if let type = plugins.policies.first(where: { $0.id == id }) {
                places.append(PolicyPlace(id: type.id, inGate: false, index: index, mark: node.mark))
                let mode = Self.mode(&config, type)
                let plugin = build(&config, type) { config, services throws(ConfigError) -> any Policy in
                    try type.init(&config, services)
                }
                if let plugin { inProcess.append(.init(id: type.id, mode: mode, plugin: plugin)) }
            } else if let type = plugins.gatePolicies.first(where: { $0.id == id }) {
                places.append(PolicyPlace(id: type.id, inGate: true, index: index, mark: node.mark))
                config.refuse(
                    "on_error", "\(type.id) is in the gate and closed by construction: remove on_error")
                let plugin = build(&config, type) { config, services throws(ConfigError) -> any GatePolicy in
                    try type.init(&config, services)
                }
                // The build's fault and not the file's: found wherever the policy is first used.
                for fault in StepCommands.faults(of: type.step) {
                    findings.error("policies[\(index)]", node.mark, "\(type.id): \(fault)")
                }
                if let plugin { gate.append(plugin) }
            } else {
                allKnown = false
                findings.add(config.errors)
            }
        }
        // With a name misspelt, what seems to be missing may be there.
        guard !nodes.isEmpty else { return ([], []) }
        let order = PolicyOrder.errors(places, list: list)
        findings.add(allKnown ? order : order.filter { $0.path != "policies" })
        return (inProcess, gate)
    }

    /// The policy's own mode, which the file may tighten.
    static func mode(_ config: inout ConfigReader, _ type: any Policy.Type) -> FailureMode {
        let own = type.failureMode
        guard let node = config.node(onError, kind: "choice", fallback: "the policy's own", bounds: "closed") else {
            return own
        }
        switch node.content {
        case .scalar("closed", _): return .closed
        case .scalar("open", _):
            if own == .closed {
                config.report(onError, "\(type.id) is closed, which a file may tighten only: remove on_error")
            }
        default: config.report(onError, "expected closed")
        }
        return own
    }

    private static let onError = "on_error"

    func sinks(_ nodes: [ConfigNode]) -> [HostConfiguration.SinkEntry] {
        var lines: [PluginID: Int] = [:]
        var sinks: [HostConfiguration.SinkEntry] = []
        for (index, node) in nodes.enumerated() {
            var config = ConfigReader(node, path: "sinks[\(index)]")
            guard case .map = node.content else {
                findings.add(config.errors.isEmpty ? [Self.noMapping(config)] : config.errors)
                continue
            }
            let id = use(&config, .sink, known: plugins.sinks.map { $0.id })
            let head = SinkHead(&config, findings)
            if let name = head.name {
                if let line = lines[name] {
                    config.report(
                        "name", "\(name) is the sink of line \(line) already: a sink's queue goes by its name")
                } else {
                    lines[name] = node.mark.line
                }
            }
            guard let type = plugins.sinks.first(where: { $0.id == id }) else {
                findings.add(config.errors)
                continue
            }
            let plugin = build(&config, type) { config, services throws(ConfigError) -> any Sink in
                try type.init(&config, services)
            }
            guard let plugin, let name = head.name, let whenFull = head.whenFull else { continue }
            sinks.append(.init(name: name, use: type.id, whenFull: whenFull, plugin: plugin))
        }
        return sinks
    }

    static func noMapping(_ config: ConfigReader) -> ConfigError {
        ConfigError(path: config.path, mark: config.mark, "expected a mapping with use, found nothing")
    }
}

/// What every entry of `sinks` has, whatever the sink.
struct SinkHead {
    let name: PluginID?
    let whenFull: HostConfiguration.WhenFull?

    init(_ config: inout ConfigReader, _ findings: Findings) {
        let bounds = "1 to 63 of a-z, 0-9 and -, a letter first"
        name = config.shaped("name", kind: "text", bounds: bounds, required: true) { text throws(Misshapen) in
            guard let name = PluginID(text) else { throw Misshapen("expected \(bounds)") }
            return name
        }
        whenFull = findings.attempt { () throws(ConfigError) in
            try config.choice("when_full") as HostConfiguration.WhenFull
        }
    }
}
