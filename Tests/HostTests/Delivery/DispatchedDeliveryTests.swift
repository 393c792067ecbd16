import Logging
import NIOConcurrencyHelpers
import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// The workers of a host and its gate together: direct dispatch reaches the sink without a claim.
@Suite(.serialized) struct DispatchedDeliveryTests {
    private typealias Rig = GateRig
    private typealias Scripted = SinkWorkerTests.Scripted

    private func serving(
        _ rig: Rig, _ body: (DeliveryService, HostMetrics) async throws -> Void
    ) async throws {
        let metrics = HostMetrics()
        let service = DeliveryService(
            rig.configuration, store: rig.delivery, metrics: metrics,
            log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let running = Task { await service.run() }
        do {
            try await body(service, metrics)
        } catch {
            service.stop()
            await running.value
            throw error
        }
        service.stop()
        await running.value
    }

    private func decide(_ rig: Rig, _ service: DeliveryService, _ signals: [GateSignal]) async -> GateAnswer {
        await rig.gate.decide(signals, [], in: rig.store, on: nil, to: service)
    }

    /// Once the queue was found empty, all the capacity is for direct dispatch.
    private func ready(_ service: DeliveryService, _ room: Int) async throws {
        try await eventually("an empty queue") {
            guard let offer = service.offer(room) else { return false }
            service.dispatch([], isKnown: true, of: offer, born: 0)
            return true
        }
    }

    /// A look for what others left has all the room for a moment.
    private func offered(_ service: DeliveryService) async throws -> DispatchOffer {
        let found = NIOLockedValueBox<DispatchOffer?>(nil)
        try await eventually("an offer") {
            let offer = service.offer(1)
            found.withLockedValue { $0 = offer }
            return offer != nil
        }
        return try #require(found.withLockedValue { $0 })
    }

    @Test func itIsDeliveredOnceAndSettled() async throws {
        let sink = Scripted { _, _ in nil }
        let rig = try await Rig(plugin: sink)
        try await serving(rig) { service, metrics in
            try await ready(service, 64)
            var dispatched = 0
            for round in 0..<20 {
                let answer = await decide(rig, service, try (0..<10).map { try Rig.signal("A\(round)-\($0)") })
                dispatched += answer.outcomes.count { $0.isDispatched }
                if answer.queued { service.wake() }
                try await eventually("\(round) delivered") { sink.deliveries.count == (round + 1) * 10 }
            }
            try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
            #expect(dispatched > 0)
            try await eventually("all counted") { metrics.registry.render().contains("result=\"delivered\"} 200") }
        }
        #expect(Set(sink.deliveries.map(\.id)).count == 200)
        #expect(sink.deliveries.count == 200)
    }

    @Test func whatFailsComesAgain() async throws {
        let sink = Scripted { _, attempt in attempt < 2 ? SinkError(.unreachable, "down", retryable: true) : nil }
        let rig = try await Rig(plugin: sink)
        try await rig.at(.zero)
        try await serving(rig) { service, metrics in
            try await ready(service, 64)
            _ = await decide(rig, service, [try Rig.signal()])
            try await eventually("put back") { metrics.registry.render().contains("result=\"retried\"} 1") }
            try await rig.at(.seconds(10))
            service.wake()
            try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
        }
        #expect(sink.deliveries.map(\.attempt) == [1, 2])
    }

    @Test func aLostAnswerDelaysNothing() async throws {
        let sink = Scripted { _, _ in nil }
        let rig = try await Rig(plugin: sink)
        try await rig.at(.zero)
        try await serving(rig) { service, _ in
            try await ready(service, 64)
            // The store has put it in flight; the answer never came here.
            let offer = try await offered(service)
            let signal = try Rig.signal()
            let command = GateCommands(rig.configuration, ScriptComposer(rig.configuration)).gate(
                [signal], born: rig.gate.born, offer: offer)
            _ = try await rig.store.send(command)
            #expect(try await rig.claims().isEmpty)
            service.dispatch([], isKnown: false, of: offer, born: 0)
            service.wake()
            try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
        }
        #expect(sink.deliveries.map(\.attempt) == [2])
    }

    @Test func whatIsInDoubtAtAStopIsDueWhenTheSessionEnds() async throws {
        let rig = try await Rig(plugin: Scripted { _, _ in nil })
        try await rig.at(.zero)
        let signal = try Rig.signal()
        try await serving(rig) { service, _ in
            try await ready(service, 64)
            let offer = try await offered(service)
            let command = GateCommands(rig.configuration, ScriptComposer(rig.configuration)).gate(
                [signal], born: rig.gate.born, offer: offer)
            _ = try await rig.store.send(command)
            service.stop()
            service.dispatch([], isKnown: false, of: offer, born: 0)
        }
        #expect(try await rig.claims().isEmpty)
        try await rig.dies()
        #expect(try await rig.claims().count == 1)
    }

    @Test func aStopWaitsForTheAnswerThatIsOut() async throws {
        let sink = Scripted { _, _ in nil }
        let rig = try await Rig(plugin: sink)
        let ended = NIOLockedValueBox(false)
        let service = DeliveryService(
            rig.configuration, store: rig.delivery, metrics: HostMetrics(),
            log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let running = Task {
            await service.run()
            ended.withLockedValue { $0 = true }
        }
        try await ready(service, 64)
        let hands = Late(service)
        let names = NIOLockedValueBox<[String]>([])
        try await eventually("one dispatched") {
            let signal = try Rig.signal("A\(names.withLockedValue { $0.count })")
            names.withLockedValue { $0.append(signal.fingerprint.description) }
            let answer = await rig.gate.decide([signal], [], in: rig.store, on: nil, to: hands)
            if !answer.outcomes[0].isDispatched { hands.release() }
            return answer.outcomes[0].isDispatched
        }
        let name = try #require(names.withLockedValue { $0.last })
        service.stop()
        #expect(service.offer(1) == nil)
        #expect(!ended.withLockedValue { $0 })
        hands.release()
        await running.value
        #expect(sink.deliveries.filter { $0.id.hasPrefix(name) }.count == 1)
        var asked = RedisCommand("ZSCORE", "{test}:q:file")
        asked.add(try #require(Hex.bytes(name)))
        #expect(try await rig.store.send(asked) == .null)
    }

    /// Passes on later what the gate dispatches.
    private final class Late: DirectDispatch {
        private let service: DeliveryService
        private let kept = NIOLockedValueBox<[@Sendable () -> Void]>([])

        init(_ service: DeliveryService) { self.service = service }

        var keepsUp: Bool { service.keepsUp }
        func offer(_ capacity: Int) -> DispatchOffer? { service.offer(capacity) }
        func held(at session: SessionID) -> [HeldDelivery] { service.held(at: session) }
        func dispatch(_ episodes: [DispatchedEpisode], isKnown: Bool, of offer: DispatchOffer, born: Int64) {
            kept.withLockedValue { [service] in
                $0.append { service.dispatch(episodes, isKnown: isKnown, of: offer, born: born) }
            }
        }
        func release() {
            let steps = kept.withLockedValue { kept in
                defer { kept = [] }
                return kept
            }
            for step in steps { step() }
        }
    }

    @Test func aSinkThatIsBehindHasHalfItsRoomForThat() async throws {
        let (gate, open) = AsyncStream<Void>.makeStream()
        let sink = Scripted { _, _ in
            for await _ in gate {}
            return nil
        }
        let rig = try await Rig(plugin: sink)
        for place in 0..<100 { _ = await rig.decide(try Rig.signal("A\(place)")) }
        try await serving(rig) { service, _ in
            service.wake()
            try await eventually("all its room taken") { sink.deliveries.count == type(of: sink).concurrency }
            let answer = await decide(rig, service, [try Rig.signal("B")])
            #expect(answer.outcomes.map(\.isDispatched) == [false])
            #expect(answer.queued)
            open.finish()
            try await eventually("an empty queue") { try await rig.number("ZCARD", "{test}:q:file") == 0 }
        }
        #expect(sink.deliveries.count == 101)
    }
}
