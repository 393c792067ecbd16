import Logging
import NIOConcurrencyHelpers
import SignalKit
import TestSupport
import Testing

@testable import Host

/// A worker on a real queue, with a sink whose answers the test chooses.
@Suite(.serialized) struct SinkWorkerTests {
    private typealias Rig = GateRig

    /// Answers each attempt by `answer`, and remembers what it was handed.
    final class Scripted: Sink {
        static let id: PluginID = "scripted"
        private let handed = NIOLockedValueBox<[(id: String, state: Delivery.State, attempt: Int)]>([])
        private let answer: @Sendable (Delivery, Int) async -> SinkError?

        init(_ answer: @escaping @Sendable (Delivery, Int) async -> SinkError?) { self.answer = answer }
        init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) { answer = { _, _ in nil } }

        var deliveries: [(id: String, state: Delivery.State, attempt: Int)] { handed.withLockedValue { $0 } }

        func deliver(_ delivery: Delivery, _ context: DeliveryContext) async throws(SinkError) {
            handed.withLockedValue { $0.append((delivery.id, delivery.state, context.attempt)) }
            if let error = await answer(delivery, context.attempt) { throw error }
        }
    }

    /// Takes all that is there in one go.
    final class Together: BatchSink {
        static let id: PluginID = "together"
        private let handed = NIOLockedValueBox<[[(id: String, attempt: Int)]]>([])
        private let answer: @Sendable (Int) -> SinkError?

        /// - Parameter answer: to each batch, by its number from 1.
        init(_ answer: @escaping @Sendable (Int) -> SinkError?) { self.answer = answer }
        init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) { answer = { _ in nil } }

        var batches: [[(id: String, attempt: Int)]] { handed.withLockedValue { $0 } }

        func deliver(_ deliveries: [(delivery: Delivery, context: DeliveryContext)]) async throws(SinkError) {
            let number = handed.withLockedValue { handed in
                handed.append(deliveries.map { ($0.delivery.id, $0.context.attempt) })
                return handed.count
            }
            if let error = answer(number) { throw error }
        }
    }

    @Test func aSinkThatTakesThemTogetherHasThemTogether_AndAllOfThemAgain() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        let sink = Together { $0 == 1 ? SinkError(.unreachable, "down", retryable: true) : nil }
        for place in 0..<20 { _ = await rig.decide(try Rig.signal("A\(place)")) }
        try await working(rig, sink) { worker, metrics in
            worker.wake()
            try await eventually("all put back") { metrics.registry.render().contains("result=\"retried\"} 20") }
            try await rig.at(.seconds(10))
            worker.wake()
            try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
            try await eventually("all counted") { metrics.registry.render().contains("result=\"delivered\"} 20") }
        }
        #expect(sink.batches.map(\.count) == [20, 20])
        #expect(sink.batches[0].allSatisfy { $0.attempt == 1 })
        #expect(sink.batches[1].allSatisfy { $0.attempt == 2 })
    }

    @Test func afterAFaultThatMayBeOnesTheyComeOneByOne() async throws {
        let rig = try await Rig()
        let sink = Together { $0 == 1 || $0 == 4 ? SinkError(.invalid, "not wanted", retryable: false) : nil }
        for place in 0..<5 { _ = await rig.decide(try Rig.signal("A\(place)")) }
        try await working(rig, sink) { worker, _ in
            worker.wake()
            try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
        }
        #expect(sink.batches.map(\.count) == [5, 1, 1, 1, 1, 1])
        #expect(try await rig.delivery.letters(origin: "sink/file", most: 10).total == 1)
    }

    static func worker(_ rig: GateRig, _ sink: any Sink, _ metrics: HostMetrics) -> SinkWorker {
        SinkWorker(
            .init(name: "file", use: "scripted", whenFull: .refuse, plugin: sink), store: rig.delivery,
            metrics: metrics, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    private func working(_ rig: Rig, _ sink: any Sink, _ body: (SinkWorker, HostMetrics) async throws -> Void)
        async throws
    {
        let metrics = HostMetrics()
        let worker = Self.worker(rig, sink, metrics)
        let running = Task { await worker.run() }
        do {
            try await body(worker, metrics)
        } catch {
            worker.stop()
            throw error
        }
        worker.stop()
        await running.value
    }

    @Test func whatIsQueuedIsDeliveredAndSettled() async throws {
        let rig = try await Rig()
        let sink = Scripted { _, _ in nil }
        for place in 0..<200 { _ = await rig.decide(try Rig.signal("A\(place)")) }
        try await working(rig, sink) { worker, _ in
            worker.wake()
            try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
        }
        #expect(Set(sink.deliveries.map(\.id)).count == 200)
        #expect(sink.deliveries.count == 200)
    }

    @Test func aRetryableErrorBringsItBackLaterWithTheNextAttempt() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        let sink = Scripted { _, attempt in attempt < 3 ? SinkError(.unreachable, "down", retryable: true) : nil }
        _ = await rig.decide(try Rig.signal())
        try await working(rig, sink) { worker, metrics in
            worker.wake()
            for round in 1...2 {
                try await eventually("attempt \(round) put back") {
                    metrics.registry.render().contains("result=\"retried\"} \(round)")
                }
                #expect(try await rig.number("ZCARD", "{test}:q:file") == 1)
                try await rig.at(.seconds(10 * round))
                worker.wake()
            }
            try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
        }
        #expect(sink.deliveries.map(\.attempt) == [1, 2, 3])
    }

    @Test func aPermanentErrorIsADeadLetterAtOnce() async throws {
        let rig = try await Rig()
        let sink = Scripted { _, _ in SinkError(.invalid, "not wanted here", retryable: false) }
        _ = await rig.decide(try Rig.signal())
        try await working(rig, sink) { worker, _ in
            worker.wake()
            try await eventually("a dead letter") {
                try await rig.delivery.letters(origin: "sink/file", most: 1).letters.first?.reason == "not wanted here"
            }
        }
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 0)
    }

    @Test func usedUpAttemptsAreADeadLetter() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        let sink = Scripted { _, _ in SinkError(.unreachable, "down", retryable: true) }
        _ = await rig.decide(try Rig.signal())
        try await working(rig, sink) { worker, metrics in
            for round in 1...SinkWorker.attempts {
                worker.wake()
                try await eventually("attempt \(round)") { sink.deliveries.count == round }
                try await eventually("its end") {
                    let text = metrics.registry.render()
                    return text.contains("result=\"retried\"} \(round)") || text.contains("result=\"dead-lettered\"} 1")
                }
                try await rig.at(.minutes(6 * Int64(round)))
            }
            let letter = try await rig.delivery.letters(origin: "sink/file", most: 1).letters.first
            #expect(letter?.reason.contains("20 attempts") == true)
        }
    }

    @Test func aStopWaitsForWhatIsInFlightAndClaimsNothingMore() async throws {
        let rig = try await Rig()
        let (gate, open) = AsyncStream<Void>.makeStream()
        let sink = Scripted { _, _ in
            for await _ in gate {}
            return nil
        }
        _ = await rig.decide(try Rig.signal("A"))
        try await working(rig, sink) { worker, _ in
            worker.wake()
            try await eventually("a delivery in flight") { sink.deliveries.count == 1 }
            worker.stop()
            _ = await rig.decide(try Rig.signal("B"))
            worker.wake()
            open.finish()
        }
        // The one in flight is settled, the other is for the next host.
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 1)
        #expect(sink.deliveries.count == 1)
    }
}
