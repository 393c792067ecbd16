import NIOConcurrencyHelpers
import NIOPosix
import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// What a server must be before a signal goes through it.
@Suite(.serialized) struct VerificationTests {
    private func refusal(_ redis: RedisServer) async throws -> RedisError {
        let rig = try await GateRig.shut(on: redis)
        return try await eventually(find: "a verdict on the server", within: .seconds(10)) {
            if case .shut(let reason) = rig.store.state, reason.code != .shut { reason } else { nil }
        }
    }

    @Test func aServerWithoutAOFIsNotDurable() async throws {
        let reason = try await refusal(RedisServer())
        #expect(reason.code == .notDurable)
        #expect(reason.message.contains("appendonly"))
    }

    @Test func aServerThatSyncsOnceASecondIsNotDurable() async throws {
        let reason = try await refusal(RedisServer(["--appendonly", "yes", "--appendfsync", "everysec"]))
        #expect(reason.code == .notDurable)
        #expect(reason.message.contains("everysec"))
    }

    @Test func aServerThatDoesNotSyncWhileItRewritesIsNotDurable() async throws {
        let reason = try await refusal(RedisServer.durable(["--no-appendfsync-on-rewrite", "yes"]))
        #expect(reason.code == .notDurable)
        #expect(reason.message.contains("no-appendfsync-on-rewrite"))
    }

    @Test func aServerWhoseAOFIsSwitchedOnButNotYetWrittenIsNotDurable() async throws {
        // The delay keeps the first rewrite going for as long as the test looks.
        let redis = try await RedisServer(["--appendfsync", "always", "--rdb-key-save-delay", "100000"])
        try await redis.command("EVAL", "for i = 1, 1000 do redis.call('SET', 'key' .. i, i) end", "0")
        try await redis.command("CONFIG", "SET", "appendonly", "yes")
        let reason = try await refusal(redis)
        #expect(reason.code == .notDurable)
        #expect(reason.message.contains("rewrite"))
    }

    /// It looks like that of a server whose AOF has just been switched on: until then a new AOF has no base either.
    @Test func theFirstRewriteOfAServerThatIsInUseShutsNothing() async throws {
        let redis = try await RedisServer.durable(["--rdb-key-save-delay", "100000"])
        let rig = try await GateRig(redis: redis)
        try await redis.command("EVAL", "for i = 1, 1000 do redis.call('SET', 'key' .. i, i) end", "0")
        try await redis.command("BGREWRITEAOF")
        try await eventually("a rewrite without a base") {
            let text = try await redis.command("INFO", "persistence").string ?? ""
            return text.contains("aof_rewrite_in_progress:1") && text.contains("aof_base_size:0\r\n")
        }
        let connection = try await RedisConnection.connect(
            to: RedisEndpoint(.unix(path: redis.socketPath)), on: MultiThreadedEventLoopGroup.singleton.next())
        defer { connection.close() }
        try await rig.gate.verification.verify(connection, .open)
        #expect(rig.store.state == .open)
        // One that was without a log meanwhile has nothing in it yet.
        try await redis.command("CONFIG", "SET", "appendonly", "no")
        await #expect(throws: RedisError.self) { try await rig.gate.verification.verify(connection, .open) }
        try await redis.command("CONFIG", "SET", "appendonly", "yes")
        await #expect(throws: RedisError.self) { try await rig.gate.verification.verify(connection, .open) }
    }

    @Test func aServerThatEvictsIsRefused() async throws {
        let reason = try await refusal(RedisServer.durable(["--maxmemory-policy", "allkeys-lru"]))
        #expect(reason.code == .rejected)
        #expect(reason.message.contains("noeviction"))
    }

    private func verify(_ rig: GateRig, _ occasion: RedisStore.Occasion) async throws -> RedisError? {
        let connection = try await RedisConnection.connect(
            to: RedisEndpoint(.unix(path: rig.redis.socketPath)), on: MultiThreadedEventLoopGroup.singleton.next())
        defer { connection.close() }
        do throws(RedisError) { try await rig.gate.verification.verify(connection, occasion) } catch { return error }
        return nil
    }

