import Logging
import NIOConcurrencyHelpers
import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// A worker whose store stands still, or is gone, between a claim and what came of it.
@Suite(.serialized) struct StandstillTests {
    private typealias Rig = GateRig
    private typealias Scripted = SinkWorkerTests.Scripted

    private func working(_ rig: Rig, _ sink: any Sink, _ body: (SinkWorker, HostMetrics) async throws -> Void)
        async throws
    {
        let metrics = HostMetrics()
        let worker = SinkWorker(
            .init(name: "file", use: "scripted", whenFull: .refuse, plugin: sink), store: rig.delivery,
            metrics: metrics, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let running = Task { await worker.run() }
        let waking = Task {
            while !Task.isCancelled {
                worker.tick()
                try? await Task.sleep(for: .milliseconds(50))
            }
        }
        func end() async {
            waking.cancel()
            worker.stop()
            await running.value
        }
        do {
            try await body(worker, metrics)
        } catch {
            await end()
            throw error
        }
        await end()
    }

    @Test func aWorkerThatDidNotHearOfItsClaimDeliversItWhenTheStoreAnswersAgain() async throws {
        let rig = try await Rig(timeout: .milliseconds(300))
        let sink = Scripted { _, _ in nil }
        #expect(await rig.verdict(try Rig.signal()) == .accepted)
        rig.redis.freeze()
        try await working(rig, sink) { _, _ in
            try await eventually("a shut store") { rig.store.state != .open }
            #expect(sink.deliveries.isEmpty)
            // It executes what it has in its buffers, and nobody hears of it.
            rig.redis.thaw()
            try await eventually("a delivery") { sink.deliveries.count == 1 }
            try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
        }
        // Whether its sink was asked is not known.
        #expect(sink.deliveries.map(\.attempt) == [2])
    }

    /// As by a claim whose answer was lost, or that came to the store when its host had given it up.
    @Test func whatIsInFlightHereAndIsNotDeliveredIsDueByReconciliation() async throws {
        let rig = try await Rig()
        let sink = Scripted { _, _ in nil }
        _ = await rig.decide(try Rig.signal())
        #expect(try await rig.claims().count == 1)
        try await working(rig, sink) { worker, _ in
            try await eventually("a delivery", within: .seconds(20)) { sink.deliveries.count == 1 }
            try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
        }
        #expect(sink.deliveries.map(\.attempt) == [2])
    }

    /// Its reply may still come.
    @Test func whatACallPutInFlightIsLeftAloneWhileTheCallIsUnderWay() async throws {
        let rig = try await Rig()
        let worker = SinkWorkerTests.worker(rig, Scripted { _, _ in nil }, HostMetrics())
        _ = await rig.decide(try Rig.signal())
        let call = try rig.call()
        let claims = try await rig.delivery.claim("file", by: call, most: 1).claims
        worker.state.withLockedValue { state in
            state.flight.pending.insert(call)
            state.flight.isInDoubt = true
        }
        await worker.reconcile()
        #expect(try await rig.claims().isEmpty)
        worker.state.withLockedValue { $0.flight.ended(call, isKnown: true, claims) }
        worker.state.withLockedValue { $0.flight.isInDoubt = true }
        await worker.reconcile()
        #expect(try await rig.claims().isEmpty, "held")
        worker.abandon(claims)
        await worker.reconcile()
        #expect(try await rig.claims().map(\.attempt) == [2])
    }

    /// Another host may have it by then.
    @Test func whatWasClaimedUnderALostSessionIsNotDeliveredUntilTheSessionIsConfirmed() async throws {
        let rig = try await Rig(host: "a")
        let sink = Scripted { _, _ in nil }
        _ = await rig.decide(try Rig.signal())
        let call = try rig.call()
        let claims = try await rig.delivery.claim("file", by: call, most: 1).claims
        #expect(claims.count == 1)
        rig.session.lost(call.session)
        try await working(rig, sink) { worker, _ in
            #expect(worker.keep(1, for: call))
            worker.dispatch(claims, isKnown: true, of: DispatchOffer(call: call, sinks: [0], capacity: 1))
            try await eventually("nothing held") { worker.state.withLockedValue { $0.flight.held.isEmpty } }
            rig.session.took(call.session, sent: .now)
            try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
        }
        #expect(sink.deliveries.map(\.attempt) == [2])
    }

    @Test func afterALostClaimLessIsAskedFor() async throws {
        let rig = try await Rig(timeout: .milliseconds(300))
        rig.redis.freeze()
        try await working(rig, Scripted { _, _ in nil }) { worker, _ in
            try await eventually("less") { worker.state.withLockedValue { $0.claims } == SinkWorker.claims / 2 }
            rig.redis.thaw()
            _ = await rig.decide(try Rig.signal())
            try await eventually("more") { worker.state.withLockedValue { $0.claims } > SinkWorker.claims / 2 }
        }
    }

    @Test(arguments: [true, false])
    func whatCouldNotBePutBackIsTriedAgainWhenTheStoreAnswers(_ isRetryable: Bool) async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        let (gate, open) = AsyncStream<Void>.makeStream()
        let sink = Scripted { _, attempt in
            for await _ in gate {}
            return attempt == 1 || !isRetryable ? SinkError(.unreachable, "down", retryable: isRetryable) : nil
        }
        _ = await rig.decide(try Rig.signal())
        try await working(rig, sink) { _, metrics in
            try await eventually("a delivery") { sink.deliveries.count == 1 }
            rig.redis.kill()
            try await eventually("a shut store") { rig.store.state != .open }
            open.finish()
            try await rig.redis.restart()
            try await eventually("an open store") { rig.store.state == .open }
            try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
        }
        #expect(sink.deliveries.map(\.attempt) == [1, 2])
        #expect(try await rig.delivery.letters(origin: "sink/file", most: 10).total == (isRetryable ? 0 : 1))
    }

    /// Each has ended three sessions: each is delivered with nothing beside it, and neither waits for the other.
    @Test func twoThatAreDeliveredAloneDoNotWaitForEachOther() async throws {
        let rig = try await Rig()
        let sink = ManyDeliveriesTests.Holding()
        sink.open()
        for name in ["A", "B"] { _ = await rig.decide(try Rig.signal(name)) }
        for _ in 0..<3 {
            while try await !rig.claims("file", 1).isEmpty {}
            try await rig.dies()
        }
        try await working(rig, sink) { _, _ in
            try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
        }
        #expect(sink.handed.count == 2)
    }
}
