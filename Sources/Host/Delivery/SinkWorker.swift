import Logging
import NIOConcurrencyHelpers
import Redis
import SignalKit

/// Brings one sink to the latest state of everything in its queue.
///
/// Claims, or is handed over by the gate, delivers, acknowledges, and never holds more than it can lose: what this host can't finish
/// is free for any other after its lease.
final class SinkWorker: Sendable {
    static let attempts = 20
    /// Claims of one call. Redis runs a script to its end before it looks at anybody else.
    static let claims = 256
    /// After a claim that emptied the queue: what comes one by one is claimed together.
    static let pause = Duration.milliseconds(2)
    /// After an acknowledgement: what is delivered meanwhile is acknowledged together. Nobody waits for it.
    static let gathering = Duration.milliseconds(5)

    let sink: HostConfiguration.SinkEntry
    let store: DeliveryStore
    let metrics: HostMetrics
    let log: Logger
    let failPoint: @Sendable (FailPoint) -> Void
    let backOff = BackOff.standard

    struct State {
        var room: DeliveryRoom
        var delivered: [Begun] = []
        var left = Left()
        var claimers: [Claimer]
        var outage: SinkOutage
        var failures = FailureSummary()
    }
    /// A delivery with the time from which its lease counts here, which is before it was asked for.
    struct Begun: Sendable {
        let claim: Claim
        let since: ContinuousClock.Instant
    }
    let state: NIOLockedValueBox<State>
    /// Who claims: the first when there may be something, and the second when the first got all that it asked for.
    private let claimers: [(wakes: AsyncStream<Void>, waker: AsyncStream<Void>.Continuation)]
    /// What the gate hands over. Bounded by the room that was kept for it.
    let handed: AsyncStream<[Begun]>
    let hander: AsyncStream<[Begun]>.Continuation
    private let acknowledgements: AsyncStream<Void>
    private let acknowledger: AsyncStream<Void>.Continuation
    /// The sink takes deliveries again.
    private let returns: AsyncStream<Void>
    private let returner: AsyncStream<Void>.Continuation

