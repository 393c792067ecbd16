import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing

@testable import Redis

/// Sentinels that are set up wrongly, or disagree. All are real.
@Suite struct SentinelSetupTests {
    private let server: RedisServer
    private let good: LoneSentinel

    init() async throws {
        server = try await RedisServer()
        good = try await LoneSentinel([("mymaster", server.port ?? 0)])
    }

    private func sentinels(
        _ nodes: [RedisEndpoint], _ change: (inout RedisEndpoint) -> Void = { _ in }
    ) -> Sentinels {
        var changed = nodes
        for place in changed.indices { change(&changed[place]) }
        return Sentinels(
            master: "mymaster", nodes: changed, server: RedisEndpoint(.tcp(host: "unknown", port: 0)),
            poll: .milliseconds(50), patience: .seconds(5))
    }

    private func failure(_ sentinels: Sentinels) async -> RedisError? {
        do throws(RedisError) {
            _ = try await sentinels.locate(on: loops.next())
            return nil
        } catch {
            return error
        }
    }

    private var master: RedisEndpoint.Address { .tcp(host: "127.0.0.1", port: server.port ?? 0) }

    @Test func aNameThatNobodyKnowsIsRejectedOnceAllWereAsked() async throws {
        let (one, two) = (try await LoneSentinel([]), try await LoneSentinel([("other", server.port ?? 0)]))
        let error = await failure(sentinels([one.endpoint, two.endpoint]))
        #expect(error?.code == .rejected)
        #expect(
            error?.message
                == "no master is called mymaster at the Sentinels 127.0.0.1:\(one.port), 127.0.0.1:\(two.port): state.redis.sentinel.master is the name in their `sentinel monitor`"
        )
        let some = sentinels([one.endpoint, two.endpoint, good.endpoint])
        #expect(try await some.locate(on: loops.next()).address == master)
        // Whoever is away may know it.
        two.process.kill()
        let fewer = await failure(sentinels([one.endpoint, two.endpoint]))
        #expect(fewer?.code == .refused)
        #expect(fewer?.message.contains("no master is called mymaster at the Sentinel 127.0.0.1:\(one.port)") == true)
        #expect(fewer?.message.contains("Sentinel 127.0.0.1:\(two.port): can't connect") == true)
    }

    @Test func aRedisServerIsNoSentinel() async throws {
        let wrong = RedisEndpoint(master)
        let error = await failure(sentinels([wrong]))
        #expect(error?.code == .rejected)
        #expect(error?.message.contains("is a Redis server and no Sentinel") == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("state.redis.sentinel.nodes") == true)
        #expect(try await sentinels([wrong, good.endpoint]).locate(on: loops.next()).address == master)
    }

    @Test func aSentinelIsNoRedisServer() async throws {
        do throws(RedisError) {
            let wrong = RedisEndpoint(.tcp(host: "127.0.0.1", port: good.port))
            _ = try await RedisConnection.connect(to: wrong, on: loops.next(), timeout: .seconds(20))
            Issue.record("connected")
        } catch {
            #expect(error.code == .rejected)
            #expect(error.message.contains("a Sentinel goes into state.redis.sentinel.nodes"), "\(error.message)")
        }
    }

    @Test func theSentinelsOwnLoginIsToldFromTheServers() async throws {
        let locked = try await LoneSentinel([("mymaster", server.port ?? 0)], ["requirepass hush"])
        for password in [nil, "wrong"] {
            let error = await failure(sentinels([locked.endpoint]) { $0.password = { password } })
            #expect(error?.code == .noAuth)
            #expect(
                error?.message.contains(
                    "see state.redis.sentinel.username and password_file, which are the Sentinels' own")
                    == true, "\(error?.message ?? "")")
        }
        let open = await failure(sentinels([good.endpoint]) { $0.password = { "none is asked for" } })
        #expect(open?.code == .noAuth && open?.message.contains("state.redis.sentinel.username") == true)
        _ = try await good.command("ACL", "SETUSER", "me", "on", ">pw", "-@all", "+subscribe")
        let poor = await failure(sentinels([good.endpoint]) { ($0.username, $0.password) = ("me", { "pw" }) })
        #expect(poor?.code == .noPermission)
        #expect(poor?.message.contains("what state.redis.sentinel.username must be allowed") == true)
    }

    @Test func whoeverAsksAgainIsSentToWhereAnotherOnePoints() async throws {
        let elsewhere = try await LoneSentinel([("mymaster", 1)])
        let both = sentinels([elsewhere.endpoint, good.endpoint])
        var found: [RedisEndpoint.Address] = []
        for _ in 0..<4 { found.append(try await both.locate(on: loops.next()).address) }
        let other = RedisEndpoint.Address.tcp(host: "127.0.0.1", port: 1)
        #expect(found == [other, master, other, master])
    }

    /// - Parameter wrong: how many of three name a replica.
    @Test(arguments: [1, 2]) func theOneWhoseMasterSaysThatItIsOneIsFollowed(_ wrong: Int) async throws {
        let elsewhere = try await RedisServer()
        let replica = try await RedisServer(["--replicaof", "127.0.0.1 \(elsewhere.port ?? 0)"])
        var nodes: [LoneSentinel] = []
        for _ in 0..<wrong { nodes.append(try await LoneSentinel([("mymaster", replica.port ?? 0)])) }
        for _ in wrong..<3 { nodes.append(try await LoneSentinel([("mymaster", server.port ?? 0)])) }
        let witness = Witness()
        let all = sentinels(nodes.map(\.endpoint))
        let store = RedisStore(
            endpoint: all, group: loops.next(), timeout: .seconds(5), scripts: [],
            verify: { (connection, _) async throws(RedisError) in
                guard try await connection.send(RedisCommand("ROLE")).list?.first?.string == "master" else {
                    throw RedisError(.readOnly, "no master")
                }
            }, observer: witness, log: quiet)
        let running = Task { await store.run() }
        try await eventually("an open store") { store.state == .open }
        try await eventually("all have answered") { all.sentinels.map { $0 == (3, 3) } == true }
        // In a while there are ten rounds of questions.
        let before = try await nodes[0].commands
        try await eventually("ten rounds") { try await nodes[0].commands > before + 10 * 2 }
        #expect(store.state == .open && witness.opened == 1, "\(witness.shut)")
        let port = try await store.send(RedisCommand("CONFIG", "GET", "port")).list?.last?.string
        #expect(port == server.port.map(String.init))
        running.cancel()
        await running.value
    }

    @Test func theSentinelsThatAnswerAreCounted() async throws {
        let other = try await LoneSentinel([("mymaster", server.port ?? 0)])
        let ignorant = try await LoneSentinel([])
        let all = sentinels([good.endpoint, other.endpoint, ignorant.endpoint])
        #expect(all.sentinels == nil)
        let watching = Task { await all.watch(on: loops.next()) { _ in } }
        try await eventually("two that name a master") { all.sentinels.map { $0 == (2, 3) } == true }
        other.process.kill()
        try await eventually("one") { all.sentinels.map { $0 == (1, 3) } == true }
        watching.cancel()
        await watching.value
        #expect(all.sentinels == nil)
    }

    @Test func aSentinelThatHangsIsSubscribedToAgain() async throws {
        let other = try await LoneSentinel([("mymaster", server.port ?? 0)])
        let all = Sentinels(
            master: "mymaster", nodes: [good.endpoint, other.endpoint],
            server: RedisEndpoint(.tcp(host: "unknown", port: 0)), poll: .milliseconds(50))
        func subscribers(_ sentinel: LoneSentinel) async throws -> Int {
            let clients = try await sentinel.command("CLIENT", "LIST").string ?? ""
            return clients.split(whereSeparator: \.isNewline).count { $0.contains(" sub=1 ") }
        }
        let watching = Task { await all.watch(on: loops.next()) { _ in } }
        for sentinel in [good, other] {
            try await eventually("a subscription") { try await subscribers(sentinel) == 1 }
        }
        good.process.signal(19)
        try await eventually("one less") { all.state.withLockedValue { $0.subscriptions.keys.sorted() } == [1] }
        good.process.signal(18)
        try await eventually("a new one") { all.state.withLockedValue { $0.subscriptions.keys.sorted() } == [0, 1] }
        watching.cancel()
        await watching.value
    }
}
