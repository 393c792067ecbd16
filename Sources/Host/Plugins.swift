import Adapters
import Policies
public import SignalKit
import Sinks

/// What a build can use. A value: nothing is registered by importing a module.
public struct Plugins: Sendable {
    public var adapters: [any SignalAdapter.Type]
    public var sources: [any SignalSource.Type]
    public var policies: [any Policy.Type]
    public var gatePolicies: [any GatePolicy.Type]
    public var sinks: [any Sink.Type]

    public init(
        adapters: [any SignalAdapter.Type] = [], sources: [any SignalSource.Type] = [],
        policies: [any Policy.Type] = [], gatePolicies: [any GatePolicy.Type] = [], sinks: [any Sink.Type] = []
    ) {
        self.adapters = adapters
        self.sources = sources
        self.policies = policies
        self.gatePolicies = gatePolicies
        self.sinks = sinks
    }

    /// Both. Two of one kind and id are an error of the configuration, not a choice between them.
    public static func + (left: Plugins, right: Plugins) -> Plugins {
        Plugins(
            adapters: left.adapters + right.adapters, sources: left.sources + right.sources,
            policies: left.policies + right.policies, gatePolicies: left.gatePolicies + right.gatePolicies,
            sinks: left.sinks + right.sinks)
    }

    /// Everything that comes with Portcullis.
    public static var standard: Plugins {
        Plugins(
            adapters: [AlertmanagerAdapter.self, PrometheusAdapter.self, KubernetesEventsAdapter.self],
            sources: [KubernetesEventsWatch.self],
            policies: [Filter.self],
            gatePolicies: [Deduplicate.self, StormPolicy.self, Persist.self],
            sinks: [JSONLines.self, KubernetesObjects.self])
    }
}

extension Plugins {
    /// What a plugin is, for people.
    enum Kind: String, CaseIterable {
        case adapter, source, policy, gatePolicy = "gate policy", sink

        /// Policies of both kinds stand in one list of the file, so they share their names.
        var family: String { self == .gatePolicy ? Kind.policy.rawValue : rawValue }
    }

    /// All of them, kind after kind, each in the order it was given in.
    var all: [(kind: Kind, type: any Plugin.Type)] {
        adapters.map { (.adapter, $0 as any Plugin.Type) } + sources.map { (.source, $0) }
            + policies.map { (.policy, $0) } + gatePolicies.map { (.gatePolicy, $0) } + sinks.map { (.sink, $0) }
    }

    /// Names that two plugins of one kind share.
    var clashes: [ConfigError] {
        var seen: Set<String> = []
        var told: Set<String> = []
        return all.compactMap { kind, type in
            let name = "\(kind.family) \(type.id)"
            guard !seen.insert(name).inserted, told.insert(name).inserted else { return nil }
            return ConfigError(path: "", mark: nil, "this build has two plugins of one name: \(name)")
        }
    }
}
