import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// The store's clock: readings in µs, for changes only; times, ends and windows go by the server's time.
@Suite(.serialized) struct ClockTests {
    private typealias Rig = GateRig

    /// Near the highest number that a script can count with: seven bytes of each layout.
    private static let high: Int64 = 9_007_199_254_000_000

    @Test func everyLayoutHoldsAHighReading() async throws {
        let rig = try await Rig(storm: [Rig.section("rate", Rig.entry("count", "2"), Rig.entry("per", "1m"))])
        try await rig.set(clock: Self.high)
        for number in 0..<4 {
            let outcome = await rig.decide(try Rig.signal("S", target: "pod\(number)"))[0]
            #expect(outcome.episode ?? 0 > Self.high)
        }
        #expect(await rig.verdict(try Rig.signal("S", target: "pod0")) == .duplicate)
        #expect(await rig.verdict(try Rig.signal("S", .resolved, target: "pod0")) == .resolved)
        #expect(await rig.verdict(try Rig.signal("S", .resolved, target: "pod3")) == .resolved)
        let told = try await rig.deliver()
        #expect(told.allSatisfy { $0.episode > Self.high && $0.version > Self.high })
        let storm = try #require(try await rig.delivery.storms(nil, most: 10).first)
        #expect(storm.members == 2 && storm.firing == 1)
        #expect(try await rig.delivery.storms(storm.id, most: 10).first?.listed.count == 2)
    }

    /// A clock that is ahead of the time ends nothing early, and holds no delivery back.
    @Test func aClockAheadOfTheTimeMovesNoEndAndNoDueTime() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        try await rig.set(clock: Rig.reading(.hours(30)))
        _ = await rig.decide(try Rig.signal("A", starts: .zero, ends: .minutes(4)))
        #expect(try await rig.deliver().count == 1)
        #expect(try await rig.delivery.sweep(most: 10).queued == false)
        #expect(await rig.verdict(try Rig.signal("A", starts: .zero, ends: .minutes(4))) == .duplicate)
        try await rig.at(.minutes(5) + .seconds(1))
        #expect(try await rig.delivery.sweep(most: 10).queued)
        #expect(try await rig.deliver().map(\.reason) == [.expired])
    }

    /// The start of an episode is a reading, its last sighting a time of the server.
    @Test func withTheClockAheadNoDeliveryBeginsAfterItsLastSighting() async throws {
        let rig = try await Rig(storm: [Rig.section("rate", Rig.entry("count", "2"), Rig.entry("per", "1m"))])
        try await rig.at(.zero)
        try await rig.set(clock: Rig.reading(.hours(1)))
        for number in 0...3 { _ = await rig.decide(try Rig.signal("S", target: "pod\(number)")) }
        // Told once, then skipped twice.
        _ = await rig.decide(try Rig.signal("A"))
        let told = try await rig.deliver()
        for minute: Int64 in [2, 4, 6] {
            try await rig.at(.minutes(minute))
            _ = await rig.decide(try Rig.signal("A", .resolved))
            _ = await rig.decide(try Rig.signal("A", starts: .minutes(minute) + .milliseconds(1)))
        }
        let later = try await rig.deliver()
        #expect(told.count == 4 && told.contains { $0.kind == .storm } && later.map(\.skipped?.episodes) == [2])
        for delivery in told + later {
            #expect(delivery.first <= delivery.last && delivery.last <= Rig.time(.minutes(6)), "\(delivery.id)")
            #expect(delivery.skipped?.first ?? delivery.first <= delivery.last)
            let text = String(decoding: delivery.json, as: UTF8.self)
            #expect(text.contains("\"first\":\"\(delivery.first)\""))
        }
        #expect(told.allSatisfy { $0.first == Rig.time(.zero) })
    }

    @Test func callsThatChangeNothingLeaveTheClockWhereItIs() async throws {
        let rig = try await Rig()
        try await rig.set(clock: Rig.reading(.hours(1)))
        _ = await rig.decide(try Rig.signal("A"))
        let before = try await rig.number("GET", "{test}:clock")
        for _ in 0..<100 { _ = await rig.decide(try Rig.signal("A")) }
        #expect(try await rig.number("GET", "{test}:clock") == before)
    }

    /// A sink that knows the episode of before drops an older one: nothing would be written, and counted as delivered.
    @Test func anEmptiedStoreStartsAboveTheHighestReadingThatItsHostKnows() async throws {
        let rig = try await Rig(replay: "0")
        try await rig.at(.zero)
        try await rig.set(clock: Rig.reading(.minutes(5)))
        let before = try #require(await rig.decide(try Rig.signal("A"))[0].episode)
        #expect(try await rig.deliver().count == 1)
        try await rig.redis.command("FLUSHALL")
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("Witness"))
        try await eventually("an open store") { rig.store.state == .open }
        let after = try #require(await rig.decide(try Rig.signal("A"))[0].episode)
        #expect(after > before)
    }
}
