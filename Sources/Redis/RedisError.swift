/// Why a command, a connection or the store as a whole failed.
public struct RedisError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The whole vocabulary; the raw value is the metric label.
    public enum Code: String, Sendable, CaseIterable {
        /// Nobody listens, or the server would not take one more client.
        case refused
        /// No reply within the deadline. Whether the command ran is unknown.
        case timedOut = "timed-out"
        /// The connection ended with replies owed. Whether the commands ran is unknown.
        case reset
        /// Bytes that are no RESP, or a reply that nobody asked for, or one of the wrong shape.
        case garbage
        case readOnly = "read-only"
        case loading
        case outOfMemory = "out-of-memory"
        case noReplicas = "no-replicas"
        /// Not logged in, or the wrong user or password.
        case noAuth = "no-auth"
        /// The user may not run a command or touch a key (ACL).
        case noPermission = "no-permission"
        /// MISCONF: the server can't write its AOF or snapshot.
        case misconfigured
        case wrongType = "wrong-type"
        case noScript = "no-script"
        /// Another script has been running for too long.
        case busy
        /// A replica without its master, or a cluster that is down.
        case masterDown = "master-down"
        /// The store is shut: the command was not sent.
        case shut
        /// The write is not as durable as the configuration asks (`WAIT` counted too few).
        case notDurable = "not-durable"
        /// The store is not the one that was verified: it was emptied, or is an older copy of itself, and what this host
        /// answered must be made good first.
        case emptied
        /// The verification of a connection found something that must not be used (role, settings, clock).
        case rejected
        /// Any other error reply, a fault in a script for one.
        case serverError = "server-error"
    }

    public let code: Code
    /// For the operator, without secrets; at most `RedisServerError.messageLimit` bytes of the server's text.
    public let message: String

    public init(_ code: Code, _ message: String) { (self.code, self.message) = (code, message) }
    public init(_ error: RedisServerError) { self.init(error.code, error.message) }

    /// Whether this error says something about the store as a whole, so that nothing may go on until a
    /// verification has passed. Out of memory does not: what drains the store must go on.
    public var shutsStore: Bool { code.shutsStore }

    public var description: String { "\(code.rawValue): \(message)" }
}

extension RedisError.Code {
    public var shutsStore: Bool {
        switch self {
        case .refused, .timedOut, .reset, .garbage, .readOnly, .loading, .noReplicas, .noAuth, .noPermission,
            .misconfigured, .busy, .masterDown, .notDurable, .emptied, .rejected:
            true
        case .outOfMemory, .wrongType, .noScript, .shut, .serverError: false
        }
    }
}

/// An error reply, classified by its first word.
public struct RedisServerError: Sendable, Hashable {
    /// Bytes of the server's text that are kept: it may repeat arguments of the command.
    public static let messageLimit = 300

    public let code: RedisError.Code
    public let message: String

    public init(code: RedisError.Code, message: String) { (self.code, self.message) = (code, message) }

    /// - Parameter text: the reply without its leading `-`: `READONLY You can't write against a read only replica.`
    public init(text: String) {
        code = Self.code(of: text)
        let kept = text.utf8.count <= Self.messageLimit ? text : String(text.prefix(Self.messageLimit / 4)) + "…"
        message = Self.isOfACluster(text) ? "\(kept) (\(Self.noCluster))" : kept
    }

    private static let noCluster = "cluster mode is on: use a Redis with cluster-enabled no, alone or behind Sentinel"

    private static func isOfACluster(_ text: String) -> Bool {
        let first = text.prefix { $0 != " " }
        return ["MOVED", "ASK", "CROSSSLOT"].contains(first) || text.hasPrefix("ERR Script attempted to access")
    }

    private static let prefixes: [Substring: RedisError.Code] = [
        "READONLY": .readOnly, "LOADING": .loading, "OOM": .outOfMemory, "NOREPLICAS": .noReplicas,
        "NOAUTH": .noAuth, "WRONGPASS": .noAuth, "NOPERM": .noPermission, "MISCONF": .misconfigured,
        "WRONGTYPE": .wrongType, "NOSCRIPT": .noScript, "BUSY": .busy, "UNKILLABLE": .busy,
        "MASTERDOWN": .masterDown, "CLUSTERDOWN": .masterDown, "DENIED": .refused, "EMPTIED": .emptied,
        "SCHEMA": .rejected,
    ]

    private static func code(of text: String) -> RedisError.Code {
        if isOfACluster(text) { return .rejected }
        let first = text.prefix { $0 != " " }
        if let code = prefixes[first] { return code }
        guard first == "ERR" else { return .serverError }
        let rest = text.dropFirst(4)
        if rest.hasPrefix("max number of clients") { return .refused }
        if rest.hasPrefix("AUTH ") || rest.hasPrefix("invalid password") { return .noAuth }
        // Redis before 7 wraps an error of a command that a script called: `ERR Error running script (call to
        // f_…): @user_script:1: @user_script: 1: -OOM command not allowed …`. Redis 7 keeps the command's own word
        // in front, except for a script that raises the text itself: `ERR user_script:1: OOM …`. Redis 6 and 7
        // word a refusal by ACL differently.
        if rest.contains("user executing the script can't") { return .noPermission }
        guard rest.contains("user_script") || rest.contains("script:") || rest.contains("running script") else {
            return .serverError
        }
        if rest.contains("ACL failure in script") { return .noPermission }
        for word in rest.split(separator: " ") {
            let bare = word.hasPrefix("-") ? word.dropFirst() : word
            if let code = prefixes[bare], code != .noScript { return code }
        }
        return .serverError
    }
}
