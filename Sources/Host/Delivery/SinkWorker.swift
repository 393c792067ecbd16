import FailPoints
import Logging
import NIOConcurrencyHelpers
import Redis
import SignalKit

/// Brings one sink to the latest state of everything in its queue.
///
/// Claims, or has new episodes from the gate by direct dispatch, delivers, and acknowledges. All is in flight at this host's session:
/// a delivery that the host does not finish is due again when the session ends, and one that it does not know of by reconciliation.
final class SinkWorker: Sendable {
    static let attempts = 20
    /// Claims of one call. Redis runs a script to its end before it looks at anybody else.
    static let claims = 256
    /// After a claim that emptied the queue: what comes one by one is claimed together.
    static let pause = Duration.milliseconds(2)
    /// After an acknowledgement: what is delivered meanwhile is acknowledged together. Nobody waits for it.
    static let gathering = Duration.milliseconds(5)

    /// By then a delivery should have returned.
    static let timeLimit = Duration.seconds(48)

    let sink: HostConfiguration.SinkEntry
    let store: DeliveryStore
    let metrics: HostMetrics
    let log: Logger
    let backOff = BackOff.standard

    struct State {
        var room: DeliveryRoom
        var delivered: [Claim] = []
        var flight = Flight()
        /// Members of one claim. Less after one that was lost: so large an answer may never come in time.
        var claims = SinkWorker.claims
        var outage: SinkOutage
        var failures = FailureSummary()
    }
    let state: NIOLockedValueBox<State>
    /// Who claims: the first when there may be something, and the second when the first got all that it asked for.
    private let claimers: [(wakes: AsyncStream<Void>, waker: AsyncStream<Void>.Continuation)]
    /// By direct dispatch. Bounded by the capacity that was kept for it.
    let dispatched: AsyncStream<[Claim]>
    let dispatcher: AsyncStream<[Claim]>.Continuation
    private let acknowledgements: AsyncStream<Void>
    private let acknowledger: AsyncStream<Void>.Continuation
    let reconciliations: AsyncStream<Void>
    let reconciler: AsyncStream<Void>.Continuation
    /// The sink takes deliveries again.
    private let returns: AsyncStream<Void>
    private let returner: AsyncStream<Void>.Continuation

    init(
        _ sink: HostConfiguration.SinkEntry, store: DeliveryStore, metrics: HostMetrics, log: Logger,
        pauses: BackOff = SinkOutage.standard
    ) {
        self.sink = sink
        self.store = store
        self.metrics = metrics
        self.log = log
        let most = type(of: sink.plugin).concurrency
        // An answer of many deliveries takes Redis several turns to write.
        claimers = (0..<(most > Self.claims ? 2 : 1)).map { _ in
            let (wakes, waker) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
            return (wakes, waker)
        }
        state = NIOLockedValueBox(
            State(room: DeliveryRoom(most: most), outage: SinkOutage(pauses: pauses)))
        (dispatched, dispatcher) = AsyncStream.makeStream()
        (acknowledgements, acknowledger) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (reconciliations, reconciler) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
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
            let reconciling = Task { [reconciliations] in
                for await _ in reconciliations { await self.reconcile() }
            }
            await withDiscardingTaskGroup { claiming in
                for place in claimers.indices { claiming.addTask { await self.claim(place) } }
                claiming.addTask { await self.deliverDispatched() }
            }
            resuming.cancel()
            reconciling.cancel()
            acknowledger.finish()
        }
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
        if isOver { dispatcher.finish() }
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
        while let call = store.session?.nextCall() {
            let room = state.withLockedValue { state in
                let room = state.outage.isPaused(at: .now) ? 0 : state.room.claim(state.claims)
                if room > 0 { state.flight.pending.insert(call) }
                return room
            }
            guard room > 0 else { return false }
            let found: DeliveryStore.Claimed
            do throws(RedisError) {
                found = try await store.claim(sink.name, by: call, most: room)
            } catch {
                state.withLockedValue { state in
                    state.flight.ended(call, isKnown: false)
                    if error.code == .timedOut || error.code == .reset { state.claims = max(1, state.claims / 2) }
                }
                ended(room)
                return cannotClaim(error)
            }
            for fault in found.faults {
                log.error("a queued record can't be read", metadata: ["sink": "\(sink.name)", "reason": "\(fault)"])
            }
            let alone = found.claims.count == 1 && found.claims[0].isAlone
            let isSecond = state.withLockedValue { state in
                // Two that are alone would wait for each other.
                let isSecond = alone && state.room.isForOne
                state.room.isBehind = found.more
                state.room.isForOne = state.room.isForOne || alone
                // Slowly: where more never comes in time, each attempt at it shuts the store for all.
                state.claims = min(state.claims + 8, Self.claims)
                state.flight.ended(call, isKnown: true, found.claims)
                return isSecond
            }
            ended(room - found.claims.count, bytes: -found.claims.reduce(0) { $0 + $1.delivery.json.count })
            if !found.claims.isEmpty { FailPoint.hit(.claimed) }
            if found.more, place + 1 < claimers.count { claimers[place + 1].waker.yield() }
            if isSecond {
                abandon(found.claims)
                ended(1, bytes: found.claims[0].delivery.json.count)
                return false
            } else if alone {
                tasks.addTask { await self.deliverAlone(found.claims[0]) }
            } else {
                deliver(found.claims, in: &tasks)
            }
            if !found.more { return true }
        }
        return false
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