    init(
        _ sink: HostConfiguration.SinkEntry, store: DeliveryStore, metrics: HostMetrics, log: Logger,
        pauses: BackOff = SinkOutage.standard, failPoint: @escaping @Sendable (FailPoint) -> Void
    ) {
        self.sink = sink
        self.store = store
        self.metrics = metrics
        self.log = log
        self.failPoint = failPoint
        let most = type(of: sink.plugin).concurrency
        // An answer of many deliveries takes Redis several turns to write.
        claimers = (0..<(most > Self.claims ? 2 : 1)).map { _ in
            let (wakes, waker) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
            return (wakes, waker)
        }
        state = NIOLockedValueBox(
            State(
                room: DeliveryRoom(most: most), claimers: claimers.map { _ in Claimer() },
                outage: SinkOutage(pauses: pauses)))
        (handed, hander) = AsyncStream.makeStream()
        (acknowledgements, acknowledger) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (returns, returner) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// There may be something to claim.
    func wake() { claimers[0].waker.yield() }

    /// Runs until `stop`, and returns when the last delivery has ended and is acknowledged.
    func run() async {
        let maintenance = Task { await sink.plugin.maintain() }
        await withDiscardingTaskGroup { tasks in
            tasks.addTask { [acknowledgements] in
                for await _ in acknowledgements {
                    await self.acknowledge()
                    try? await Task.sleep(for: Self.gathering)
                }
                await self.acknowledge()
            }
            let resuming = Task { [returns] in
                for await _ in returns { await self.resume() }
            }
            await withDiscardingTaskGroup { claiming in
                for place in claimers.indices { claiming.addTask { await self.claim(place) } }
                claiming.addTask { await self.deliverHanded() }
            }
            resuming.cancel()
            acknowledger.finish()
        }
        // What is lost now waits for the end of its lease.
        for place in claimers.indices { try? await giveBack(of: place) }
        for line in state.withLockedValue({ $0.failures.rest() }) { tell(line) }
        maintenance.cancel()
        await maintenance.value
        await sink.plugin.close()
    }

    /// No further claims; what is in flight ends.
    func stop() {
        let isOver = state.withLockedValue { state in
            state.room.stop()
            return state.room.isOver
        }
        wakeAll(isOver)
    }

    private func wakeAll(_ isOver: Bool) {
        for claimer in claimers { claimer.waker.yield() }
        if isOver { hander.finish() }
    }

    // MARK: Claiming

    private func claim(_ place: Int) async {
        await withDiscardingTaskGroup { tasks in
            for await _ in claimers[place].wakes {
                let isDrained = await self.claim(place, &tasks)
                if state.withLockedValue({ $0.room.isOver }) { break }
                if isDrained { try? await Task.sleep(for: Self.pause) }
            }
        }
    }

    /// - Returns: whether the queue has nothing more that is due.
    private func claim(_ place: Int, _ tasks: inout DiscardingTaskGroup) async -> Bool {
        while true {
            do throws(RedisError) {
                try await giveBack(of: place)
            } catch {
                return cannotClaim(error)
            }
            let (room, ticket) = state.withLockedValue { state in
                let room = state.outage.isPaused(at: .now) ? 0 : state.room.claim(state.claimers[place].most)
                return (room, state.claimers[place].ticket.next())
            }
            guard room > 0 else { return false }
            let started = ContinuousClock.now
            let found: DeliveryStore.Claimed
            do throws(RedisError) {
                found = try await store.claim(sink.name, as: ticket, most: room)
            } catch {
                state.withLockedValue { $0.claimers[place].lost(ticket, error) }
                ended(room)
                return cannotClaim(error)
            }
            for fault in found.faults {
                log.error("a queued record can't be read", metadata: ["sink": "\(sink.name)", "reason": "\(fault)"])
            }
            state.withLockedValue { state in
                state.room.isBehind = found.more
                state.claimers[place].heard()
            }
            ended(room - found.claims.count, bytes: -found.claims.reduce(0) { $0 + $1.delivery.json.count })
            if !found.claims.isEmpty { failPoint(.claimed) }
            if found.more, place + 1 < claimers.count { claimers[place + 1].waker.yield() }
            deliver(found.claims.map { Begun(claim: $0, since: started) }, in: &tasks)
            if !found.more { return true }
        }
    }

    private func cannotClaim(_ error: RedisError) -> Bool {
        state.withLockedValue { $0.room.isBehind = true }
        // The store says so itself when it falls shut; the next poll tries again.
        if error.code != .shut { log.warning("can't claim", metadata: metadata(error)) }
        return false
    }

    /// So much is not under way any more.
    func ended(_ count: Int, bytes: Int = 0) {
        let (isWanted, isOver) = state.withLockedValue { ($0.room.end(count, bytes: bytes), $0.room.isOver) }
        if isOver { wakeAll(true) } else if isWanted { wake() }
    }

    func deliver(_ batch: [Begun], in tasks: inout DiscardingTaskGroup) {
        guard !batch.isEmpty else { return }
        if let together = sink.plugin as? any BatchSink {
            tasks.addTask { await self.deliver(batch, by: together.deliver) }
            return
        }
        for begun in batch {
            tasks.addTask {
                await self.deliver([begun]) { only throws(SinkError) in
                    try await self.sink.plugin.deliver(only[0].delivery, only[0].context)
                }
            }
        }
    }

    private func deliver(
        _ batch: [Begun],
        by deliver: ([(delivery: Delivery, context: DeliveryContext)]) async throws(SinkError) -> Void
    ) async {
        do throws(SinkError) {
            try await deliver(
                batch.map {
                    (
                        $0.claim.delivery,
                        DeliveryContext(attempt: $0.claim.attempt, deadline: $0.since + Lease.length * 0.8)
                    )
                })
            let isBack = state.withLockedValue { state in
                state.delivered += batch
                state.outage.succeeded(batch.lazy.map(\.claim.member))
                return state.room.succeeded(batch.count)
            }
            acknowledger.yield()
            if isBack { returner.yield() }
        } catch {
            if batch.count > 1, !error.retryable {
                state.withLockedValue { $0.room.failed(isOverloaded: false) }
                // Whose fault it is, is not said.
                for begun in batch { await self.deliver([begun], by: deliver) }
                return
            }
            await failed(batch, error)
        }
        ended(batch.count, bytes: batch.reduce(0) { $0 + $1.claim.delivery.json.count })
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
                for (claim, word) in zip(batch.map(\.claim), words) where word != .lost {
                    if let skipped = claim.delivery.skipped { metrics.skipped(sink: sink.name, by: skipped.episodes) }
                }
                let late = words.count { $0 == .lost }
                if late > 0 { metrics.delivery(sink: sink.name, result: "late", by: late) }
                if late < words.count { metrics.delivery(sink: sink.name, result: "delivered", by: words.count - late) }
                if words.contains(.changed) { wake() }
            } catch {
                // Kept for the next tick while the claims are ours: what the sink has need not be handed over again.
                let still = batch.filter { $0.since.duration(to: .now) < Lease.length }
                let stopping = state.withLockedValue { state in
                    if !state.room.isStopping { state.delivered = still + state.delivered }
                    return state.room.isStopping
                }
                log.warning("can't acknowledge", metadata: metadata(error))
                if !stopping { return }
            }
        }
    }

    /// Once a second: what others left, what was lost, and what could not be acknowledged.
    func tick() {
        wake()
        // The second claimer has nothing else to wake it when the first finds all that there is.
        let losers = state.withLockedValue { state in state.claimers.indices.filter { state.claimers[$0].lost != nil } }
        for place in losers { claimers[place].waker.yield() }
        acknowledger.yield()
        for line in state.withLockedValue({ $0.failures.due(at: .now) }) { tell(line) }
    }

    func metadata(_ error: RedisError) -> Logger.Metadata {
        ["sink": "\(sink.name)", "code": "\(error.code.rawValue)", "reason": "\(error.message)"]
    }
}
