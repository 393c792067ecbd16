import SignalKit

/// Every key that a file may hold: what `portcullis plugins` prints and what docs/configuration.md is held against.
struct ConfigurationReference {
    struct Group {
        /// `server`, `every adapter`, `policy filter`
        let title: String
        /// What an error of a policy means; nil for everything else.
        let failureMode: String?
        let keys: [ConfigKey]
    }

    /// The host's own keys, from the file's top; below a list, from its entries' top.
    static var host: [Group] {
        let findings = Findings()
        var top = ConfigReader.describing()
        _ = HostConfiguration.Sections(&top, findings)
        func below(_ section: String) -> [ConfigKey] { top.keys.filter { $0.path.hasPrefix(section + ".") } }

        var adapter = ConfigReader.describing()
        _ = try? adapter.text("use", longest: 63)
        _ = RouteHead(&adapter, findings)
        var source = ConfigReader.describing()
        _ = try? source.text("use", longest: 63)
        _ = SourceHead(&source)
        var policy = ConfigReader.describing()
        _ = try? policy.text("use", longest: 63)
        _ = PluginReading.mode(&policy, AnyPolicy.self)
        var sink = ConfigReader.describing()
        _ = try? sink.text("use", longest: 63)
        _ = SinkHead(&sink, findings)
        return [
            Group(title: "the top", failureMode: nil, keys: top.keys.filter { !$0.path.contains(".") }),
            Group(title: "server", failureMode: nil, keys: below("server")),
            Group(title: "state", failureMode: nil, keys: below("state")),
            Group(title: "every adapter", failureMode: nil, keys: adapter.keys),
            Group(title: "every source", failureMode: nil, keys: source.keys),
            Group(title: "every policy", failureMode: nil, keys: policy.keys),
            Group(title: "every sink", failureMode: nil, keys: sink.keys),
        ]
    }

    static func groups(of plugins: Plugins) -> [Group] {
        plugins.all.map { kind, type in
            Group(
                title: "\(kind.rawValue) \(type.id)", failureMode: failureMode(kind, type),
                keys: PluginReading.keys(of: type))
        }
    }

    private static func failureMode(_ kind: Plugins.Kind, _ type: any Plugin.Type) -> String? {
        if kind == .gatePolicy { return "closed by construction" }
        switch (type as? any Policy.Type)?.failureMode {
        case .closed?: return "closed"
        case .open(let because)?: return "open: \(because)"
        case nil: return nil
        }
    }

    /// Stands for any in-process policy, to declare what the host reads of each.
    private struct AnyPolicy: Policy {
        static let id: PluginID = "any"
        static let failureMode = FailureMode.closed
        init(_ config: inout ConfigReader, _ services: Services) {}
        func evaluate(_ signal: Signal, _ context: PolicyContext) -> PolicyDecision { .pass }
    }
}
