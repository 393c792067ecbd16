import Adapters
import SignalKit
import Testing

@testable import Host

/// Plugins that read keys and do nothing, under the names that the host knows the order of.
extension Plugins {
    static let standIns = Plugins(
        adapters: [AlertmanagerAdapter.self, PrometheusAdapter.self],
        policies: [FilterStandIn.self, EnrichStandIn.self],
        gatePolicies: [DeduplicateStandIn.self, StormStandIn.self, PersistStandIn.self], sinks: [FileStandIn.self])
}

/// Filters what is called as `drop` says.
struct FilterStandIn: Policy {
    static let id: PluginID = "filter"
    static let failureMode = FailureMode.closed
    private let drop: [String]

    init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        drop = try config.texts("drop", default: [])
    }

    func evaluate(_ signal: Signal, _ context: PolicyContext) -> PolicyDecision {
        drop.contains(signal.name) ? .filter(reason: "drop") : .pass
    }
}

struct EnrichStandIn: Policy {
    static let id: PluginID = "enrich"
    static let failureMode = FailureMode.open(because: "it only adds a label")

    init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        if try config.boolean("loudly", default: false) { services.log(.warning, "loud") }
    }

    func evaluate(_ signal: Signal, _ context: PolicyContext) throws(PolicyError) -> PolicyDecision {
        do {
            return .replace(try signal.labelled("team", "shop"))
        } catch {
            throw PolicyError(.bug, error.message)
        }
    }
}

struct DeduplicateStandIn: GatePolicy {
    static let id: PluginID = "deduplicate"
    static let step = GateStep(service: "deduplication", commands: [], source: "")
    static let argumentCount = 0
    let settings: [GateSetting] = []

    init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        _ = try config.duration("retention", default: .hours(26), in: .minutes(1)...(.hours(720)))
    }

    func arguments(for signal: Signal) -> [GateArgument] { [] }
}

struct StormStandIn: GatePolicy {
    static let id: PluginID = "storm"
    static let step = GateStep(service: "storm detection", commands: [], source: "")
    static let argumentCount = 0
    let settings: [GateSetting] = []

    init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        _ = try config.section("rate") { rate throws(ConfigError) in
            try rate.integer("count", default: 10, in: 1...1_000)
        }
    }

    func arguments(for signal: Signal) -> [GateArgument] { [] }
}

struct PersistStandIn: GatePolicy {
    static let id: PluginID = "persist"
    static let step = GateStep(service: "persistence", commands: [], source: "")
    static let argumentCount = 0
    let settings: [GateSetting] = []

    init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        if config.node("durability", kind: "node", fallback: nil, bounds: "fsync") == nil, !config.isDescribing {
            throw ConfigError(path: "\(config.path).durability", mark: config.mark, "durability is required")
        }
        _ = try config.integer("backlog", default: 100_000, in: 1...1_000_000)
    }

    func arguments(for signal: Signal) -> [GateArgument] { [] }
}

struct FileStandIn: Sink {
    static let id: PluginID = "jsonl"

    init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) { _ = try config.text("path") }

    func deliver(_ delivery: Delivery, _ context: DeliveryContext) {}
}

/// A file that is fine, to be changed in one place.
let fineFile = """
    server:
      listen: 127.0.0.1:8080
      admin: 127.0.0.1:9090
    state:
      redis: {embedded: {directory: ./var}}
    adapters:
      - {use: alertmanager, path: /hook, authenticate: none}
    policies:
      - {use: deduplicate}
      - {use: persist, durability: fsync}
    sinks:
      - {use: jsonl, name: file, path: ./out, when_full: refuse}

    """

func read(_ text: String, _ plugins: Plugins = .standIns) -> Result<HostConfiguration, ConfigFailure> {
    HostConfiguration.read(text, file: "f", plugins: plugins)
}

/// The lines that `check` prints; none when the text is fine.
func complaints(_ text: String, _ plugins: Plugins = .standIns) -> [String] {
    switch read(text, plugins) {
    case .success: []
    case .failure(let failure): failure.lines
    }
}

struct NotRead: Error { let lines: [String] }

func fine(_ text: String, _ plugins: Plugins = .standIns) throws -> HostConfiguration {
    switch read(text, plugins) {
    case .success(let configuration): return configuration
    case .failure(let failure): throw NotRead(lines: failure.lines)
    }
}

/// One change of the fine file, and every complaint that it must bring.
struct Change: Sendable, CustomTestStringConvertible {
    let old: String
    let new: String
    /// Another change of the same file.
    var second: (old: String, new: String)?
    let complaints: [String]
    init(_ old: String, _ new: String, _ complaints: String...) { self.init(old, new, complaints) }
    init(_ old: String, _ new: String, _ complaints: [String]) {
        (self.old, self.new, self.complaints) = (old, new, complaints)
    }
    var testDescription: String { second.map { "\(new), \($0.new)" } ?? new }
    var text: String {
        let text = fineFile.replacing(old, with: new)
        return second.map { text.replacing($0.old, with: $0.new) } ?? text
    }
}
