import Synchronization

/// A master, its replicas, and three Sentinels that watch over them, all real, on free loopback ports. Either from settings
/// that the test names, or (`deployed`) from the files of deploy/redis-ha.
public final class RedisGroup: Sendable {
    public static let name = "mymaster"
    /// The first began as the master. Empty in a deployed group, which has `members`.
    public let servers: [RedisServer]
    /// The three of a deployed group; the first began as the master.
    public let members: [DeployedMember]
    public let sentinelPorts: [Int]
    /// What stands below `state:` for a host of this group, with the logins that it needs.
    public let hostState: String
    private let started: [ChildProcess]
    private let directory: TemporaryDirectory

    /// Servers or members: the first began as the master.
    public var instances: [any RedisInstance] { members.isEmpty ? servers : members }
    public var sentinels: [ChildProcess] { members.isEmpty ? started : members.compactMap(\.sentinel) }

    /// - Parameters:
    ///   - replicas: of one master.
    ///   - down: ms without an answer after which a Sentinel takes the master for down.
    ///   - password: of the Sentinels themselves.
    public init(replicas: Int = 1, down: Int = 1_000, password: String? = nil) async throws {
        directory = try TemporaryDirectory()
        members = []
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
        (started, sentinelPorts) = (sentinels, ports)
        hostState = Self.state("master: \(Self.name), nodes: [\(Self.list(ports))]", login: "")
        try await awaitSentinels(replicas: replicas, password: password)
    }

    /// Waits until each Sentinel knows the others and the replicas.
    private func awaitSentinels(replicas: Int, password: String?, within bound: Duration = .seconds(20)) async throws {
        for place in sentinels.indices {
            let told = sentinels[place].output.suffix(500)
            try await eventually("Sentinel \(place) knows the others; \(told)", within: bound) {
                let reply = try? await sentinel(place, "SENTINEL", "master", Self.name, password: password)
                let words = reply?.list.compactMap(\.string) ?? []
                func value(_ name: String) -> String? {
                    words.firstIndex(of: name).flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil }
                }
                return value("num-other-sentinels") == "2" && value("num-slaves") == String(replicas)
            }
        }
    }

    /// Asks a Sentinel. One of a deployed group is asked by its operator with redis-cli, and its lines are the reply's list.
    public func sentinel(_ place: Int, _ words: String..., password: String? = nil) async throws -> RedisReply {
        if !members.isEmpty { return .list(try await members[place].ask("sentinel", words).map { .text($0) }) }
        return try await RedisReply.ask(
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
    public var nodes: String { Self.list(sentinelPorts) }

    private static func list(_ ports: [Int]) -> String { ports.map { "'127.0.0.1:\($0)'" }.joined(separator: ", ") }

    private static func state(_ sentinel: String, login: String) -> String {
        "  redis: {sentinel: {\(sentinel)}\(login.isEmpty ? "" : ", " + login)}\n  timeout: 500ms"
    }

    // MARK: deploy/redis-ha

    /// Where the scripts and files are that a cluster gets too.
    public static let folder = Repository.path("deploy/redis-ha")
    /// Names of the passwords' files in the secrets' directory.
    public static let passwords = [
        "operator-password", "replication-password", "sentinel-password", "monitoring-password",
        "portcullis-password", "portcullis-sentinel-password",
    ]

    /// The group of deploy/redis-ha: three members that its scripts start on its files, the first as the master, with Sentinels
    /// that would promote either replica.
    /// - Parameter down: ms without an answer after which a Sentinel takes the master for down.
    public static func deployed(down: Int = 1_000) async throws -> RedisGroup {
        let group = try RedisGroup(deployedWithDown: down)
        for member in group.members { try member.launch() }
        // A Sentinel asks the master every 10 s who its replicas are.
        try await group.awaitSentinels(replicas: 2, password: nil, within: .seconds(60))
        try await group.awaitPromotable()
        return group
    }

    private init(deployedWithDown down: Int) throws {
        directory = try TemporaryDirectory()
        (servers, started) = ([], [])
        let secrets = directory.path
        for name in Self.passwords {
            try Files.write(String(UInt64.random(in: .max / 2 ... .max), radix: 36), to: "\(secrets)/\(name)")
        }
        let ports = try (0..<3).map { _ in (try freePort(), try freePort()) }
        sentinelPorts = ports.map(\.1)
        // A name, not an address: the files ask Sentinel to go by names.
        let settings = [
            "MEMBERS": ports.map { "localhost:\($0):\($1)" }.joined(separator: " "), "BIND": "127.0.0.1 -::1",
            "SECRETS": secrets, "BOOTSTRAP_SECONDS": "1", "DOWN_AFTER": String(down),
        ]
        members = try (0..<3).map {
            try DeployedMember(place: $0, port: ports[$0].0, sentinelPort: ports[$0].1, settings)
        }
        let login = "username: portcullis-sentinel, password_file: '\(secrets)/portcullis-sentinel-password'"
        hostState = Self.state(
            "master: \(Self.name), nodes: [\(Self.list(sentinelPorts))], \(login)",
            login: "username: portcullis, password_file: '\(secrets)/portcullis-password'")
    }

    /// A password's file.
    public func secret(_ name: String) -> String { directory.file(name) }

    /// The member that says of itself that it is the master, when there is exactly one.
    public func masterMember() async throws -> DeployedMember? {
        var found: [DeployedMember] = []
        for member in members where try await member.redis("ROLE").first == "master" { found.append(member) }
        return found.count == 1 ? found.first : nil
    }

    /// Waits until there is one master, two replicas in step, and every Sentinel would promote either.
    public func awaitPromotable(within bound: Duration = .seconds(60)) async throws {
        try await eventually("replicas in step; \(members.map { $0.log.suffix(500) })", within: bound) {
            guard let master = try await masterMember(), try await masterPort() == master.port else { return false }
            for place in members.indices {
                let words = try await members[place].sentinel("SENTINEL", "REPLICAS", Self.name)
                let values = zip(words, words.dropFirst()).filter { $0.0 == "flags" || $0.0 == "slave-priority" }
                if values.map(\.1) != ["slave", "100", "slave", "100"] { return false }
            }
            return try await master.redis("INFO", "replication").filter { $0.contains("state=online") }.count == 2
        }
    }
}
