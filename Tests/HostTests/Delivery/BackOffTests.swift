import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// Whom a back-off holds up, and for how long.
@Suite(.serialized) struct BackOffTests {
    private typealias Rig = GateRig

    /// A's delivery has failed and waits for five minutes.
    private func failed(_ rig: Rig) async throws {
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("A", starts: .zero))
        #expect(try await rig.retry(try await rig.claims()[0], after: .seconds(300)))
        #expect(try await rig.claims().isEmpty)
    }

    @Test func anEndIsDueAtOnceThoughTheBeginningIsInBackOff() async throws {
        let rig = try await Rig()
        try await failed(rig)
        try await rig.at(.seconds(10))
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .seconds(9))) == .resolved)
        let due = try await rig.claims()
        #expect(due.map(\.delivery.state) == [.resolved])
        // All its attempts are left, but its sink may have something of the problem.
        #expect(due.map(\.attempt) == [2])
    }

    @Test func aNewEpisodeIsDueAtOnceThoughTheOneBeforeIsInBackOff() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("A", starts: .zero))
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .seconds(1)))
        #expect(try await rig.retry(try await rig.claims()[0], after: .seconds(300)))
        try await rig.at(.seconds(10))
        let opened = await rig.decide(try Rig.signal("A", starts: .seconds(9)))[0]
        #expect(try await rig.claims().map(\.delivery.episode) == [opened.episode])
    }

    @Test func anEndThatTheSweeperMakesIsDueAtOnce() async throws {
        let rig = try await Rig(deduplicate: [Rig.entry("retention", "5m")])
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("A"))
        #expect(try await rig.retry(try await rig.claims()[0], after: .seconds(3_600)))
        try await rig.at(.seconds(400))
        _ = try await rig.delivery.sweep(most: 10)
        #expect(try await rig.claims().map(\.delivery.state) == [.resolved])
    }

    @Test func aGrownCountWaitsForTheBackOff() async throws {
        let rig = try await Rig(deduplicate: [Rig.entry("update_every", "1m")])
        try await failed(rig)
        try await rig.at(.seconds(100))
        #expect(await rig.verdict(try Rig.signal("A")) == .duplicate)
        #expect(try await rig.claims().isEmpty)
        try await rig.at(.seconds(301))
        #expect(try await rig.claims().map(\.delivery.count) == [2])
    }

    @Test func aStateThatMovesOnWhileItsDeliveryFailsIsDueAtOnce() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("A"), try Rig.signal("B"))
        let claims = try await rig.claims()
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .seconds(1)))
        let failed = claims.map { FailedDelivery(claim: $0, delay: .seconds(300)) }
        let words = try await rig.delivery.retry("file", failed)
        let moved = claims.map { $0.delivery.signal?.name == "A" }
        #expect(words == moved.map { $0 ? .changed : .kept })
        let due = try await rig.claims()
        #expect(due.map(\.delivery.state) == [.resolved])
        #expect(due.map(\.attempt) == [2])
    }

    @Test func aStormThatGrowsWaitsForItsFlushAndNotForTheBackOff() async throws {
        let rig = try await Rig(
            storm: [
                Rig.section("rate", Rig.entry("count", "1"), Rig.entry("per", "1m")), Rig.entry("flush", "30s"),
            ])
        try await rig.at(.zero)
        for place in 0..<3 { _ = await rig.decide(try Rig.signal("A", target: "t\(place)")) }
        let storm = try #require(try await rig.claims().first { $0.delivery.kind == .storm })
        #expect(try await rig.retry(storm, after: .seconds(300)))
        try await rig.at(.seconds(5))
        #expect(await rig.verdict(try Rig.signal("A", target: "t4")) == .aggregated)
        #expect(try await rig.claims().isEmpty)
        try await rig.at(.seconds(31))
        #expect(try await rig.claims().first?.delivery.storm?.members == 3)
    }

    @Test func ofASinkThatIsBackEverythingInBackOffBecomesDueWithinSeconds() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        for place in 0..<40 { _ = await rig.decide(try Rig.signal("A\(place)")) }
        let claims = try await rig.claims()
        let inFlight = claims.prefix(10)
        let failed = zip(claims.dropFirst(10), 100...).map { FailedDelivery(claim: $0, delay: .seconds($1)) }
        _ = try await rig.delivery.retry("file", failed)
        var (place, calls): (String?, Int) = (nil, 0)
        repeat {
            place = try await rig.delivery.resume("file", from: place, most: 7, over: .seconds(2))
            calls += 1
        } while place != nil && calls < 50
        // Each looks at seven members, and at none in flight.
        #expect((4...6).contains(calls))
        #expect(try await rig.claims().count < 30)
        try await rig.at(.milliseconds(2_001))
        let due = try await rig.claims()
        #expect(due.allSatisfy { $0.attempt == 2 })
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 40)
        // Their hosts still have them.
        #expect(try await rig.delivery.acknowledge("file", Array(inFlight)) == inFlight.map { _ in .settled })
        #expect(try await rig.number("ZCOUNT", "{test}:q:file", "0", "\(Rig.epoch + 3_000)") == 0)
    }

    /// As after a call that failed for all its deliveries.
    @Test func moreMembersOfOneDueTimeThanTwoCallsLookAtAllBecomeDue() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        for place in 0..<40 { _ = await rig.decide(try Rig.signal("A\(place)")) }
        let failed = try await rig.claims().map { FailedDelivery(claim: $0, delay: .seconds(300)) }
        #expect(try await rig.delivery.retry("file", failed)?.count == 40)
        var (place, calls): (String?, Int) = (nil, 0)
        repeat {
            place = try await rig.delivery.resume("file", from: place, most: 7, over: .seconds(2))
            calls += 1
        } while place != nil && calls < 50
        #expect(calls == 6)
        try await rig.at(.milliseconds(2_001))
        #expect(try await rig.claims().count == 40)
    }

    @Test func threeFailuresInARowAreAnOutageAndOneSuccessIsItsEnd() {
        var room = DeliveryRoom(most: 10)
        func endsAnOutage(after failures: Int) -> Bool {
            for _ in 0..<failures { room.failed(isOverloaded: false) }
            return room.succeeded()
        }
        // Deliveries of before this host may wait.
        let ends = [0, 0, 2, 3, 5, 0].map { endsAnOutage(after: $0) }
        #expect(ends == [true, false, false, true, true, false])
        room.leftWaiting()
        #expect(room.isOut)
        #expect(endsAnOutage(after: 0))
    }

    @Test func aDeliveryDoesNotWaitForFiveMinutesWhenItsSinkIsBack() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        let sink = SinkWorkerTests.Scripted { delivery, attempt in
            attempt < 4 && delivery.signal?.name == "Old" ? SinkError(.unreachable, "down", retryable: true) : nil
        }
        _ = await rig.decide(try Rig.signal("Old"))
        let metrics = HostMetrics()
        let worker = SinkWorkerTests.worker(rig, sink, metrics)
        let running = Task { await worker.run() }
        for round in 1...3 {
            worker.wake()
            try await eventually("failure \(round)") {
                metrics.registry.render().contains("result=\"retried\"} \(round)")
            }
            if round < 3 { try await rig.at(.seconds(5 * round)) }
        }
        // It comes again in 2 s to 4 s; another five minutes from now would be no different.
        let old = try Rig.signal("Old").fingerprint.bytes
        _ = try await rig.answer(
            "ZADD", [Array("{test}:q:file".utf8), Array("\(Rig.epoch + 900_000)".utf8), old])
        _ = await rig.decide(try Rig.signal("New"))
        worker.wake()
        try await eventually("an old one that is due soon") {
            let score = try await rig.answer("ZSCORE", [Array("{test}:q:file".utf8), old]).string
            return score.flatMap { Double($0) }.map { $0 <= Double(Rig.epoch + 13_000) } == true
        }
        try await rig.at(.seconds(14))
        worker.wake()
        try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
        worker.stop()
        await running.value
    }
}
