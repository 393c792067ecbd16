import NIOConcurrencyHelpers
import NIOPosix
import TestSupport
import Testing

@testable import Redis

/// Real Sentinels over real servers.
@Suite struct SentinelsTests {
    private static let loop = MultiThreadedEventLoopGroup.singleton.next()

    private func nodes(_ ports: [Int], password: String? = nil) -> [RedisEndpoint] {
        ports.map { RedisEndpoint(.tcp(host: "127.0.0.1", port: $0), password: { password }) }
    }

    private func sentinels(_ ports: [Int], _ name: String = RedisGroup.name, password: String? = nil) -> Sentinels {
        let server = RedisEndpoint(.tcp(host: "unknown", port: 0), database: 3, username: "me")
        return Sentinels(master: name, nodes: nodes(ports, password: password), server: server)
    }

    private func failure(_ body: () async throws(RedisError) -> RedisEndpoint) async -> RedisError? {
        do throws(RedisError) {
            _ = try await body()
            return nil
        } catch {
            return error
        }
    }

    @Test func whicheverAnswersNamesTheMaster() async throws {
        let group = try await RedisGroup()
        let master = RedisEndpoint.Address.tcp(host: "127.0.0.1", port: try #require(group.servers[0].port))
        let all = sentinels(group.sentinelPorts)
        let found = try await all.locate(on: Self.loop)
        // The login is the master's, not the Sentinels'.
        #expect(found.address == master && found.database == 3 && found.username == "me")
        group.sentinels[0].kill()
        group.sentinels[1].signal(19)
        #expect(try await all.locate(on: Self.loop).address == master)
        let nobody = await failure { () async throws(RedisError) in
            try await sentinels([group.sentinelPorts[0]]).locate(on: Self.loop)
        }
        #expect(nobody?.code == .refused && nobody?.message.contains("Sentinel 127.0.0.1") == true)
        let frozen = await failure { () async throws(RedisError) in
            try await sentinels([group.sentinelPorts[1]]).locate(on: Self.loop)
        }
        #expect(frozen?.code == .timedOut)
        let unknown = await failure { () async throws(RedisError) in
            try await sentinels([group.sentinelPorts[2]], "other").locate(on: Self.loop)
        }
        #expect(unknown?.code == .rejected)
        #expect(unknown?.message.contains("no master is called other at the Sentinel 127.0.0.1") == true)
        group.sentinels[1].signal(18)
    }

    @Test func theSentinelsHaveALoginOfTheirOwn() async throws {
        let group = try await RedisGroup(password: "watchful")
        let right = try await sentinels(group.sentinelPorts, password: "watchful").locate(on: Self.loop)
        #expect(right.address == .tcp(host: "127.0.0.1", port: try #require(group.servers[0].port)))
        for wrong in [nil, "careless"] {
            let error = await failure { () async throws(RedisError) in
                try await sentinels(group.sentinelPorts, password: wrong).locate(on: Self.loop)
            }
            #expect(error?.code == .noAuth)
        }
    }

    /// What a failover may be learnt by.
    enum Way: CaseIterable { case subscription, poll, both }

    @Test(arguments: [(Way.subscription, true), (.poll, true), (.both, false)])
    func aFailoverIsHeardOf(_ way: Way, _ byHand: Bool) async throws {
        let group = try await RedisGroup(down: 500)
        // Nobody listens there.
        let deaf = nodes([try freePort()])
        let all = Sentinels(
            master: RedisGroup.name, nodes: nodes(group.sentinelPorts),
            server: RedisEndpoint(.tcp(host: "unknown", port: 0)),
            poll: way == .subscription ? .seconds(3_600) : .seconds(1), heralds: way == .poll ? deaf : nil)
        let (old, new) = (try #require(group.servers[0].port), try #require(group.servers[1].port))
        #expect(try await all.locate(on: Self.loop).address == .tcp(host: "127.0.0.1", port: old))
        let found = NIOLockedValueBox<Set<Int>>([])
        let watching = Task {
            await all.watch(on: Self.loop) { address in
                if case .tcp(_, let port) = address { found.withLockedValue { _ = $0.insert(port) } }
            }
        }
        try await eventually("a first round") { all.sentinels != nil }
        // To all: only the one that leads the failover says so at once.
        if way != .poll { try await eventually("subscriptions") { try await subscribers(group) == 3 } }
        if byHand {
            _ = try await group.sentinel(0, "SENTINEL", "failover", RedisGroup.name)
        } else {
            group.servers[0].kill()
        }
        try await eventually("the new master", within: .seconds(30)) { found.withLockedValue { $0 } == [new] }
        // Nobody need be asked for what was heard.
        #expect(all.state.withLockedValue { $0.news } == .tcp(host: "127.0.0.1", port: new))
        #expect(try await all.locate(on: Self.loop).address == .tcp(host: "127.0.0.1", port: new))
        watching.cancel()
        await watching.value
    }

    /// Of all Sentinels together, other Sentinels not counted.
    private func subscribers(_ group: RedisGroup) async throws -> Int {
        var count = 0
        for place in group.sentinelPorts.indices {
            let clients = try await group.sentinel(place, "CLIENT", "LIST").string ?? ""
            count += clients.split(whereSeparator: \.isNewline).count {
                $0.contains(" name=portcullis ") && $0.contains(" sub=1 ")
            }
        }
        return count
    }

    @Test func aMessageIsReadOrLeft() {
        func message(_ text: String, _ kind: String = "message") -> RedisValue {
            .array([.bytes(Array(kind.utf8)), .bytes(Array("+switch-master".utf8)), .bytes(Array(text.utf8))])
        }
        let moved = Sentinels.moved(message("mymaster 10.0.0.1 6379 10.0.0.2 6380"), "mymaster")
        #expect(moved?.from == .tcp(host: "10.0.0.1", port: 6_379))
        #expect(moved?.to == .tcp(host: "10.0.0.2", port: 6_380))
        for other in [
            "other 10.0.0.1 6379 10.0.0.2 6380", "mymaster 10.0.0.2 x", "mymaster a 1 b x", "mymaster a x b 2", "",
        ] {
            #expect(Sentinels.moved(message(other), "mymaster") == nil)
        }
        #expect(Sentinels.moved(message("mymaster a 1 b 2", "subscribe"), "mymaster") == nil)
        #expect(Sentinels.moved(.integer(1), "mymaster") == nil)
    }
}
