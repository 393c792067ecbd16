import TestSupport

/// The Redis of one cell, with a proxy on every link that leads to it.
///
/// Behind Sentinels each server announces its proxy's port, and the Sentinels hand that out to hosts and replicas alike; who
/// is who on a link is told by the first bytes.
final class MatrixStore: Sendable {
    static let password = "matrix"
    static let name = "mymaster"

    let kind: Cell.Store
    let servers: [RedisServer]
    /// Of each host when there is one server; else of each server.
    let proxies: [FaultProxy]
    /// On the hosts' way to each Sentinel.
    let sentinelProxies: [FaultProxy]
    private let sentinels: [ChildProcess]
    private let sentinelPorts: [Int]
    private let directory: TemporaryDirectory
    let passwordFile: String

    init(_ kind: Cell.Store, hosts: Int, seed: UInt64) async throws {
        self.kind = kind
        directory = try TemporaryDirectory()
        passwordFile = directory.file("password")
        try Files.write(Self.password, to: passwordFile)
        let login = ["--requirepass", Self.password, "--masterauth", Self.password]
        guard kind == .sentinel else {
            let server = try await RedisServer.durable(login)
            servers = [server]
            proxies = try (0..<hosts).map {
                try FaultProxy(to: server.port, seed: seed &+ UInt64($0), peers: { _ in "host" })
            }
            (sentinels, sentinelPorts, sentinelProxies) = ([], [], [])
            return
        }
        var (servers, proxies): ([RedisServer], [FaultProxy]) = ([], [])
        for place in 0..<3 {
            let proxy = try FaultProxy(seed: seed &+ UInt64(place), peers: Self.peer)
            proxies.append(proxy)
            var options = [
                "--replica-announce-ip", "127.0.0.1", "--replica-announce-port", String(proxy.port),
                "--repl-diskless-sync-delay", "0", "--min-replicas-to-write", "1", "--min-replicas-max-lag", "10",
            ]
            if place > 0 { options += ["--replicaof", "127.0.0.1 \(proxies[0].port)"] }
            let server = try await RedisServer.durable(login + options)
            servers.append(server)
            proxy.lead(to: server.port ?? 0)
        }
        (self.servers, self.proxies) = (servers, proxies)
        let (first, master) = (servers[0], proxies[0].port)
        try await eventually("two replicas in step") {
            let info = try await first.command("INFO", "replication", password: Self.password).string ?? ""
            return info.split(whereSeparator: \.isNewline).filter { $0.contains("state=online") }.count == 2
        }
        var (sentinels, ports): ([ChildProcess], [Int]) = ([], [])
        for place in 0..<3 {
            let port = try freePort()
            try Files.write(
                """
                port \(port)
                bind 127.0.0.1
                dir \(directory.path)
                sentinel monitor \(Self.name) 127.0.0.1 \(master) 2
                sentinel auth-pass \(Self.name) \(Self.password)
                sentinel down-after-milliseconds \(Self.name) 1000
                sentinel failover-timeout \(Self.name) 3000
                sentinel parallel-syncs \(Self.name) 1

                """, to: directory.file("sentinel-\(place).conf"))
            let file = directory.file("sentinel-\(place).conf")
            sentinels.append(try ChildProcess("redis-sentinel", [file], in: directory, name: "sentinel-\(place)"))
            ports.append(port)
        }
        (self.sentinels, sentinelPorts) = (sentinels, ports)
        sentinelProxies = try ports.map { try FaultProxy(to: $0, seed: seed, peers: { _ in "host" }) }
        try await awaitSentinels()
    }

    /// Who a client of a server is, by its first words.
    private static func peer(_ head: [UInt8]) -> String? {
        let text = String(decoding: head, as: UTF8.self)
        if text.contains("REPLCONF") || text.contains("PSYNC") { return "replica" }
        if text.contains("sentinel-") { return "sentinel" }
        return text.contains("portcullis") ? "host" : nil
    }

