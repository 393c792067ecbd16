public import SignalKit

/// Queues what the policies before it let pass for every sink. Always the last of the chain.
public struct Persist: GatePolicy {
    public static let id: PluginID = "persist"
    public static let step = GateStep(
        service: "persistence", commands: [],
        source: String(decoding: PackageResources.persist_lua, as: UTF8.self))
    public static let argumentCount = 0

    /// What the store must be able to survive, and how that is known.
    public enum Durability: Sendable, Equatable {
        /// AOF with an fsync before every reply, verified on every connection and every 10 s.
        case fsync
        /// Every write is on so many replicas before it is answered (`WAIT`).
        case replicas(Int)
        /// The operator's word, with the reason: warned about at every start.
        case unverified(reason: String)
    }

    public let durability: Durability
    /// Episodes and storms that one sink may be behind.
    public let backlog: Int
    /// Dead letters of one origin.
    public let deadLetters: Int
    /// Bytes of all dead letters of one origin.
    public let deadLetterBytes: Int
    /// Bytes of what was answered in the last 30 s, kept for a store that comes back without it; 0 keeps nothing.
    public let replay: Int

    public init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        let mark = config.mark
        let path = config.path
        let node = config.node(
            "durability", kind: "choice", fallback: nil,
            bounds: "fsync, {replicas: N}, or {unverified: \"<why it is durable>\"}")
        backlog = try config.integer("backlog", default: 100_000, in: 1...10_000_000)
        deadLetters = try config.integer("dead_letters", default: 10_000, in: 1...1_000_000)
        deadLetterBytes = try config.bytes("dead_letter_bytes", default: 64 << 20, in: 1 << 20...64 << 30)
        replay = try config.bytes("replay", default: 16 << 20, in: 0...4 << 30)
        if let node {
            durability = try Self.durability(node, path: "\(path).durability")
        } else if config.isDescribing {
            durability = .fsync
        } else {
            throw ConfigError(
                path: "\(path).durability", mark: mark,
                "durability is required: fsync, {replicas: N}, or {unverified: \"<why the store is durable>\"}")
        }
    }

    private static func durability(_ node: ConfigNode, path: String) throws(ConfigError) -> Durability {
        switch node.content {
        case .scalar("fsync", _): return .fsync
        case .map(let entries) where entries.count == 1 && entries[0].key == "unverified":
            guard case .scalar(let reason, _) = entries[0].value.content, !reason.isEmpty, reason.utf8.count <= 200
            else {
                throw ConfigError(
                    path: "\(path).unverified", mark: entries[0].value.mark,
                    "say why the store is durable, in 1 to 200 bytes: {unverified: \"managed service, AOF is on\"}")
            }
            return .unverified(reason: reason)
        case .map(let entries) where entries.count == 1 && entries[0].key == "replicas":
            guard case .scalar(let text, true) = entries[0].value.content, let count = Int(text),
                (1...16).contains(count)
            else {
                throw ConfigError(
                    path: "\(path).replicas", mark: entries[0].value.mark, "expected a number of replicas, 1 to 16")
            }
            return .replicas(count)
        default:
            throw ConfigError(
                path: path, mark: node.mark,
                "expected fsync, {replicas: N}, or {unverified: \"<why the store is durable>\"}")
        }
    }

    public var settings: [GateSetting] { [] }

    public func arguments(for signal: Signal) -> [GateArgument] { [] }
}
