/// `redis://[user@]host[:port][/db]`, the same with `rediss://` for TLS, or `unix:///path[?db=N]`.
struct RedisURL: Sendable, Equatable {
    enum Place: Sendable, Equatable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    /// As a person would read it.
    static let shapes = "redis://[user@]host:port/db, rediss:// with TLS, or unix:///path?db=N"

    var place: Place
    var isEncrypted = false
    var database = 0
    var username: String?

    /// - Throws: what is wrong, without the text itself: it may hold a password.
    init(_ text: String) throws(Misshapen) {
        guard let colon = text.firstRange(of: "://") else { throw Misshapen("expected \(Self.shapes)") }
        let rest = text[colon.upperBound...]
        switch text[..<colon.lowerBound] {
        case "redis": try self.init(tcp: rest)
        case "unix": try self.init(unix: rest)
        case "rediss":
            try self.init(tcp: rest)
            isEncrypted = true
        default: throw Misshapen("expected \(Self.shapes)")
        }
    }

    private init(tcp text: Substring) throws(Misshapen) {
        var rest = text
        if let at = rest.lastIndex(of: "@") {
            let user = rest[..<at]
            guard !user.contains(":") else {
                throw Misshapen(
                    "a password does not belong into the url: put it into a file and name it in password_file")
            }
            username = user.isEmpty ? nil : String(user)
            rest = rest[rest.index(after: at)...]
        }
        guard !rest.contains("?"), !rest.contains("#") else {
            throw Misshapen("nothing may follow the database's number")
        }
        if let slash = rest.firstIndex(of: "/") {
            let number = rest[rest.index(after: slash)...]
            if !number.isEmpty { database = try Self.database(number) }
            rest = rest[..<slash]
        }
        let hasPort = rest.hasPrefix("[") ? rest.contains("]:") : rest.contains(":")
        let address = try HostConfiguration.Address(hasPort ? String(rest) : "\(rest):6379")
        place = .tcp(host: address.host, port: address.port)
    }

    private init(unix text: Substring) throws(Misshapen) {
        var path = text
        if let question = text.firstIndex(of: "?") {
            path = text[..<question]
            let query = text[text.index(after: question)...]
            guard query.hasPrefix("db=") else { throw Misshapen("only ?db=N may follow the socket's path") }
            database = try Self.database(query.dropFirst(3))
        }
        // sun_path holds 108 bytes, its terminating zero among them.
        guard path.hasPrefix("/"), path.utf8.count <= 107 else {
            throw Misshapen("expected the absolute path of a socket, 107 bytes at most: unix:///run/redis.sock")
        }
        place = .unix(path: String(path))
    }

    private static func database(_ text: Substring) throws(Misshapen) -> Int {
        guard let number = Int(text), (0...65_535).contains(number) else {
            throw Misshapen("a database is a number, 0 to 65535")
        }
        return number
    }
}
