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
    /// What `CLIENT LIST` shows.
    public var clientName: String
    /// A Sentinel has no databases.
    var selectsDatabase = true

    public init(
        _ address: Address, database: Int = 0, username: String? = nil,
        password: @escaping @Sendable () throws -> String? = { nil }, clientName: String = "portcullis"
    ) {
        self.address = address
        self.database = database
        self.username = username
        self.password = password
        self.clientName = clientName
    }

    /// The address alone: no user, no password.
    public var description: String { address.description }
}
