import SignalKit
import TestSupport
import Testing

@testable import Host

/// The lists in which the sweeper finds what ends by itself.
@Suite(.serialized) struct SweepTests {
    private typealias Rig = GateRig

    @Test func whatEndsEarlierThanItDidIsFoundInTime() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        // Until it is forgotten, hours from now.
        _ = await rig.decide(try Rig.signal())
        _ = await rig.decide(try Rig.signal(ends: .minutes(4)))
        #expect(try await rig.number("ZCARD", "{test}:due") == 2)
        try await rig.at(.minutes(4))
        #expect(try await rig.delivery.sweep(most: 100).queued == false)
        try await rig.at(.minutes(5) + .seconds(5))
        #expect(try await rig.delivery.sweep(most: 100).queued)
        #expect(try await rig.deliver().map(\.reason) == [.expired])
    }

    @Test func anotherListsEntryCountsForNothing() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal(ends: .minutes(1)))
        _ = await rig.decide(try Rig.signal(ends: .minutes(30)))
        try await rig.at(.minutes(3))
        // Filed anew, once: the list that it was in is gone.
        #expect(try await rig.delivery.sweep(most: 100).queued == false)
        let lists = try await rig.redis.command("KEYS", "{test}:due:*").list.compactMap(\.string)
        #expect(lists.count == 1)
        let list = try #require(lists.first)
        #expect(try await rig.number("LLEN", list) == 1)
        // An old entry, as one that was filed before an earlier one is.
        let second = try #require(Int(list.split(separator: ":").last ?? ""))
        let script = """
            redis.call('RPUSH', KEYS[1], redis.call('LINDEX', KEYS[2], 0))
            return redis.call('ZADD', KEYS[3], ARGV[1], ARGV[1])
            """
        let early = second - 1_500
        try await rig.redis.command(
            "EVAL", script, "3", "{test}:due:\(early)", list, "{test}:due", String(early))
        try await rig.at(.minutes(10))
        #expect(try await rig.delivery.sweep(most: 100).queued == false)
        #expect(try await rig.redis.command("KEYS", "{test}:due:*").list.compactMap(\.string) == [list])
        #expect(try await rig.number("LLEN", list) == 1)
        try await rig.at(.minutes(32))
        #expect(try await rig.delivery.sweep(most: 100).queued)
    }

    /// However long ago it was seen last: filed anew, it is ahead.
    @Test func whatIsStillFiringAfterHoursIsLookedAtOnceAnHour() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        for place in 0..<5 { _ = await rig.decide(try Rig.signal("A\(place)")) }
        for minutes: Int64 in [61, 130, 200] {
            try await rig.at(.minutes(minutes))
            #expect(try await rig.delivery.sweep(most: 100).queued == false)
            let now = (GateRig.epoch + Duration.minutes(minutes).milliseconds) / 1_000
            #expect(try await rig.number("ZCOUNT", "{test}:due", "-inf", "\(now + 1)") == 0)
            #expect(try await rig.number("ZCARD", "{test}:due") == 1)
            #expect(try await rig.delivery.sweep(most: 5).more == false)
        }
        try await rig.at(.hours(26) + .minutes(1))
        #expect(try await rig.delivery.sweep(most: 100).queued)
        #expect(try await rig.deliver().map(\.reason) == Array(repeating: .forgotten, count: 5))
    }

    @Test func whatCanNotBeReadIsLookedAtUntilItIsMended() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal(ends: .minutes(1)))
        _ = try await rig.deliver()
        let key = "local key = redis.call('KEYS', '{test}:r:*')[1] "
        let lose = "redis.call('COPY', key, 'kept') return redis.call('SET', key, 'nonsense')"
        try await rig.redis.command("EVAL", key + lose, "0")
        for minute: Int64 in [3, 4] {
            try await rig.at(.minutes(minute))
            let sweep = try await rig.delivery.sweep(most: 100)
            #expect(sweep.fault == "a record is unreadable")
            #expect(!sweep.queued)
        }
        try await rig.redis.command("EVAL", key + "return redis.call('RENAME', 'kept', key)", "0")
        try await rig.at(.minutes(5))
        #expect(try await rig.delivery.sweep(most: 100).queued)
        #expect(try await rig.deliver().map(\.reason) == [.expired])
    }
}
