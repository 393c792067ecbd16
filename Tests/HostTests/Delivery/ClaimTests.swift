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
            try await rig.delivery.claim("file", by: rig.call(), most: most)
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
        let words = try #require(try await rig.delivery.acknowledge("file", claims))
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

    /// Attempts that nobody has counted are some, and no host falls over them.
    @Test(arguments: ["9223372036854775807", "-9223372036854775808", "1e300", "-1", "nan", "many"])
    func aCountThatCantBeIsTakenForOne(_ count: String) async throws {
        let rig = try await Rig()
        let signal = try Rig.signal()
        _ = await rig.decide(signal)
        _ = try await rig.answer(
            "HSET", [Array("{test}:a:file".utf8), signal.fingerprint.bytes, Array(count.utf8)])
        #expect(try await rig.claims().map(\.attempt) == [2])
    }

    /// An answer is bounded by what it becomes at the host.
    @Test func whatIsStoredSmallCountsAsItIs() async throws {
        let rig = try await Rig()
        let note = String(repeating: "the same words again and again, ", count: 4_000)
        for number in 0..<100 {
            let name = Identity.Field("alertname", "A\(number)")
            let signal = try Signal(
                identity: Identity(family: "alert", fields: [name]), name: name.value, status: .firing,
                labels: Labels([]),
                annotations: Labels([.init("note", note)], longestValue: Signal.Bounds.annotationValue))
            _ = await rig.decide(
                to: Workers(of: rig, isForLater: true), GateSignal(Fingerprint(signal.identity), signal, from: .none))
        }
        let found = try await rig.delivery.claim("file", by: rig.call(), most: 256)
        #expect(found.more)
        #expect(found.claims.count < 100)
        #expect(found.claims.reduce(0) { $0 + $1.delivery.json.count } < 16 << 20)
    }
}
