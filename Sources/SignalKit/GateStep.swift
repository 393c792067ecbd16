/// The Lua text of one gate policy. The file is a chunk that returns a function; docs/policies.md has its contract.
public struct GateStep: Sendable {
    /// The policy's name in a 503: "deduplication service unavailable".
    public let service: String
    /// Every Redis command that `source` runs itself. Those that `kit` runs for it are the host's own.
    public let commands: [Command]
    public let source: String

    /// - Parameters:
    ///   - commands: `["HGET", "HINCRBY"]`; empty for a step that has no `redis.call`. The host does not start with a step that
    ///     runs a command that is missing here.
    public init(service: String, commands: [Command], source: String) {
        (self.service, self.commands, self.source) = (service, commands, source)
    }

    /// A Redis command that a step runs, and a harmless call of it.
    ///
    /// The host makes that call whenever it verifies a connection, so that a user who may not run the command is found before
    /// any traffic. It knows a call of its own for nearly all commands of strings, hashes, lists, sets, sorted sets, streams,
    /// bits and HyperLogLogs.
    public struct Command: Sendable, Hashable, ExpressibleByStringLiteral {
        /// In upper case: `HINCRBY`.
        public let name: String
        /// Arguments of the harmless call; nil for the host's own. `@NAME` stands for a key that the verification deletes when it
        /// is over: `["@places", "13.36", "38.11", "Palermo"]`.
        public let trial: [String]?

        /// A command of which the host knows a harmless call.
        public init(stringLiteral name: String) { (self.name, trial) = (name, nil) }

        /// Any command.
        /// - Parameter trial: arguments with which the call succeeds; one of them is `@NAME`.
        public init(_ name: String, trial: [String]) { (self.name, self.trial) = (name, trial) }
    }
}
