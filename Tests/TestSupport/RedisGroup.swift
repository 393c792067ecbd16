/// A master, its replicas, and three Sentinels that watch over them, all real, on free loopback ports.
public final class RedisGroup: Sendable {
    public static let name = "mymaster"
    /// The first began as the master.
    public let servers: [RedisServer]
    public let sentinels: [ChildProcess]
    public let sentinelPorts: [Int]
    private let directory: TemporaryDirectory

    /// - Parameters:
    ///   - replicas: of one master.
    ///   - down: ms without an answer after which a Sentinel takes the master for down.
    ///   - password: of the Sentinels themselves.
    public init(replicas: Int = 1, down: Int = 1_000, password: String? = nil) async throws {
        directory = try TemporaryDirectory()
        let master = try await RedisServer.durable(["--repl-diskless-sync-delay", "0"])
        var servers = [master]
        for _ in 0..<replicas {
            servers.append(
                try await RedisServer.durable([
                    "--replicaof", "127.0.0.1 \(master.port ?? 0)", "--repl-diskless-sync-delay", "0",
                ]))
        }
        self.servers = servers
        try await eventually("\(replicas) replicas in step") {
            let info = try await master.command("INFO", "replication").string ?? ""
            return info.split(whereSeparator: \.isNewline).filter { $0.contains("state=online") }.count == replicas
        }
        var (sentinels, ports): ([ChildProcess], [Int]) = ([], [])
        for place in 0..<3 {
            let port = try freePort()
            let file = directory.file("sentinel-\(place).conf")
            try Files.write(
                """
                port \(port)
                bind 127.0.0.1
                dir \(directory.path)
                sentinel monitor \(Self.name) 127.0.0.1 \(master.port ?? 0) 2
                sentinel down-after-milliseconds \(Self.name) \(down)
                sentinel failover-timeout \(Self.name) 3000
                sentinel parallel-syncs \(Self.name) 1
                \(password.map { "requirepass \($0)\nsentinel sentinel-pass \($0)" } ?? "")

                """, to: file)
            sentinels.append(try ChildProcess("redis-sentinel", [file], in: directory, name: "sentinel-\(place)"))
            ports.append(port)
        }
        (self.sentinels, sentinelPorts) = (sentinels, ports)
        for place in sentinels.indices {
            try await eventually("Sentinel \(place) knows the others; \(sentinels[place].output.suffix(500))") {
                let reply = try? await sentinel(place, "SENTINEL", "master", Self.name, password: password)
                let words = reply?.list.compactMap(\.string) ?? []
                func value(_ name: String) -> String? {
                    words.firstIndex(of: name).flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil }
                }
                return value("num-other-sentinels") == "2" && value("num-slaves") == String(replicas)
            }
        }
    }

    /// Asks a Sentinel.
    public func sentinel(_ place: Int, _ words: String..., password: String? = nil) async throws -> RedisReply {
        try await RedisReply.ask(
            .loopback(port: sentinelPorts[place]), words, password: password, timeout: .seconds(2))
    }

    /// The port that the first living Sentinel names.
    public func masterPort(password: String? = nil) async throws -> Int {
        for place in sentinels.indices where sentinels[place].isRunning {
            let reply = try? await sentinel(
                place, "SENTINEL", "get-master-addr-by-name", Self.name, password: password)
            if let port = reply?.list.last?.string.flatMap({ Int($0) }) { return port }
        }
        throw TestFailure("no Sentinel names a master")
    }

    /// As a host's configuration lists them.
    public var nodes: String { sentinelPorts.map { "'127.0.0.1:\($0)'" }.joined(separator: ", ") }
}