    /// Such as after a failover to a replica that is behind, and that has no replica of its own yet. Each attempt takes a reading there.
    @Test func aStoreThatWasSetBackIsToldWhenItIsRefusedAtFirst() async throws {
        let rig = try await GateRig()
        try await rig.at(.minutes(10))
        _ = await rig.decide(try GateRig.signal("A"))
        #expect(try await verify(rig, .open) == nil)
        try await rig.set(clock: GateRig.reading(.minutes(5)))
        try await rig.redis.command("CONFIG", "SET", "appendfsync", "everysec")
        try await rig.at(.minutes(11))
        for _ in 1...2 { #expect(try await verify(rig, .opening)?.code == .notDurable) }
        try await rig.redis.command("CONFIG", "SET", "appendfsync", "always")
        #expect(try await verify(rig, .opening) == nil)
        #expect(try await verify(rig, .opening) == nil)
        #expect(rig.witness.losses.map { $0.prefix(28) } == ["the store is older than befo"])
    }

    @Test func aStoreThatWasEmptiedOrSetBackIsTold() async throws {
        let rig = try await GateRig()
        #expect(rig.witness.losses == [])
        let born = try await rig.redis.command("GET", "{test}:born").string
        try await rig.set(clock: 4_999_999_999_999_999)
        func verified(_ occasion: RedisStore.Occasion) async throws -> RedisError? {
            try await verify(rig, occasion)
        }
        #expect(try await verified(.open) == nil)
        #expect(rig.witness.losses == [])
        // An older copy of itself. One that is open must be shut first, and opened again.
        try await rig.set(clock: 4_500_000_000_000_000)
        #expect(try await verified(.open)?.code == .emptied)
        #expect(rig.witness.losses == [])
        #expect(try await verified(.opening) == nil)
        #expect(rig.witness.losses.map { $0.prefix(28) } == ["the store is older than befo"])
        _ = try await rig.redis.command("FLUSHALL")
        #expect(try await verified(.open)?.code == .emptied)
        #expect(try await verified(.opening) == nil)
        #expect(try await verified(.opening) == nil)
        #expect(rig.witness.losses.count == 2)
        #expect(rig.witness.losses.last?.hasPrefix("the store was emptied on the same server") == true)
        #expect(rig.witness.met == 0, "it is the same server")
        #expect(try await rig.redis.command("GET", "{test}:born").string != born)
    }

    @Test func aServerInClusterModeIsRefused() async throws {
        // By itself it would take a port of the kernel's own range.
        let reason = try await refusal(
            RedisServer.durable(["--cluster-enabled", "yes", "--cluster-port", String(try freePort())]))
        #expect(reason.code == .rejected || reason.code == .masterDown, "\(reason)")
        #expect(reason.message.contains("cluster"), "\(reason)")
    }

    @Test func aReplicaIsRefused() async throws {
        let redis = try await RedisServer.durable()
        try await redis.command("REPLICAOF", "127.0.0.1", "1")
        let reason = try await refusal(redis)
        #expect([.readOnly, .masterDown].contains(reason.code), "\(reason)")
    }

    @Test(arguments: ["hset", "zadd", "unlink", "zrevrange", "hincrby", "smembers"])
    func aUserWithoutOneOfTheScriptsCommandsIsFoundBeforeAnyTraffic(_ command: String) async throws {
        let redis = try await RedisServer.durable()
        try await redis.command("ACL", "SETUSER", "default", "-\(command)")
        let reason = try await refusal(redis)
        #expect(reason.code == .noPermission)
        #expect(reason.message.lowercased().contains(command))
        let rig = try await GateRig.shut(on: redis)
        let outcome = await rig.decide(try GateRig.signal())[0]
        #expect(outcome.verdict == .unavailable)
        #expect(outcome.detail == "deduplication service unavailable")
        try await redis.command("ACL", "SETUSER", "default", "+@all")
        #expect(try await redis.command("KEYS", "{test}:r:*").list.isEmpty)
    }

    @Test func aUserWhoMayNotTouchTheKeysIsFoundBeforeAnyTraffic() async throws {
        let redis = try await RedisServer.durable()
        try await redis.command("ACL", "SETUSER", "default", "resetkeys", "~other:*")
        #expect(try await refusal(redis).code == .noPermission)
    }

    @Test func aServerOutOfMemoryIsVerifiedAndRefusesSignalsByItself() async throws {
        let rig = try await GateRig()
        _ = await rig.decide(try GateRig.signal())
        try await rig.redis.command("CONFIG", "SET", "maxmemory", "1")
        let outcome = await rig.decide(try GateRig.signal("B"))[0]
        #expect(outcome.verdict == .unavailable)
        #expect(rig.store.state == .open)
        // What drains the store goes on, or nothing ever would.
        #expect(try await rig.deliver().count == 1)
        try await rig.redis.command("CONFIG", "SET", "maxmemory", "0")
        #expect(await rig.verdict(try GateRig.signal("B")) == .accepted)
    }

    @Test func theCanaryLeavesNothingBehind() async throws {
        let rig = try await GateRig()
        #expect(try await rig.redis.command("KEYS", "{test}:canary:*").list.isEmpty)
    }

    @Test func noScriptRaisesATableOfItsOwn() throws {
        // Redis 7.0 ends its process when a table without `err` leaves a script; kit.fault is the one place that raises.
        for file in Files.tree(Repository.path("Sources")) where file.hasSuffix(".lua") {
            let text = try Repository.text("Sources/" + file)
            let raises = text.split(separator: "\n").filter {
                $0.contains("error(") && !$0.contains("redis.error_reply(")
            }
            #expect(raises.count == (file.hasSuffix("prelude.lua") ? 1 : 0), "\(file): \(raises)")
        }
    }
}
