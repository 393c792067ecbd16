import SignalKit
import TestSupport
import Testing

@testable import Host

/// Claims and acknowledgements of many at a time.
@Suite(.serialized) struct ClaimTests {
    private typealias Rig = GateRig

    @Test func aClaimSaysWhetherMoreIsDue() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        for name in ["A", "B", "C"] { _ = await rig.decide(try Rig.signal(name)) }
        func claim(_ most: Int) async throws -> DeliveryStore.Claimed {
            try await rig.delivery.claim("file", most: most)
        }
        let (first, second, third) = (try await claim(2), try await claim(2), try await claim(2))
        #expect(first.more && !second.more && !third.more)
        #expect([first, second, third].map(\.claims.count) == [2, 1, 0])
    }

    /// It stays queued, and its next attempt is not the first: the sink may have it.
    @Test func oneThatCanNotBeReadAnyMoreHoldsUpNoOther() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        for name in ["A", "B", "C"] { _ = await rig.decide(try Rig.signal(name)) }
        let claims = try await rig.claims()
        let key = "local key = redis.call('KEYS', '{test}:r:*')[1] "
        let lose = "redis.call('COPY', key, 'kept') return redis.call('SET', key, 'nonsense')"
        try await rig.redis.command("EVAL", key + lose, "0")
        let words = try await rig.delivery.acknowledge("file", claims)
        #expect(words.filter { $0 == .settled }.count == 2)
        #expect(words.filter { $0 == .changed }.count == 1)
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 1)
        let mend = """
            for _, key in ipairs(redis.call('KEYS', '{test}:r:*')) do
              if redis.call('GET', key) == 'nonsense' then return redis.call('RENAME', 'kept', key) end
            end
            """
        try await rig.redis.command("EVAL", mend, "0")
        try await rig.at(.minutes(2))
        let again = try await rig.claims()
        try #require(again.map(\.attempt) == [2])
        #expect(again.map(\.delivery.version) == claims.filter { $0.member == again[0].member }.map(\.delivery.version))
    }
}
