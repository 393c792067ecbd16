import Redis
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
        let peerWait = findings.attempt { () throws(ConfigError) in
            try config.duration(
                "peer_wait", default: Self.usualPeerWait(timeout ?? .seconds(1)),
                in: .milliseconds(100)...(.minutes(1)))
        }
        if case .embedded?? = store, config.has("peer_wait") {
            findings.warn(
                "\(config.path).peer_wait", config.node("peer_wait")?.mark,
                "is not used with embedded: a host with its own Redis waits for no other host. Remove it")
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
        guard let store = store ?? nil, let timeout, let peerWait else { return nil }
        self.init(store: store, timeout: timeout, prefix: prefix, peerWait: peerWait)
    }

    private static func store(_ redis: inout ConfigReader, _ findings: Findings) -> HostConfiguration.Store? {
        let ways = ["embedded", "url", "sentinel"].filter(redis.has)
        if ways.count != 1, !redis.isDescribing {
            let found = ways.isEmpty ? "none" : ways.joined(separator: " and ")
            redis.report(nil, "give one of embedded, url and sentinel, found \(found)")
        }
        var directory: String?
        var memory: Int?
        if redis.has("embedded") || redis.isDescribing {
            let read = findings.attempt { () throws(ConfigError) in
                try redis.section("embedded") { embedded throws(ConfigError) in
                    (embedded.file("directory"), Self.memory(&embedded))
                }
            }
            (directory, memory) = read ?? (nil, nil)
        }
        let url = redis.shaped("url", kind: "url", bounds: RedisURL.shapes) { text throws(Misshapen) in
            try RedisURL(text)
        }
        let sentinel = sentinel(&redis, findings)
        let username = redis.shaped("username", kind: "text", bounds: "") { text throws(Misshapen) in text }
        let password = redis.secretFile("password_file", required: false, findings)
        if redis.has("embedded") {
            for key in ["username", "password_file"] where redis.has(key) {
                redis.report(key, "\(key) goes with url or sentinel: the embedded server takes nobody but its host")
            }
        }
        let tls = tls(&redis, ways, url, findings)
        if username != nil, url?.username != nil {
            redis.report("username", "the url names a user already")
        }
        if let directory, ways == ["embedded"] { return .embedded(directory: directory, memory: memory) }
        if var sentinel, ways == ["sentinel"] {
            sentinel.tls = tls
            return .sentinel(sentinel, username: username, passwordFile: password)
        }
        guard ways == ["url"], let url else { return nil }
        switch url.place {
        case .tcp(let host, let port):
            return .tcp(
                host: host, port: port, database: url.database, username: username ?? url.username,
                passwordFile: password, tls: url.isEncrypted ? tls ?? RedisTLS() : nil)
        case .unix(let path):
            return .unix(
                path: path, database: url.database, username: username ?? url.username, passwordFile: password)
        }
    }
}

extension HostConfiguration.State {
    private static func memory(_ embedded: inout ConfigReader) -> Int? {
        let bounds = "32MiB to 1024GiB"
        return embedded.shaped("max_memory", kind: "bytes", bounds: bounds, fallback: "two fifths of the memory") {
            text throws(Misshapen) in
            guard let bytes = ConfigReader.byteCount(text), (32 << 20...1 << 40).contains(bytes) else {
                throw Misshapen("expected a size of \(bounds)")
            }
            return bytes
        }
    }

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
                let password = sentinel.secretFile("password_file", required: false, findings)
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
        var places: [String: Int] = [:]
        for (index, item) in items.enumerated() {
            do throws(Misshapen) {
                guard case .scalar(let text, _) = item.content else {
                    throw Misshapen("expected host:port, found \(item.described)")
                }
                let address = try HostConfiguration.Address(text)
                if let first = places[address.description] {
                    throw Misshapen("\(address) is nodes[\(first)] already: name each Sentinel once")
                }
                places[address.description] = index
                nodes.append(address)
            } catch {
                findings.error("\(sentinel.path).nodes[\(index)]", item.mark, error.message)
            }
        }
        if items.count == 1, !nodes.isEmpty {
            findings.warn(
                "\(sentinel.path).nodes", node.mark,
                "one Sentinel alone can't fail over, and is missed when it is away: name all of them, three in different places at least"
            )
        }
        return nodes
    }
}
