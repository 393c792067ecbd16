import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// A member of a storm never has an object of its own; the record remembers the last episode that had one.
@Suite(.serialized) struct StormMemberTests {
    private typealias Rig = GateRig

    private static let storm = [
        Rig.section("rate", Rig.entry("count", "2"), Rig.entry("per", "1m")), Rig.entry("quiet", "1h"),
        Rig.entry("longest", "2h"),
    ]

    private func member(_ number: Int, _ status: Signal.Status = .firing, at: Duration) throws -> GateSignal {
        try Rig.signal("S", status, starts: at, ends: status == .resolved ? at : nil, target: "pod\(number)")
    }

    private func signals(_ rig: Rig) async throws -> [Delivery] {
        try await rig.deliver().filter { $0.kind == .signal }
    }

    /// Members 0 to 4 of an open storm, of which 0 and 1 had an object before it.
    private func opened() async throws -> Rig {
        let rig = try await Rig(storm: Self.storm)
        try await rig.at(.zero)
        for number in 0..<5 { _ = await rig.decide(try member(number, at: .zero)) }
        #expect(try await signals(rig).count == 2)
        return rig
    }

    @Test func aMemberThatFlapsWhileTheSinkIsSlowHasNoObjectOfItsOwn() async throws {
        let rig = try await opened()
        for second in stride(from: 10, to: 50, by: 20) {
            try await rig.at(.seconds(second))
            #expect(await rig.verdict(try member(4, .resolved, at: .seconds(second))) == .resolved)
            try await rig.at(.seconds(second + 10))
            #expect(await rig.verdict(try member(4, at: .seconds(second + 10))) == .aggregated)
        }
        #expect(try await signals(rig).isEmpty)
    }

    @Test func membersThatWereMembersBeforeAreRestoredWithoutObjects() async throws {
        let rig = try await opened()
        for number in 2..<5 {
            try await rig.at(.seconds(10))
            _ = await rig.decide(try member(number, .resolved, at: .seconds(10)))
            try await rig.at(.seconds(20))
            #expect(await rig.verdict(try member(number, at: .seconds(20))) == .aggregated)
        }
        _ = try await signals(rig)
        try await rig.redis.command("FLUSHALL")
        try await rig.at(.seconds(20))
        await rig.expectFoundEmpty()
        let restored = try await signals(rig)
        let known = try (0..<2).map { "\(try member($0, at: .zero).fingerprint)" }
        #expect(Set(restored.map(\.fingerprint)).isSubset(of: known))
    }

    /// Its sink knows the end by the same id, with the count that it had.
    @Test func theEndOfTheEpisodeBeforeTheStormKeepsItsIdAndCount() async throws {
        let rig = try await opened()
        try await rig.at(.seconds(5))
        _ = await rig.decide(try member(0, at: .zero))
        try await rig.at(.seconds(10))
        _ = await rig.decide(try member(0, .resolved, at: .seconds(10)))
        let told = try #require(try await signals(rig).first)
        #expect(told.state == .resolved)
        #expect(told.count == 2)
        try await rig.at(.seconds(20))
        #expect(await rig.verdict(try member(0, at: .seconds(20))) == .aggregated)
        try await rig.redis.command("FLUSHALL")
        try await rig.at(.seconds(20))
        await rig.expectFoundEmpty()
        let fingerprint = "\(try member(0, at: .zero).fingerprint)"
        let again = try #require(try await signals(rig).first { $0.fingerprint == fingerprint })
        #expect(again.id == told.id)
        #expect(again.count == told.count)
    }
}
