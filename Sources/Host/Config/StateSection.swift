import SignalKit

/// `state:` of the file: where the store is.
enum StateSection {
    static func read(_ reader: inout ConfigReader) throws(ConfigError) -> HostConfiguration.State {
        let timeout = try reader.duration("timeout", default: .seconds(1), in: .milliseconds(10)...(.seconds(30)))
        let prefix = try reader.text("prefix", default: "portcullis", longest: 64)
        let fits = prefix.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        if !fits { reader.report("prefix", "expected letters, digits, -, _ and .") }
        let store = try reader.section("redis") { section throws(ConfigError) in try Self.store(&section) }
        return HostConfiguration.State(store: store, timeout: timeout, prefix: prefix)
    }

    private static func store(_ reader: inout ConfigReader) throws(ConfigError) -> HostConfiguration.Store {
        if reader.has("sentinel") {
            reader.report("sentinel", "Sentinel is not in this version: give the url of the master, or use embedded")
        }
        _ = reader.node("sentinel", bounds: "not in this version")
        let directory: String? =
            if reader.has("embedded") || reader.isDescribing {
                try reader.section("embedded") { section throws(ConfigError) in
                    try section.text("directory", longest: 4_096)
                }
            } else { nil }
        let url = try reader.optionalText("url")
        let username = try reader.optionalText("username")
        let passwordFile = try reader.optionalText("password_file")
        if let directory {
            for key in ["url", "username", "password_file"] where reader.has(key) {
                reader.report(key, "goes with an external Redis, not with embedded: leave one of them out")
            }
            return .embedded(directory: directory)
        }
        guard let url else {
            if reader.isDescribing || reader.has("sentinel") { return .embedded(directory: "") }
            throw ConfigError(
                path: reader.path, mark: reader.mark,
                "no store: write embedded: {directory: ./var}, or url: redis://127.0.0.1:6379/0")
        }
        return try parse(url, username, passwordFile, &reader)
    }

    private static func parse(
        _ url: String, _ username: String?, _ passwordFile: String?, _ reader: inout ConfigReader
    ) throws(ConfigError) -> HostConfiguration.Store {
        let fallback = HostConfiguration.Store.tcp(
            host: "127.0.0.1", port: 6379, database: 0, username: nil, passwordFile: nil)
        if url.hasPrefix("rediss://") {
            reader.report("url", "TLS to Redis (rediss://) is not in this version: use redis:// or unix://")
            return fallback
        }
        if url.hasPrefix("unix://") {
            let rest = url.dropFirst("unix://".count)
            let parts = rest.split(separator: "?", maxSplits: 1)
            let database = parts.count > 1 ? (parts[1].hasPrefix("db=") ? Int(parts[1].dropFirst(3)) : nil) : 0
            guard let path = parts.first, path.hasPrefix("/"), let database, database >= 0 else {
                reader.report("url", "expected unix:///path/to/redis.sock or unix:///path/to/redis.sock?db=1")
                return fallback
            }
            guard path.utf8.count <= 107 else {
                reader.report("url", "the socket's path is \(path.utf8.count) bytes: a socket address holds 107")
                return fallback
            }
            return .unix(path: String(path), database: database, username: username, passwordFile: passwordFile)
        }
        guard url.hasPrefix("redis://") else {
            reader.report("url", "expected redis://host:port/database or unix:///path/to/redis.sock")
            return fallback
        }
        var rest = url.dropFirst("redis://".count)
        var user = username
        if let at = rest.lastIndex(of: "@") {
            let login = rest[..<at]
            rest = rest[rest.index(after: at)...]
            if login.contains(":") {
                reader.report("url", "holds a password: put it into a file of its own, and name that in password_file")
                return fallback
            }
            if user != nil { reader.report("username", "is in the url already") }
            user = String(login)
        }
        let parts = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let database = parts.count > 1 && !parts[1].isEmpty ? Int(parts[1]) : 0
        let text = String(parts.first ?? "")
        let address = HostConfiguration.Address(text) ?? HostConfiguration.Address("\(text):6379")
        guard let address, let database, (0...65_535).contains(database) else {
            reader.report("url", "expected redis://host:port/database, such as redis://127.0.0.1:6379/0")
            return fallback
        }
        return .tcp(
            host: address.host, port: address.port, database: database, username: user, passwordFile: passwordFile)
    }
}
