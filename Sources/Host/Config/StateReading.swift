import SignalKit

extension HostConfiguration.State {
    /// Reads the keys below `state`. Nil when one of them can't be used.
    /// - Parameter deadline: of a whole request, above that of a command.
    init?(_ config: inout ConfigReader, deadline: Duration, _ findings: Findings) {
        let store = findings.attempt { () throws(ConfigError) in
            try config.section("redis") { redis throws(ConfigError) in Self.store(&redis, findings) }
        }
        let timeout = findings.attempt { () throws(ConfigError) in
            try config.duration("timeout", default: .seconds(1), in: .milliseconds(10)...(.seconds(30)))
        }
        if let timeout, timeout >= deadline, !config.isDescribing {
            config.report(
                "timeout",
                "\(ConfigReader.text(timeout)) is not below server.limits.deadline (\(ConfigReader.text(deadline)))")
        }
        let prefix =
            config.shaped(
                "prefix", kind: "text", bounds: "1 to 64 of a-z, 0-9, -, _ and .", fallback: "portcullis"
            ) { text throws(Misshapen) in
                // Braces are the hash tag's own: every key is `{prefix}:…`.
                let fine = text.utf8.allSatisfy {
                    switch $0 {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
                    default: "-_.".utf8.contains($0)
                    }
                }
                guard fine, text.utf8.count <= 64 else { throw Misshapen("expected 1 to 64 of a-z, 0-9, -, _ and .") }
                return text
            } ?? "portcullis"
        guard let store = store ?? nil, let timeout else { return nil }
        self.init(store: store, timeout: timeout, prefix: prefix)
    }

    private static func store(_ redis: inout ConfigReader, _ findings: Findings) -> HostConfiguration.Store? {
        let ways = ["embedded", "url", "sentinel"].filter(redis.has)
        if ways.count != 1, !redis.isDescribing {
            let found = ways.isEmpty ? "none" : ways.joined(separator: " and ")
            redis.report(nil, "give one of embedded, url and sentinel, found \(found)")
        }
        var directory: String?
        if redis.has("embedded") || redis.isDescribing {
            let read = findings.attempt { () throws(ConfigError) in
                try redis.section("embedded") { embedded throws(ConfigError) in embedded.file("directory") }
            }
            directory = read ?? nil
        }
        let url = redis.shaped(
            "url", kind: "url", bounds: "redis://[user@]host:port/db or unix:///path?db=N"
        ) { text throws(Misshapen) in try RedisURL(text) }
        let sentinel = sentinel(&redis, findings)
        let username = redis.shaped("username", kind: "text", bounds: "") { text throws(Misshapen) in text }
        let password = redis.file("password_file", required: false)
        if redis.has("embedded") {
            for key in ["username", "password_file"] where redis.has(key) {
                redis.report(key, "\(key) goes with url or sentinel: the embedded server takes nobody but its host")
            }
        }
        if username != nil, url?.username != nil {
            redis.report("username", "the url names a user already")
        }
        if let directory, ways == ["embedded"] { return .embedded(directory: directory) }
        if let sentinel, ways == ["sentinel"] {
            return .sentinel(sentinel, username: username, passwordFile: password)
        }
        guard ways == ["url"], let url else { return nil }
        switch url.place {
        case .tcp(let host, let port):
            return .tcp(
                host: host, port: port, database: url.database, username: username ?? url.username,
                passwordFile: password)
        case .unix(let path):
            return .unix(
                path: path, database: url.database, username: username ?? url.username, passwordFile: password)
        }
    }
}

extension HostConfiguration.State {
    private static func sentinel(
        _ redis: inout ConfigReader, _ findings: Findings
    ) -> HostConfiguration.Store.Sentinel? {
        guard redis.has("sentinel") || redis.isDescribing else { return nil }
        let read = findings.attempt { () throws(ConfigError) in
            try redis.section("sentinel") { sentinel throws(ConfigError) -> HostConfiguration.Store.Sentinel? in
                let master = sentinel.shaped("master", kind: "text", bounds: "", required: true) {
                    text throws(Misshapen) in text
                }
                let nodes = nodes(&sentinel, findings)
                let username = sentinel.shaped("username", kind: "text", bounds: "") { text throws(Misshapen) in text }
                let password = sentinel.file("password_file", required: false)
                guard let master, !nodes.isEmpty else { return nil }
                return .init(master: master, nodes: nodes, username: username, passwordFile: password)
            }
        }
        return read ?? nil
    }

    private static func nodes(_ sentinel: inout ConfigReader, _ findings: Findings) -> [HostConfiguration.Address] {
        let bounds = "1 to 16 of host:port"
        guard let node = sentinel.node("nodes", kind: "list", fallback: nil, bounds: bounds) else {
            if !sentinel.isDescribing { sentinel.report("nodes", "nodes is required: list, \(bounds)") }
            return []
        }
        guard case .list(let items) = node.content else {
            sentinel.report("nodes", "expected a list of Sentinels, \(bounds), found \(node.described)")
            return []
        }
        guard (1...16).contains(items.count) else {
            sentinel.report("nodes", "expected \(bounds), found \(items.count)")
            return []
        }
        var nodes: [HostConfiguration.Address] = []
        for (index, item) in items.enumerated() {
            do throws(Misshapen) {
                guard case .scalar(let text, _) = item.content else {
                    throw Misshapen("expected host:port, found \(item.described)")
                }
                nodes.append(try HostConfiguration.Address(text))
            } catch {
                findings.error("\(sentinel.path).nodes[\(index)]", item.mark, error.message)
            }
        }
        return nodes
    }
}

/// `redis://[user@]host[:port][/db]` or `unix:///path[?db=N]`.
struct RedisURL: Sendable, Equatable {
    enum Place: Sendable, Equatable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    var place: Place
    var database = 0
    var username: String?

    /// - Throws: what is wrong, without the text itself: it may hold a password.
    init(_ text: String) throws(Misshapen) {
        let shapes = "redis://[user@]host:port/db or unix:///path?db=N"
        guard let colon = text.firstRange(of: "://") else { throw Misshapen("expected \(shapes)") }
        let rest = text[colon.upperBound...]
        switch text[..<colon.lowerBound] {
        case "redis": try self.init(tcp: rest)
        case "unix": try self.init(unix: rest)
        case "rediss": throw Misshapen("TLS to Redis is not in this version: use redis:// inside a network you trust")
        default: throw Misshapen("expected \(shapes)")
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
