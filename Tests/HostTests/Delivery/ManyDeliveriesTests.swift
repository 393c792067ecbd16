import Logging
import NIOConcurrencyHelpers
import SignalKit
import TestSupport
import Testing

@testable import Host

/// A sink that takes a thousand deliveries at once, and what is claimed for it.
@Suite(.serialized) struct ManyDeliveriesTests {
    private typealias Rig = GateRig

    /// Holds what it is handed until it is let go.
    final class Holding: Sink {
        static let id: PluginID = "holding"
        static let concurrency = 1_024
        private struct State {
            var handed: [String] = []
            var waiting: [CheckedContinuation<Void, Never>] = []
            var isOpen = false
        }
        private let state = NIOLockedValueBox(State())

        init() {}
        init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {}

        var handed: [String] { state.withLockedValue { $0.handed } }

        func open() {
            let waiting = state.withLockedValue { state in
                defer { state.waiting = [] }
                state.isOpen = true
                return state.waiting
            }
            for waiter in waiting { waiter.resume() }
        }

        func deliver(_ delivery: Delivery, _ context: DeliveryContext) async throws(SinkError) {
            await withCheckedContinuation { waiter in
                let isOpen = state.withLockedValue { state in
                    state.handed.append(delivery.id)
                    if !state.isOpen { state.waiting.append(waiter) }
                    return state.isOpen
                }
                if isOpen { waiter.resume() }
            }
        }
    }

    private func filled(_ count: Int) async throws -> Rig {
        let rig = try await Rig(backlog: 5_000)
        let signals = try (0..<count).map { try Rig.signal("A\($0)", target: "t\($0)") }
        let outcomes = await rig.gate.decide(signals, [], in: rig.store, on: nil).outcomes
        #expect(outcomes.allSatisfy { $0.verdict == .accepted })
        return rig
    }

    private func worker(_ rig: Rig, _ sink: Holding) -> SinkWorker {
        SinkWorker(
            .init(name: "file", use: "holding", whenFull: .refuse, plugin: sink), store: rig.delivery,
            metrics: HostMetrics(), log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// By two hands; no more than it takes, all of it, and each once.
    @Test func asManyAreUnderWayAsItTakes() async throws {
        let (rig, sink) = (try await filled(2_500), Holding())
        let worker = worker(rig, sink)
        let running = Task { await worker.run() }
        worker.wake()
        try await eventually("all that it takes") { sink.handed.count >= 1_024 - 64 }
        #expect(sink.handed.count <= 1_024)
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 2_500)
        sink.open()
        try await eventually("an empty queue", within: .seconds(60)) {
            try await rig.number("ZCARD", "{test}:q:file") == 0
        }
        worker.stop()
        await running.value
        #expect(sink.handed.count == 2_500)
        #expect(Set(sink.handed).count == 2_500)
    }

    @Test func whatIsUnderWayAtAStopIsAcknowledged() async throws {
        let (rig, sink) = (try await filled(2_000), Holding())
        let worker = worker(rig, sink)
        let running = Task { await worker.run() }
        worker.wake()
        try await eventually("some") { sink.handed.count > 256 }
        worker.stop()
        sink.open()
        await running.value
        #expect(sink.handed.count <= 1_024)
        #expect(try await rig.number("ZCARD", "{test}:q:file") == Int64(2_000 - sink.handed.count))
    }
}