    func deliver(_ batch: [Claim], in tasks: inout DiscardingTaskGroup) {
        guard !batch.isEmpty else { return }
        if let together = sink.plugin as? any BatchSink {
            tasks.addTask { await self.deliver(batch, by: together.deliver) }
            return
        }
        for claim in batch {
            tasks.addTask { await self.deliver([claim], by: self.single) }
        }
    }

    private func single(_ only: [(delivery: Delivery, context: DeliveryContext)]) async throws(SinkError) {
        try await sink.plugin.deliver(only[0].delivery, only[0].context)
    }

    /// The host ended some times while this was in flight: with nothing beside it, so that no neighbour is blamed.
    private func deliverAlone(_ claim: Claim) async {
        while state.withLockedValue({ $0.room.inFlight > 1 && !$0.room.isStopping }) {
            try? await Task.sleep(for: .milliseconds(10))
        }
        if claim.counted > Self.attempts {
            await bury(claim, SinkError(.bug, "its host ended each time while it was delivered", retryable: true))
            ended(1, bytes: claim.delivery.json.count)
        } else {
            await deliver([claim], by: single)
        }
        state.withLockedValue { $0.room.isForOne = false }
        wake()
    }

    private func deliver(
        _ claims: [Claim],
        by deliver: ([(delivery: Delivery, context: DeliveryContext)]) async throws(SinkError) -> Void
    ) async {
        // One look at the time for all: a claim is delivered or abandoned, never both.
        let now = ContinuousClock.now
        let batch = claims.filter { store.session?.mayStart($0.call, at: now) ?? true }
        // Another host may have the others: they are this host's no more, or are due again in a moment.
        if batch.count < claims.count {
            let held = Set(batch.map(\.held))
            abandon(claims.filter { !held.contains($0.held) })
        }
        defer { ended(claims.count, bytes: claims.reduce(0) { $0 + $1.delivery.json.count }) }
        guard !batch.isEmpty else { return }
        do throws(SinkError) {
            let deadline = ContinuousClock.now + Self.timeLimit
            try await deliver(
                batch.map { ($0.delivery, DeliveryContext(attempt: $0.attempt, deadline: deadline)) })
            let isBack = state.withLockedValue { state in
                state.delivered += batch
                state.outage.succeeded(batch.lazy.map(\.member))
                return state.room.succeeded(batch.count)
            }
            acknowledger.yield()
            if isBack { returner.yield() }
        } catch {
            if batch.count > 1, !error.retryable {
                state.withLockedValue { $0.room.failed(isOverloaded: false) }
                // Whose fault it is, is not said.
                for claim in batch { await tryOne(claim, by: deliver) }
                return
            }
            await failed(batch, error)
        }
    }

    private func tryOne(
        _ claim: Claim,
        by deliver: ([(delivery: Delivery, context: DeliveryContext)]) async throws(SinkError) -> Void
    ) async {
        // It ends twice: as one, and with its batch.
        ended(-1, bytes: -claim.delivery.json.count)
        await self.deliver([claim], by: deliver)
    }

    /// Once a second: claims, reconciles, and repeats acknowledgements that failed.
    func tick() {
        wake()
        acknowledger.yield()
        reconciler.yield()
        for line in state.withLockedValue({ $0.failures.due(at: .now) }) { tell(line) }
    }

    func metadata(_ error: RedisError) -> Logger.Metadata {
        ["sink": "\(sink.name)", "code": "\(error.code.rawValue)", "reason": "\(error.message)"]
    }
}
