import Logging
import NIOConcurrencyHelpers
import SignalKit
import TestSupport
import Testing

@testable import Host

/// A worker whose sink takes nothing for a while.
@Suite(.serialized) struct SinkOutageTests {
    private typealias Rig = GateRig
    private typealias Scripted = SinkWorkerTests.Scripted

    /// Keeps the lines of a log, with their metadata.
    private struct Lines: LogHandler {
        let lines: NIOLockedValueBox<[(text: String, metadata: Logger.Metadata)]>
        var logLevel = Logger.Level.trace
        var metadata: Logger.Metadata = [:]
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            lines.withLockedValue { $0.append(("\(event.message)", event.metadata ?? [:])) }
        }
    }
    private let lines = NIOLockedValueBox<[(text: String, metadata: Logger.Metadata)]>([])

    private func working(
        _ rig: Rig, _ sink: any Sink, _ body: (SinkWorker, HostMetrics) async throws -> Void
    ) async throws {
        let metrics = HostMetrics()
        let lines = lines
        let worker = SinkWorker(
            .init(name: "file", use: "scripted", whenFull: .refuse, plugin: sink), store: rig.delivery,
            metrics: metrics, log: Logger(label: "test") { _ in Lines(lines: lines) },
            pauses: BackOff(first: .milliseconds(2), most: .milliseconds(2)))
        let running = Task { await worker.run() }
        do { try await body(worker, metrics) } catch {
            worker.stop()
            await running.value
            throw error
        }
        worker.stop()
        await running.value
    }

    /// 45 minutes at one try every 10 s are 270 tries; more than `SinkWorker.attempts` is enough to see it.
    @Test func aLongOutageMakesNoDeadLetters() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        let isAway = NIOLockedValueBox(true)
        let sink = Scripted { _, _ in
            isAway.withLockedValue { $0 } ? SinkError(wholeSink: .unreachable, "connection refused") : nil
        }
        for place in 0..<3 { _ = await rig.decide(try Rig.signal("A\(place)")) }
        try await working(rig, sink) { worker, _ in
            for round in 1...(4 * SinkWorker.attempts) {
                let before = sink.deliveries.count
                try await rig.at(.seconds(round))
                try await eventually("another try") {
                    worker.tick()
                    return sink.deliveries.count > before
                }
            }
            #expect(sink.deliveries.allSatisfy { $0.attempt <= 2 })
            #expect(try await rig.delivery.letters(origin: "sink/file", most: 1).total == 0)
            isAway.withLockedValue { $0 = false }
            try await eventually("an empty queue") {
                try await rig.at(.minutes(10))
                worker.tick()
                return try await rig.number("ZCARD", "{test}:q:file") == 0
            }
        }
        #expect(Set(sink.deliveries.map(\.id)).count == 3)
    }

    /// A sink that is away is tried with one delivery at a time, each time another one.
    @Test func oneDeliveryAtATimeTriesASinkThatIsAway() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        let sink = Scripted { _, _ in SinkError(wholeSink: .timeout, "no answer") }
        for place in 0..<40 { _ = await rig.decide(try Rig.signal("A\(place)")) }
        try await working(rig, sink) { worker, _ in
            worker.wake()
            try await eventually("the first failures") { !sink.deliveries.isEmpty }
            try await eventually("all put back") {
                try await rig.number("ZCOUNT", "{test}:q:file", "-inf", "inf") == 40
                    && worker.state.withLockedValue { $0.room.inFlight } == 0
            }
            let known = Set(sink.deliveries.map(\.id))
            var tried: [String] = []
            for round in 1...10 {
                let before = sink.deliveries.count
                try await rig.at(.seconds(round))
                try await eventually("another try") {
                    worker.tick()
                    return sink.deliveries.count > before
                        && worker.state.withLockedValue { $0.room.inFlight } == 0
                }
                tried += sink.deliveries[before...].map(\.id)
            }
            #expect(known.count == 40)
            #expect(Set(tried).count >= 10)
        }
    }

    @Test func aDeliveryThatIsRefusedWhileOthersAreTakenUsesUpItsAttempts() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("Poison"))
        let sink = Scripted { delivery, _ in
            delivery.signal?.name == "Poison" ? SinkError(wholeSink: .timeout, "no answer") : nil
        }
        try await working(rig, sink) { worker, _ in
            var round = 0
            try await eventually("a dead letter", within: .seconds(60)) {
                round += 1
                _ = await rig.decide(try Rig.signal("Good\(round)"))
                try await rig.at(.minutes(6 * Int64(round)))
                worker.tick()
                return try await rig.delivery.letters(origin: "sink/file", most: 1).total == 1
            }
        }
        #expect(sink.deliveries.contains { $0.attempt == SinkWorker.attempts })
    }

    @Test func manyFailuresAreTwoLinesThatCountThem() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        let sink = Scripted { _, _ in SinkError(wholeSink: .unreachable, "connection refused") }
        for place in 0..<50 { _ = await rig.decide(try Rig.signal("A\(place)")) }
        try await working(rig, sink) { worker, metrics in
            worker.wake()
            try await eventually("all put back") { metrics.registry.render().contains("result=\"retried\"} 50") }
        }
        let told = lines.withLockedValue { $0.filter { $0.text.hasPrefix("not delivered") } }
        #expect((1...2).contains(told.count))
        #expect(told.reduce(0) { $0 + (Int("\($1.metadata["deliveries"] ?? "1")") ?? 0) } == 50)
        #expect(told.allSatisfy { "\($0.metadata["reason"] ?? "")" == "connection refused" })
    }

    @Test func aSummaryTellsEachKindOfErrorEveryFiveSeconds() {
        var summary = FailureSummary()
        let start = ContinuousClock.now
        let claim = Self.claim()
        func note(_ code: SinkError.Code, _ seconds: Int) -> Int? {
            let error = SinkError(code, "x", retryable: true)
            return summary.note(claim, error, count: 1, again: .zero, at: start + .seconds(seconds))?.deliveries
        }
        #expect(note(.timeout, 0) == 1)
        #expect(note(.refused, 0) == 1)
        #expect(note(.timeout, 1) == nil)
        #expect(note(.timeout, 4) == nil)
        #expect(note(.timeout, 6) == 3)
        #expect(note(.timeout, 7) == nil)
        #expect(summary.due(at: start + .seconds(8)).isEmpty)
        #expect(summary.due(at: start + .seconds(12)).map(\.deliveries) == [1])
        #expect(note(.refused, 13) == 1)
        #expect(note(.refused, 14) == nil)
        #expect(summary.rest().map(\.deliveries) == [1])
    }

    private static func claim() -> Claim {
        let delivery = Delivery(
            id: "a", kind: .signal, state: .firing, fingerprint: "a", episode: 1, version: 1, follows: nil, count: 1,
            first: Timestamp(milliseconds: 1), last: Timestamp(milliseconds: 1), reason: nil, signal: nil, storm: nil,
            json: [])
        return Claim(
            member: QueueMember([1]), call: SessionCall(session: SessionID(number: 1, token: "t"), number: 1),
            failed: 0, ended: 0, delivery: delivery)
    }
}
