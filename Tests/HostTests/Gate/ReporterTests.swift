import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// Several reporters of one problem: a pair of Prometheus servers with a replica label, or Alertmanager's webhook beside a Prometheus
/// server. A problem is over when the last of them says so.
@Suite(.serialized) struct ReporterTests {
    private typealias Rig = GateRig

    @Test func aRequestInWhichOneReporterEndsAndAnotherFiresTellsNoEnd() async throws {
        let rig = try await Rig()
        try await rig.at(.minutes(10))
        for signals in [
            // As Alertmanager sends them: the resolved one first.
            [
                try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(9), from: "0"),
                try Rig.signal("A", starts: .seconds(2), from: "1"),
            ],
            [
                try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(9), from: "0"),
                try Rig.signal("A", starts: .seconds(2), from: "1"),
            ],
        ] {
            let verdicts = await rig.gate.decide(signals, [], in: rig.store, on: nil).outcomes.map(\.verdict)
            #expect(!verdicts.contains(.resolved))
        }
        #expect(try await rig.deliver().map(\.state) == [.firing])
        let end = try Rig.signal("A", .resolved, starts: .seconds(2), ends: .minutes(10), from: "1")
        #expect(await rig.verdict(end) == .resolved)
        #expect(try await rig.deliver().map(\.state) == [.resolved])
    }

    @Test func anEndOfAReporterThatNeverFiredChangesNothingWhileAnotherFires() async throws {
        let rig = try await Rig()
        try await rig.at(.minutes(10))
        #expect(await rig.verdict(try Rig.signal("A", starts: .zero, from: "0")) == .accepted)
        let end = try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(9), from: "1")
        #expect(await rig.verdict(end) == .duplicate)
        // A late retry of the firing before it is told by that.
        #expect(await rig.verdict(try Rig.signal("A", starts: .zero, from: "1")) == .duplicate)
        let last = try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(10), from: "0")
        #expect(await rig.verdict(last) == .resolved)
    }

    /// Alertmanager gives no end and repeats after hours; Prometheus vouches for minutes.
    @Test func theLatestEndOfAllReportersCounts() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        let webhook = try Rig.signal("A", starts: .zero, from: "alertmanager")
        #expect(await rig.verdict(webhook) == .accepted)
        #expect(
            await rig.verdict(try Rig.signal("A", starts: .zero, ends: .minutes(4), from: "prometheus")) == .duplicate)
        for time in [Duration.minutes(6), .hours(4), .hours(25)] {
            try await rig.at(time)
            #expect(try await rig.delivery.sweep(most: 100).queued == false)
        }
        try await rig.at(.hours(12))
        #expect(await rig.verdict(webhook) == .duplicate)
        try await rig.at(.hours(38) + .minutes(1))
        #expect(try await rig.delivery.sweep(most: 100).queued)
        #expect(try await rig.deliver().last?.reason == .forgotten)
    }

    @Test func aReporterWhoseOwnEndHasPassedHoldsNoEndBack() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("A", starts: .zero, ends: .minutes(4), from: "0"))
        _ = await rig.decide(try Rig.signal("A", starts: .zero, from: "1"))
        try await rig.at(.minutes(6))
        let end = try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(6), from: "1")
        #expect(await rig.verdict(end) == .resolved)
    }

    @Test func moreReportersThanARecordHoldsEndByTime() async throws {
        let rig = try await Rig()
        try await rig.at(.minutes(1))
        for number in 0..<12 {
            let verdict = await rig.verdict(try Rig.signal("A", starts: .zero, ends: .minutes(5), from: "\(number)"))
            #expect(verdict == (number == 0 ? .accepted : .duplicate))
        }
        for number in 0..<12 {
            let end = try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(1), from: "\(number)")
            #expect(await rig.verdict(end) == .duplicate)
        }
        try await rig.at(.minutes(6) + .seconds(1))
        #expect(try await rig.delivery.sweep(most: 10).queued)
        let record = try await rig.record("A")
        #expect(record.bytes.count <= 74 + 9 * 30)
    }

    @Test func aSenderWithoutEndsIsNoReporter() async throws {
        let rig = try await Rig()
        try await rig.at(.minutes(1))
        func sighting() throws -> GateSignal {
            let signal = try Rig.signal("A", starts: .zero)
            return GateSignal(signal.fingerprint, signal.signal, from: .none)
        }
        #expect(await rig.verdict(try sighting()) == .accepted)
        #expect(await rig.verdict(try Rig.signal("A", starts: .zero, from: "0")) == .duplicate)
        #expect(await rig.verdict(try sighting()) == .duplicate)
        let end = try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(1), from: "0")
        #expect(await rig.verdict(end) == .resolved)
    }

    @Test func reportersComeBackWithWhatWasAnswered() async throws {
        let rig = try await Rig()
        try await rig.at(.minutes(10))
        for reporter in ["0", "1"] { _ = await rig.decide(try Rig.signal("A", starts: .zero, from: reporter)) }
        let end = try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(9), from: "0")
        #expect(await rig.verdict(end) == .duplicate)
        let before = try await rig.record("A")
        try await rig.redis.command("FLUSHALL")
        try await rig.at(.minutes(10))
        _ = await rig.decide(try Rig.signal("Witness"))
        try await eventually("an open store") { rig.store.state == .open }
        #expect(try await rig.record("A").bytes.dropFirst(74) == before.bytes.dropFirst(74))
        let last = try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(9), from: "1")
        #expect(await rig.verdict(last) == .resolved)
    }

    /// Each host knows the word of one reporter, and the store that comes back knows neither.
    @Test func theNewerWordsOfEachReporterAreUnited() async throws {
        let redis = try await RedisServer.durable()
        let one = try await Rig(redis: redis)
        let two = try await Rig(redis: redis)
        try await one.at(.minutes(10))
        _ = await one.decide(try Rig.signal("A", starts: .zero, from: "0"))
        let old = try await one.record("A").bytes
        _ = await two.decide(try Rig.signal("A", starts: .zero, from: "1"))
        // An older state, in which the first reporter alone fires, and ends.
        try await one.write(record: old, of: "A")
        _ = await one.decide(try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(9), from: "0"))
        try await redis.command("FLUSHALL")
        try await one.at(.minutes(10))
        for rig in [one, two] {
            _ = await rig.decide(try Rig.signal("Witness"))
            try await eventually("an open store") { rig.store.state == .open }
        }
        #expect(try await one.record("A").state == .firing)
        let last = try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(9), from: "1")
        #expect(await one.verdict(last) == .resolved)
    }
}
