import SignalKit
import TestSupport
import Testing

@testable import Host

/// Times that a sender gave and that can't be: they decide nothing, now or later.
@Suite(.serialized) struct SenderClockTests {
    private typealias Rig = GateRig
    private static let never = Duration.seconds(75 * 365 * 86_400)

    private func rig(at time: Duration = .zero) async throws -> Rig {
        let rig = try await Rig()
        try await rig.at(time)
        return rig
    }

    @Test(arguments: [never, .minutes(2)])
    func anEndInTheFutureEndsThisEpisodeAndNoOther(_ ahead: Duration) async throws {
        let rig = try await rig()
        _ = await rig.decide(try Rig.signal(starts: .zero))
        try await rig.at(.minutes(10))
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(10) + ahead)) == .resolved)
        try await rig.at(.minutes(10) + .seconds(30))
        let again = await rig.decide(try Rig.signal(starts: .minutes(10) + .seconds(20)))[0]
        #expect(again.verdict == .accepted)
        try await rig.at(.minutes(11))
        let ended = await rig.decide(try Rig.signal("A", .resolved, ends: .minutes(10) + .seconds(50)))[0]
        #expect(ended.verdict == .resolved)
        #expect(ended.episode == again.episode)
        try await rig.at(.minutes(20))
        #expect(await rig.verdict(try Rig.signal(starts: .minutes(19))) == .accepted)
    }

    @Test func aSecondEndInTheFutureChangesNothing() async throws {
        let rig = try await rig()
        _ = await rig.decide(try Rig.signal(starts: .minutes(-5)))
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(-1))) == .resolved)
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: Self.never)) == .duplicate)
        try await rig.at(.minutes(1))
        #expect(await rig.verdict(try Rig.signal(starts: .seconds(50))) == .accepted)
    }

    @Test func anEndInTheFutureOfWhatWasNeverSeenHidesNothing() async throws {
        let rig = try await rig()
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: Self.never)) == .ignored)
        try await rig.at(.minutes(1))
        #expect(await rig.verdict(try Rig.signal(starts: .seconds(50))) == .accepted)
        try await rig.at(.minutes(2))
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .seconds(110))) == .resolved)
    }

    @Test(arguments: [never, .minutes(2)])
    func aStartInTheFutureDoesNotHoldOffTheEnd(_ ahead: Duration) async throws {
        let rig = try await rig()
        #expect(await rig.verdict(try Rig.signal(starts: ahead)) == .accepted)
        #expect(await rig.verdict(try Rig.signal(starts: ahead)) == .duplicate)
        try await rig.at(.minutes(1))
        // Sent late: the end was before the first report came in.
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .seconds(-10))) == .resolved)
    }

    @Test func aLaterReportGivesTheStartThatTheFirstOneDidNot() async throws {
        let rig = try await rig()
        _ = await rig.decide(try Rig.signal(starts: Self.never), try Rig.signal(starts: .minutes(-10)))
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(-11))) == .duplicate)
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(-9))) == .resolved)
    }

    /// Its own times agree with each other: what it repeats late is still told from what is new.
    @Test func aSenderWhoseClockIsALittleAheadIsComparedByItsOwnTime() async throws {
        let rig = try await rig()
        func says(_ status: Signal.Status, starts: Duration, ends: Duration? = nil, off: Duration = .seconds(55))
            throws -> GateSignal
        {
            try Rig.signal("A", status, starts: starts + off, ends: ends.map { $0 + off })
        }
        #expect(await rig.verdict(try says(.firing, starts: .zero)) == .accepted)
        try await rig.at(.seconds(10))
        #expect(await rig.verdict(try says(.resolved, starts: .zero, ends: .seconds(10))) == .resolved)
        try await rig.at(.seconds(20))
        let again = await rig.decide(try says(.firing, starts: .seconds(20)))[0]
        #expect(again.verdict == .accepted)
        try await rig.at(.minutes(3))
        #expect(await rig.verdict(try says(.resolved, starts: .zero, ends: .seconds(10))) == .duplicate)
        // Another replica of it, some seconds off.
        #expect(
            await rig.verdict(try says(.resolved, starts: .zero, ends: .seconds(10), off: .seconds(59))) == .duplicate)
        #expect(await rig.verdict(try says(.resolved, starts: .seconds(20), ends: .minutes(3))) == .resolved)
        #expect(await rig.verdict(try says(.firing, starts: .seconds(20))) == .duplicate)
    }
}
