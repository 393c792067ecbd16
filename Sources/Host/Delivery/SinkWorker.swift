import Logging
import NIOConcurrencyHelpers
import Redis
import SignalKit

/// Brings one sink to the latest state of everything in its queue.
///
/// Claims, hands over, acknowledges, and never holds more than it can lose: a claim that this host can't finish is free for
/// any other after its lease.
final class SinkWorker: Sendable {
    static let lease = Duration.seconds(60)
    static let attempts = 20
    /// Claims of one call. Redis runs a script to its end before it looks at anybody else.
    static let claims = 256
    /// After a claim that emptied the queue: what comes one by one is claimed together.
    static let pause = Duration.milliseconds(2)

    let sink: HostConfiguration.SinkEntry
    private let store: DeliveryStore
    private let metrics: HostMetrics
    private let log: Logger
    private let failPoint: @Sendable (FailPoint) -> Void
    private let backOff = BackOff.standard

    /// Of what is under way, about: each claim that is made below it may go over it once.
    static let bytes = 64 << 20

    private struct State {
        var inFlight = 0
        var bytes = 0
        /// Deliveries at once: halves when the sink is overloaded, grows by one with each success.
        var limit: Int
        /// Nothing more is claimed until there is room again.
        var full = false
        var delivered: [(claim: Claim, since: ContinuousClock.Instant)] = []
        var stopping = false

        /// Worth a call: a sink that takes many is not asked for one at a time.
        var hasRoom: Bool { !stopping && limit - inFlight >= max(1, limit / 16) && bytes < SinkWorker.bytes }
    }
    private let state: NIOLockedValueBox<State>
    private let most: Int
    /// Who claims: the first when there may be something, and the second when the first got all that it asked for.
    private let hands: [(wakes: AsyncStream<Void>, waker: AsyncStream<Void>.Continuation)]
    private let acknowledgements: AsyncStream<Void>
    private let acknowledger: AsyncStream<Void>.Continuation