    private func awaitSentinels() async throws {
        for place in sentinels.indices {
            var told = ""
            func known() async -> Bool {
                let words = (try? await ask(place, "SENTINEL", "master", Self.name))?.split(separator: "\n") ?? []
                func value(_ name: Substring) -> Substring? {
                    words.firstIndex(of: name).flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil }
                }
                told = "\(value("num-other-sentinels") ?? "no") others, \(value("num-slaves") ?? "no") replicas"
                return value("num-other-sentinels") == "2" && value("num-slaves") == "2"
            }
            do {
                try await eventually("Sentinels that know each other", within: .seconds(30), every: .milliseconds(100))
                {
                    await known()
                }
            } catch {
                throw TestFailure("Sentinel \(place) knows \(told):\n\(sentinels[place].output.suffix(1_500))")
            }
        }
    }

    /// What a Sentinel says, a line for each word.
    private func ask(_ place: Int, _ words: String...) async throws -> String {
        let run = try await ChildProcess.run("redis-cli", ["-p", String(sentinelPorts[place])] + words)
        guard run.end == .exited(0), !run.output.isEmpty else { throw TestFailure("Sentinel: \(run.errors)") }
        return run.output
    }

    // MARK: Who is who

    /// The place of the server that the Sentinels name.
    func master() async throws -> Int {
        guard kind == .sentinel else { return 0 }
        for place in sentinels.indices {
            let words = try? await ask(place, "SENTINEL", "get-master-addr-by-name", Self.name)
            if let port = words?.split(separator: "\n").last.flatMap({ Int($0) }),
                let found = proxies.firstIndex(where: { $0.port == port })
            {
                return found
            }
        }
        throw TestFailure("no Sentinel names a master")
    }

    func failOver() async throws {
        try await eventually("a Sentinel that begins a failover", every: .milliseconds(200)) {
            try await ask(0, "SENTINEL", "failover", Self.name) == "OK\n"
        }
    }

    /// Whether a Sentinel is replacing the master at the moment.
    func isFailingOver() async -> Bool {
        for place in sentinels.indices {
            let told = try? await ask(place, "SENTINEL", "master", Self.name)
            if told?.contains("failover_in_progress") == true { return true }
        }
        return false
    }

    /// All that a host's bytes may pass.
    var hostLinks: [FaultProxy] { proxies + sentinelProxies }

    func command(_ place: Int, _ words: String...) async throws -> RedisReply {
        let reply = try await servers[place].answer(words, password: Self.password)
        if case .error(let text) = reply { throw TestFailure("\(words): \(text)") }
        return reply
    }

    /// How often the server has refused something with this word.
    func refusals(_ place: Int, _ word: String) async -> Int {
        let info = (try? await command(place, "INFO", "errorstats"))?.string ?? ""
        let line = info.split(whereSeparator: \.isNewline).first { $0.hasPrefix("errorstat_\(word):count=") }
        return line.flatMap { Int($0.drop { $0 != "=" }.dropFirst()) } ?? 0
    }

    /// What waits for a sink; nil when the master does not answer.
    func waiting(for sink: String) async -> Int64? {
        guard let place = try? await master() else { return nil }
        return (try? await command(place, "ZCARD", "{portcullis}:q:\(sink)"))?.integer
    }

    // MARK: What hosts are told

    func state(ofHost place: Int) -> String {
        let timeout = "\n  timeout: 500ms"
        guard kind == .sentinel else {
            return "  redis: {url: 'redis://127.0.0.1:\(proxies[place].port)/0', password_file: '\(passwordFile)'}"
                + timeout
        }
        let nodes = sentinelProxies.map { "'127.0.0.1:\($0.port)'" }.joined(separator: ", ")
        return "  redis: {sentinel: {master: \(Self.name), nodes: [\(nodes)]}, password_file: '\(passwordFile)'}"
            + timeout
    }

    var durability: String { kind == .plain ? "fsync" : "{replicas: 1}" }
}
