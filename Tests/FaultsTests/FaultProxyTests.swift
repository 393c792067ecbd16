import TestSupport
import Testing

/// The proxy does what it says, to real clients of real servers.
@Suite struct FaultProxyTests {
    private let redis: RedisServer
    private let proxy: FaultProxy

    init() async throws {
        redis = try await RedisServer(["--repl-diskless-sync-delay", "0"])
        proxy = try FaultProxy(to: redis.port) { head in
            String(decoding: head, as: UTF8.self).contains("named") ? "named" : nil
        }
    }

    /// What redis-cli says through the proxy.
    private func ask(_ words: String...) async throws -> String {
        try await ChildProcess.run("redis-cli", ["-p", String(proxy.port)] + words).output
    }

    /// A redis-cli that may still be talking.
    private struct Client {
        /// Of its output.
        private let directory: TemporaryDirectory
        private let child: ChildProcess

        init(_ port: Int, _ words: [String]) throws {
            directory = try TemporaryDirectory()
            child = try ChildProcess("redis-cli", ["-p", String(port)] + words, in: directory, name: "client")
        }

        var isRunning: Bool { child.isRunning }
        /// What it has said, errors too.
        var said: String { child.output + child.errors }
        func ended() async throws -> String {
            try await child.wait()
            return said
        }
    }

    private func client(_ words: String...) throws -> Client { try Client(proxy.port, words) }

    /// A number of the server's INFO.
    private func told(_ section: String, _ name: String) async throws -> Int? {
        let lines = try await redis.command("INFO", section).string?.split(whereSeparator: \.isNewline) ?? []
        return lines.first { $0.hasPrefix(name + ":") }.flatMap { Int($0.dropFirst(name.count + 1)) }
    }

    private func kept(_ key: String) async throws -> String? { try await redis.command("GET", key).string }

    private func bitten(_ name: String) -> Int { proxy.counts.bites[name] ?? 0 }

    private func elapsed(_ body: () async throws -> Void) async rethrows -> Duration {
        let start = ContinuousClock.now
        try await body()
        return start.duration(to: .now)
    }

    @Test func withoutToxicsEveryBytePasses() async throws {
        let value = String(repeating: "0123456789", count: 100_000)
        let script = "return redis.call('SET', 'big', string.rep('0123456789', 100000))"
        #expect(try await ask("EVAL", script, "0") == "OK\n")
        #expect(try await ask("GET", "big") == value + "\n")
        #expect(proxy.counts.connections == 2)
        #expect(proxy.counts.bytes[.toClient] ?? 0 > 1_000_000)
        #expect(proxy.counts.bites.isEmpty)
        try await eventually("no connection left") { proxy.counts.open == 0 }
    }

    @Test func latencyIsInBothDirections() async throws {
        proxy.add(.latency(.milliseconds(200)))
        let took = try await elapsed { _ = try await ask("PING") }
        #expect(took >= .milliseconds(400))
        #expect(bitten("latency") >= 2)
    }

    @Test func jitterIsThatOfTheSeed() async throws {
        proxy.add(.jitter(.milliseconds(100)), .toClient)
        #expect(try await ask("PING") == "PONG\n")
        #expect(bitten("jitter") == 1)
        var (one, other) = (SeededRandom(7), SeededRandom(7))
        #expect((0..<9).map { _ in one.next() } == (0..<9).map { _ in other.next() })
        var third = SeededRandom(8)
        #expect(one.next() != third.next())
    }

    @Test func aBlackHoleKeepsWhatItTookAndClosesNothing() async throws {
        proxy.add(.timeout, .toServer)
        let child = try client("SET", "key", "late")
        try await eventually("a bite") { bitten("timeout") == 1 }
        #expect(child.isRunning)
        #expect(try await kept("key") == nil)
        proxy.heal()
        #expect(try await child.ended() == "OK\n")
        #expect(try await kept("key") == "late")
        #expect(proxy.counts.connections == 1)
    }

    @Test func aResetIsOneToBothSides() async throws {
        proxy.add(.reset, .toClient)
        let child = try client("SET", "key", "value")
        let said = try await child.ended()
        #expect(said.contains("reset by peer"), "\(said)")
        #expect(bitten("reset") == 1)
        #expect(try await kept("key") == "value")
        // That of the question itself.
        try await eventually("the server's side ended") { try await told("clients", "connected_clients") == 1 }
    }

    @Test func aLostReplyIsAWriteThatNobodyHeardOf() async throws {
        proxy.add(.cut(after: 3), .toClient)
        #expect(try await ask("SET", "key", "value") != "OK\n")
        #expect(try await kept("key") == "value")
        #expect(proxy.counts.bytes[.toClient] == 3)
        #expect(bitten("cut") == 1)
        proxy.heal()
        proxy.add(.cut(after: 10), .toServer)
        let before = proxy.counts.bytes[.toServer] ?? 0
        #expect(try await ask("SET", "key", "other") != "OK\n")
        #expect(try await kept("key") == "value")
        #expect((proxy.counts.bytes[.toServer] ?? 0) - before == 10)
    }