    init(
        _ sink: HostConfiguration.SinkEntry, store: DeliveryStore, metrics: HostMetrics, log: Logger,
        failPoint: @escaping @Sendable (FailPoint) -> Void
    ) {
        self.sink = sink
        self.store = store
        self.metrics = metrics
        self.log = log
        self.failPoint = failPoint
        most = type(of: sink.plugin).concurrency
        state = NIOLockedValueBox(State(limit: most))
        // An answer of many deliveries takes Redis several turns to write.
        hands = (0..<(most > Self.claims ? 2 : 1)).map { _ in
            let (wakes, waker) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
            return (wakes, waker)
        }
        (acknowledgements, acknowledger) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// There may be something to claim.
    func wake() { hands[0].waker.yield() }

    /// Runs until `stop`, and returns when the last delivery has ended and is acknowledged.
    func run() async {
        await withDiscardingTaskGroup { tasks in
            tasks.addTask { [acknowledgements] in
                for await _ in acknowledgements { await self.acknowledge() }
                await self.acknowledge()
            }
            await withDiscardingTaskGroup { claiming in
                for place in hands.indices { claiming.addTask { await self.claim(place) } }
            }
            acknowledger.finish()
        }
        await sink.plugin.close()
    }

    /// No further claims; what is in flight ends.
    func stop() {
        state.withLockedValue { $0.stopping = true }
        wakeAll()
    }

    private func wakeAll() {
        for hand in hands { hand.waker.yield() }
    }

    // MARK: Claiming

    private func claim(_ place: Int) async {
        await withDiscardingTaskGroup { tasks in
            for await _ in hands[place].wakes {
                let isDrained = await self.claim(place, &tasks)
                if state.withLockedValue({ $0.stopping && $0.inFlight == 0 }) { break }
                if isDrained { try? await Task.sleep(for: Self.pause) }
            }
        }
    }

    /// - Returns: whether the queue has nothing more that is due.
    private func claim(_ place: Int, _ tasks: inout DiscardingTaskGroup) async -> Bool {
        while true {
            let room = state.withLockedValue { state in
                state.full = !state.hasRoom
                let room = state.full ? 0 : min(state.limit - state.inFlight, Self.claims)
                // The other hand's, too: none is claimed that can't be delivered.
                state.inFlight += room
                return room
            }
            guard room > 0 else { return false }
            let started = ContinuousClock.now
            let found: DeliveryStore.Claimed
            do throws(RedisError) {
                found = try await store.claim(sink.name, most: room, lease: Self.lease)
            } catch {
                ended(room)
                // The store says so itself when it falls shut; the next poll tries again.
                if error.code != .shut { log.warning("can't claim", metadata: metadata(error)) }
                return false
            }
            for fault in found.faults {
                log.error("a queued record can't be read", metadata: ["sink": "\(sink.name)", "reason": "\(fault)"])
            }
            ended(room - found.claims.count, bytes: -found.claims.reduce(0) { $0 + $1.delivery.json.count })
            if !found.claims.isEmpty { failPoint(.claimed) }
            if found.more, place + 1 < hands.count { hands[place + 1].waker.yield() }
            for claim in found.claims {
                tasks.addTask { await self.deliver(claim, since: started) }
            }
            if !found.more { return true }
        }
    }

    /// So much is not under way any more.
    private func ended(_ count: Int, bytes: Int = 0) {
        let (wanted, over) = state.withLockedValue { state in
            state.inFlight -= count
            state.bytes -= bytes
            return (state.full && state.hasRoom, state.stopping && state.inFlight == 0)
        }
        if over { wakeAll() } else if wanted { wake() }
    }

    private func deliver(_ claim: Claim, since: ContinuousClock.Instant) async {
        let context = DeliveryContext(attempt: claim.attempt, deadline: since + Self.lease * 0.8)
        do throws(SinkError) {
            try await sink.plugin.deliver(claim.delivery, context)
            state.withLockedValue {
                $0.delivered.append((claim, since))
                $0.limit = min($0.limit + 1, most)
            }
            acknowledger.yield()
        } catch {
            await failed(claim, error)
        }
        ended(1, bytes: claim.delivery.json.count)
    }

    private func failed(_ claim: Claim, _ error: SinkError) async {
        if error.code == .overloaded { state.withLockedValue { $0.limit = max(1, $0.limit / 2) } }
        let delay = backOff.delay(after: claim.attempt, random: .random(in: 0...1))
        var details: Logger.Metadata = [
            "sink": "\(sink.name)", "id": "\(claim.delivery.id)", "attempt": "\(claim.attempt)",
            "code": "\(error.code.rawValue)", "reason": "\(error.message)",
        ]
        do throws(RedisError) {
            if error.retryable && claim.attempt < Self.attempts {
                let kept = try await store.retry(sink.name, claim, after: delay)
                metrics.delivery(sink: sink.name, result: kept ? "retried" : "lost")
                details["again_in_ms"] = "\(delay.milliseconds)"
                log.warning("not delivered, will be tried again", metadata: details)
            } else {
                let reason =
                    error.retryable ? "gave up after \(claim.attempt) attempts: \(error.message)" : error.message
                let word = try await store.bury(sink.name, claim, because: reason, after: backOff.most)
                metrics.delivery(
                    sink: sink.name, result: word == .buried ? "dead-lettered" : word == .lost ? "lost" : "retried")
                details["result"] = "\(word.rawValue)"
                log.error("not deliverable", metadata: details)
            }
        } catch {
            // The claim ends by itself, and the delivery comes again.
            log.warning("can't put a delivery back", metadata: metadata(error))
        }
    }

    // MARK: Acknowledging

    private func acknowledge() async {
        while true {
            let batch = state.withLockedValue { state in
                let batch = Array(state.delivered.prefix(256))
                state.delivered.removeFirst(batch.count)
                return batch
            }
            guard !batch.isEmpty else { return }
            do throws(RedisError) {
                let words = try await store.acknowledge(sink.name, batch.map(\.claim))
                for word in words { metrics.delivery(sink: sink.name, result: word == .lost ? "late" : "delivered") }
                if words.contains(.changed) { wake() }
            } catch {
                // Kept for the next tick while the claims are ours: what the sink has need not be handed over again.
                let still = batch.filter { $0.since.duration(to: .now) < Self.lease }
                let stopping = state.withLockedValue { state in
                    if !state.stopping { state.delivered = still + state.delivered }
                    return state.stopping
                }
                log.warning("can't acknowledge", metadata: metadata(error))
                if !stopping { return }
            }
        }
    }

    /// Once a second: what others left, and what could not be acknowledged.
    func tick() {
        wake()
        acknowledger.yield()
    }

    private func metadata(_ error: RedisError) -> Logger.Metadata {
        ["sink": "\(sink.name)", "code": "\(error.code.rawValue)", "reason": "\(error.message)"]
    }
}
