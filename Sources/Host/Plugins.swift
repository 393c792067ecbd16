import Adapters
import Policies
public import SignalKit
import Sinks

/// The plugins that a build has: a value, not a registry. Two of one kind and name stop the host.
public struct Plugins: Sendable {
    public var adapters: [any SignalAdapter.Type]
    public var sources: [any SignalSource.Type]
    public var policies: [any Policy.Type]
    public var gatePolicies: [any GatePolicy.Type]
    public var sinks: [any Sink.Type]

    public init(
        adapters: [any SignalAdapter.Type] = [], sources: [any SignalSource.Type] = [],
        policies: [any Policy.Type] = [],
        gatePolicies: [any GatePolicy.Type] = [], sinks: [any Sink.Type] = []
    ) {
        self.adapters = adapters
        self.sources = sources
        self.policies = policies
        self.gatePolicies = gatePolicies
        self.sinks = sinks
    }

    /// Those that come with Portcullis.
    public static var standard: Plugins {
        Plugins(
            adapters: [AlertmanagerAdapter.self, PrometheusAdapter.self],
            policies: [Filter.self],
            gatePolicies: [Deduplicate.self, StormPolicy.self, Persist.self],
            sinks: [JSONLines.self])
    }

    public static func + (left: Plugins, right: Plugins) -> Plugins {
        Plugins(
            adapters: left.adapters + right.adapters, sources: left.sources + right.sources,
            policies: left.policies + right.policies, gatePolicies: left.gatePolicies + right.gatePolicies,
            sinks: left.sinks + right.sinks)
    }

    /// One plugin as `portcullis plugins` and the documentation show it.
    struct Declaration: Sendable {
        /// adapter, source, policy, sink
        let kind: String
        let id: PluginID
        /// Of policies.
        let failure: String?
        let keys: [ConfigKey]
    }

    var declarations: [Declaration] {
        func keys(_ type: any Plugin.Type) -> [ConfigKey] {
            var reader = ConfigReader.describing()
            _ = try? type.init(&reader, .silent)
            return reader.keys
        }
        return adapters.map { Declaration(kind: "adapter", id: $0.id, failure: nil, keys: keys($0)) }
            + sources.map { Declaration(kind: "source", id: $0.id, failure: nil, keys: keys($0)) }
            + policies.map { type in
                let failure =
                    switch type.failureMode {
                    case .closed: "closed: an error refuses the signal"
                    case .open(let because): "open: \(because)"
                    }
                return Declaration(kind: "policy", id: type.id, failure: failure, keys: keys(type))
            }
            + gatePolicies.map {
                Declaration(kind: "gate policy", id: $0.id, failure: "closed by construction", keys: keys($0))
            }
            + sinks.map { Declaration(kind: "sink", id: $0.id, failure: nil, keys: keys($0)) }
    }

    /// Names that two plugins of one kind share. Policies and gate policies are one kind: the file lists them together.
    var duplicates: [String] {
        func twice(_ kind: String, _ ids: [PluginID]) -> [String] {
            Dictionary(grouping: ids) { $0 }.filter { $0.value.count > 1 }.map { "\(kind) \($0.key)" }
        }
        return
            (twice("adapter", adapters.map { $0.id }) + twice("source", sources.map { $0.id })
            + twice("policy", policies.map { $0.id } + gatePolicies.map { $0.id }) + twice("sink", sinks.map { $0.id }))
            .sorted()
    }
}