    @Test func aCutIsAnOrderlyEndToCurl() async throws {
        let host = try await HostProcess(.embedded())
        proxy.lead(to: host.adminPort)
        func curl(_ words: String...) async throws -> (end: ChildProcess.End, output: String) {
            let run = try await ChildProcess.run("curl", ["--silent", "http://127.0.0.1:\(proxy.port)/livez"] + words)
            return (run.end, run.output)
        }
        #expect(try await curl().end == .exited(0))
        proxy.add(.cut(after: 0), .toClient)
        // Empty reply from server.
        #expect(try await curl().end == .exited(52))
        proxy.heal()
        proxy.add(.reset, .toClient)
        // Failure in receiving.
        #expect(try await curl().end == .exited(56))
        proxy.heal()
        proxy.add(.timeout)
        // Timed out.
        #expect(try await curl("--max-time", "0.5").end == .exited(28))
        proxy.refuse()
        // Failed to connect.
        try await eventually("a refusal") { try await curl("--max-time", "0.5").end == .exited(7) }
        proxy.heal()
        try await eventually("taken again") { try await curl().end == .exited(0) }
    }

    @Test func aSlowCloseIsAnEndThatComesLate() async throws {
        proxy.add(.slowClose(.milliseconds(700)), .toClient)
        let child = try client("BLPOP", "nothing", "0")
        try await eventually("a blocked client") { try await told("clients", "blocked_clients") == 1 }
        let took = try await elapsed {
            try await redis.command("CLIENT", "KILL", "SKIPME", "yes")
            // redis-cli tries once more; that one is cut off at once.
            try await eventually("the end of the first") { bitten("slow close") > 0 }
            #expect(proxy.counts.open == 1)
            try await eventually("the client has heard of it") { !child.isRunning || proxy.counts.connections > 1 }
        }
        #expect(took >= .milliseconds(700))
    }

    @Test func aBandwidthIsASpeed() async throws {
        try await redis.command("EVAL", "return redis.call('SET', 'big', string.rep('x', 200000))", "0")
        proxy.add(.bandwidth(200_000), .toClient)
        let took = try await elapsed { _ = try await ask("GET", "big") }
        #expect(took >= .milliseconds(800))
        #expect(bitten("bandwidth") > 0)
    }

    @Test func aMomentIsHeldUntilItIsReleased() async throws {
        let request = proxy.arm(.request("SET"))
        #expect(try await ask("PING") == "PONG\n")
        #expect(!request.isSprung)
        let first = try client("SET", "key", "value")
        try await request.sprung()
        #expect(try await kept("key") == nil)
        #expect(first.isRunning)
        request.release()
        #expect(try await first.ended() == "OK\n")
        #expect(try await kept("key") == "value")

        let reply = proxy.arm(.firstReply("other"))
        let second = try client("SET", "key", "other")
        try await reply.sprung()
        #expect(try await kept("key") == "other")
        #expect(second.isRunning)
        reply.release()
        #expect(try await second.ended() == "OK\n")

        let told = proxy.arm(.reply("other"))
        let third = try client("GET", "key")
        try await told.sprung()
        #expect(third.said.isEmpty)
        told.release()
        #expect(try await third.ended() == "other\n")
    }

    @Test func aConnectionIsHeldBeforeTheServerHearsOfIt() async throws {
        let before = try await told("stats", "total_connections_received")
        let accepted = proxy.arm(.accepted)
        let child = try client("PING")
        try await accepted.sprung()
        // That of the question itself.
        #expect(try await told("stats", "total_connections_received") == (before ?? 0) + 1)
        accepted.release()
        #expect(try await child.ended() == "PONG\n")
    }

    @Test func aToxicIsForThoseItNames() async throws {
        proxy.add(.reset, peer: "named")
        #expect(try await ask("PING") == "PONG\n")
        #expect(try await ask("ECHO", "named") != "named\n")
        #expect(bitten("reset") == 1)
    }

    @Test func aReplicaWhoseLinkIsABlackHoleConfirmsNothing() async throws {
        let replica = try await RedisServer([
            "--replicaof", "127.0.0.1 \(proxy.port)", "--repl-diskless-sync-delay", "0",
        ])
        try await eventually("the replica in step") {
            try await replica.command("INFO", "replication").string?.contains("master_link_status:up") == true
        }
        func confirmed(within milliseconds: Int = 20_000) async throws -> String? {
            let directory = try TemporaryDirectory()
            try Files.write("SET key value\nWAIT 1 \(milliseconds)\n", to: directory.file("commands"))
            let child = try ChildProcess(
                "redis-cli", ["-s", redis.socketPath], in: directory, name: "cli", input: directory.file("commands"))
            try await child.wait()
            return child.output
        }
        #expect(try await confirmed() == "OK\n1\n")
        proxy.add(.timeout, .toServer)
        #expect(try await confirmed(within: 300) == "OK\n0\n")
        proxy.heal()
        #expect(try await confirmed() == "OK\n1\n")
        #expect(proxy.counts.connections == 1)
    }
}
