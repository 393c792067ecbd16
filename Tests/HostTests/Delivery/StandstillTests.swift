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
            metrics: metrics, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, failPoint: { _ in })
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
        #expect(sink.deliveries.map(\.attempt) == [1])
    }

    /// Whom nothing wakes when the first finds all that there is.
    @Test func whatTheSecondClaimerLostIsGivenBackToo() async throws {
        let rig = try await Rig()
        let sink = ManyDeliveriesTests.Holding()
        sink.open()
        _ = await rig.decide(try Rig.signal())
        var lost = ClaimTicket()
        #expect(try await rig.delivery.claim("file", as: lost.next(), most: 10).claims.count == 1)
        try await working(rig, sink) { worker, _ in
            worker.state.withLockedValue { [lost] in $0.claimers[1].lost = lost }
            try await eventually("a delivery") { sink.handed.count == 1 }
            try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
        }
    }

    /// Its lease would last for a minute of the store's clock, which stands.
    @Test(arguments: [true, false])
    func whatCouldNotBePutBackIsWhenTheStoreAnswersAgain(_ isRetryable: Bool) async throws {
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
            try await eventually("its way back") { metrics.registry.render().contains("result=\"retried\"} 1") }
            try await rig.at(.seconds(10))
            try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
        }
        #expect(sink.deliveries.map(\.attempt) == [1, 2])
        #expect(try await rig.delivery.letters(origin: "sink/file", most: 10).total == (isRetryable ? 0 : 1))
    }

    /// Another host has what this one lost before it stopped.
    @Test func aWorkerThatStopsGivesBackWhatItLost() async throws {
        let rig = try await Rig()
        let worker = SinkWorker(
            .init(name: "file", use: "scripted", whenFull: .refuse, plugin: Scripted { _, _ in nil }),
            store: rig.delivery, metrics: HostMetrics(), log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            failPoint: { _ in })
        _ = await rig.decide(try Rig.signal())
        var mine = ClaimTicket()
        #expect(try await rig.delivery.claim("file", as: mine.next(), most: 10).claims.count == 1)
        worker.state.withLockedValue { [mine] in $0.claimers[0].lost = mine }
        worker.stop()
        await worker.run()
        #expect(try await rig.claims().count == 1)
    }
}
