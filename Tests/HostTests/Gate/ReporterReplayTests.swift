import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// Two hosts answer for one problem, and each writes its own latest state of it again. The later word of each reporter stands: a problem
/// that is over stays over.
@Suite(.serialized) struct ReporterReplayTests {
    private typealias Rig = GateRig

    private struct Pair {
        let one: Rig
        let two: Rig

        init() async throws {
            let redis = try await RedisServer.durable()
            one = try await Rig(redis: redis)
            two = try await Rig(redis: redis)
        }

        /// Redis comes back as another run, with all that it had; or empty. Host one writes its state again, then host two.
        func replay(empty: Bool = false, at time: Duration) async throws {
            if empty { try await one.redis.command("FLUSHALL") } else { try await one.redis.restart() }
            for rig in [one, two] {
                _ = await rig.decide(try Rig.signal("Witness"))
                try await eventually("an open store") {
                    rig.store.state == .open && (empty ? !rig.witness.replays.isEmpty : rig.witness.met == 1)
                }
                if empty { try await one.at(time) }
            }
        }

        /// What host two tells the sink of the problem: host one keeps the state that it answered.
        func told() async throws -> [Delivery.State] {
            try await two.deliver().filter { $0.signal?.name == "A" }.map(\.state)
        }
    }

    private func firing(from reporter: String, ends: Duration? = nil) throws -> GateSignal {
        try Rig.signal("A", starts: .zero, ends: ends, from: reporter)
    }

    private func resolved(from reporter: String, at time: Duration) throws -> GateSignal {
        try Rig.signal("A", .resolved, starts: .zero, ends: time, from: reporter)
    }

    @Test func aReporterWhoseOwnEndHadPassedDoesNotReviveAProblemThatAnotherResolved() async throws {
        let pair = try await Pair()
        #expect(await pair.one.verdict(try firing(from: "prometheus", ends: .seconds(10))) == .accepted)
        #expect(await pair.one.verdict(try firing(from: "alertmanager")) == .duplicate)
        try await pair.one.at(.minutes(6))
        #expect(await pair.one.verdict(try firing(from: "alertmanager")) == .duplicate)
        #expect(await pair.two.verdict(try resolved(from: "alertmanager", at: .minutes(5))) == .resolved)
        #expect(try await pair.told() == [.resolved])
        let before = try await pair.one.record("A")
        try await pair.replay(at: .minutes(6))
        #expect(try await pair.told() == [])
        #expect(try await pair.one.record("A") == before)
    }

    /// A firing that holds by its own end, which the sweep or the end of the others took along.
    @Test func anEndByTimeIsNewerThanTheFiringBeforeIt() async throws {
        let pair = try await Pair()
        #expect(await pair.one.verdict(try firing(from: "prometheus", ends: .hours(1))) == .accepted)
        try await pair.one.at(.hours(2))
        #expect(try await pair.two.delivery.sweep(most: 10).queued)
        // The server's time of another master may be behind.
        try await pair.one.at(.minutes(30))
        _ = try await pair.told()
        let before = try await pair.one.record("A")
        #expect(before.reason == .expired)
        try await pair.replay(at: .minutes(30))
        #expect(try await pair.told() == [])
        #expect(try await pair.one.record("A") == before)
    }

    @Test func aReporterThatMadeRoomForAnotherDoesNotComeBack() async throws {
        let pair = try await Pair()
        for reporter in 1...8 { _ = await pair.one.decide(try firing(from: "\(reporter)")) }
        try await pair.one.at(.minutes(1))
        #expect(await pair.two.verdict(try resolved(from: "1", at: .minutes(1))) == .duplicate)
        #expect(await pair.two.verdict(try firing(from: "9")) == .duplicate)
        let before = try await pair.one.record("A")
        try await pair.replay(at: .minutes(1))
        #expect(try await pair.one.record("A") == before)
        for reporter in 2...9 {
            let verdict = await pair.one.verdict(try resolved(from: "\(reporter)", at: .minutes(1)))
            #expect(verdict == (reporter == 9 ? .resolved : .duplicate))
        }
    }

    @Test func thePlaceThatReportersShareGoesWithTheEpisode() async throws {
        let pair = try await Pair()
        for reporter in 1...9 { _ = await pair.one.decide(try firing(from: "\(reporter)", ends: .minutes(5))) }
        try await pair.one.at(.hours(1))
        #expect(try await pair.two.delivery.sweep(most: 10).queued)
        try await pair.one.at(.minutes(2))
        _ = try await pair.told()
        try await pair.replay(at: .minutes(2))
        #expect(try await pair.one.record("A").state == .resolved)
        #expect(try await pair.told() == [])
    }

    /// The store that comes back is behind, and the other host has changed it before the lost word is written again.
    @Test func aWordThatTheStoreLostIsStillNews() async throws {
        let pair = try await Pair()
        for reporter in ["0", "1"] { _ = await pair.one.decide(try firing(from: reporter)) }
        let old = try await pair.one.record("A").bytes
        try await pair.one.at(.minutes(10))
        #expect(await pair.one.verdict(try resolved(from: "0", at: .minutes(9))) == .duplicate)
        try await pair.one.write(record: old, of: "A")
        #expect(await pair.two.verdict(try firing(from: "2")) == .duplicate)
        try await pair.replay(empty: true, at: .minutes(10))
        #expect(await pair.one.verdict(try resolved(from: "2", at: .minutes(10))) == .duplicate)
        #expect(await pair.one.verdict(try resolved(from: "1", at: .minutes(10))) == .resolved)
    }
}
