internal import NIOCore

/// Where a Redis server is and how to log in to it.
public struct RedisEndpoint: Sendable, CustomStringConvertible {
    public enum Address: Sendable, Hashable, CustomStringConvertible {
        case tcp(host: String, port: Int)
        /// At most 107 bytes.
        case unix(path: String)

        public var description: String {
            switch self {
            case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
            case .unix(let path): path
            }
        }
    }

    public var address: Address
    public var database: Int
    /// Nil: the server's default user.
    public var username: String?
    /// Asked at each connect, so that a rotated password is found without a restart. Nil: no login.
    public var password: @Sendable () throws -> String?
    /// Nil: in plain text.
    public var tls: RedisTLS?
    /// What `CLIENT LIST` shows.
    public var clientName: String
    /// It answers to no database, and has a login of its own.
    var isSentinel = false

    public init(
        _ address: Address, database: Int = 0, username: String? = nil,
        password: @escaping @Sendable () throws -> String? = { nil }, tls: RedisTLS? = nil,
        clientName: String = "portcullis"
    ) {
        self.address = address
        self.database = database
        self.username = username
        self.password = password
        self.tls = tls
        self.clientName = clientName
    }

    /// The address alone: no user, no password.
    public var description: String { address.description }

    /// The name that the server's certificate must be for. Nil: the address itself.
    var certifiedName: String? {
        if let name = tls?.serverName { return name }
        guard case .tcp(let host, _) = address, (try? SocketAddress(ipAddress: host, port: 0)) == nil else {
            return nil
        }
        // Only an address has colons, one of a certain interface too.
        return host.contains(":") ? nil : host
    }
}

extension RedisEndpoint {
    /// Where the configuration has its login.
    var settings: String { isSentinel ? "state.redis.sentinel" : "state.redis" }

    /// A refusal at the greeting, with what to change.
    func refusal(_ error: RedisError) -> RedisError {
        let owner = isSentinel ? ", which are the Sentinels' own" : ""
        switch error.code {
        case .noAuth:
            return RedisError(
                .noAuth, "\(error.message) (\(address); see \(settings).username and password_file\(owner))")
        case .serverError where error.message.contains("unknown command"):
            return RedisError(
                .rejected,
                "\(address) has no databases, so it is no Redis server; a Sentinel goes into state.redis.sentinel.nodes"
            )
        default: return error
        }
    }
}
