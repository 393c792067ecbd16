import FailPoints
import Logging
import NIOConcurrencyHelpers
import Redis
import SignalKit

/// The deliveries in flight at this host, as the host knows them.
struct Flight: Sendable {
    /// Delivered, or about to be, and not acknowledged.
    var held: Set<Claim.Held> = []
    /// Claims, and calls of the gate with direct dispatch, whose replies may still come.
    var pending: Set<SessionCall> = []
    /// The store may have more in flight at this host than the host knows.
    var isInDoubt = false
    /// When the store is asked without a doubt.
    var next = ContinuousClock.now

    /// A call is over.
    /// - Parameter isKnown: whether `claims` is all that it put in flight.
    mutating func ended(_ call: SessionCall, isKnown: Bool, _ claims: [Claim] = []) {
        pending.remove(call)
        for claim in claims { held.insert(claim.held) }
        if !isKnown { isInDoubt = true }
    }
}

extension SinkWorker {
    /// From one reconciliation to the next, when nothing is in doubt: a call may have come to the store after it was given up.
    private static let reconciling = Duration.seconds(5)

    // MARK: Direct dispatch

    /// Nothing waits here, as far as is known, and its sink has not failed lately.
    var keepsUp: Bool { state.withLockedValue { $0.room.keepsUp } }

    /// Keeps capacity for so many that are not queued yet.
    /// - Returns: false when there is none. True is to be followed by one `dispatch`.
    func keep(_ capacity: Int, for call: SessionCall) -> Bool {
        state.withLockedValue { state in
            guard state.room.keep(capacity) else { return false }
            state.flight.pending.insert(call)
            return true
        }
    }

    /// Ends a call for which capacity was kept.
    /// - Parameter isKnown: whether that is all that the store put in flight.
    func dispatch(_ claims: [Claim], isKnown: Bool, of offer: DispatchOffer) {
        state.withLockedValue { $0.flight.ended(offer.call, isKnown: isKnown, claims) }
        if !claims.isEmpty {
            FailPoint.hit(.claimed)
            dispatcher.yield(claims)
        }
        // Last: when nothing is under way any more, nothing is dispatched either.
        ended(offer.capacity - claims.count, bytes: -claims.reduce(0) { $0 + $1.delivery.json.count })
    }

    func deliverDispatched() async {
        await withDiscardingTaskGroup { tasks in
            for await batch in dispatched { deliver(batch, in: &tasks) }
        }
    }

    // MARK: Reconciliation

    func held(at session: SessionID) -> [HeldDelivery] {
        state.withLockedValue { state in
            state.flight.held.filter { $0.call.session == session }
                .map { HeldDelivery(sink: sink.name, member: $0.member.bytes, call: $0.call) }
        }
    }

    /// These are delivered here no more, for now: they become due.
    func abandon(_ claims: [Claim]) {
        state.withLockedValue { state in
            for claim in claims { state.flight.held.remove(claim.held) }
            state.flight.isInDoubt = true
        }
    }

    /// Makes the members due that the store has in flight at this host and the host does not deliver.
    func reconcile() async {
        guard let session = store.session?.current else { return }
        let isDue = state.withLockedValue { state in
            guard state.flight.isInDoubt || ContinuousClock.now >= state.flight.next else { return false }
            (state.flight.isInDoubt, state.flight.next) = (false, .now + Self.reconciling)
            return true
        }
        guard isDue else { return }
        do throws(RedisError) {
            let most = type(of: sink.plugin).concurrency + 1_024
            guard let found = try await store.inFlight(sink.name, at: session, most: most) else { return }
            let strays = state.withLockedValue { state in
                found.filter { !state.flight.held.contains($0) && !state.flight.pending.contains($0.call) }
            }
            for start in stride(from: 0, to: strays.count, by: Self.claims) {
                try await store.release(sink.name, strays[start...].prefix(Self.claims), of: session)
            }
            if !strays.isEmpty { wake() }
        } catch {
            state.withLockedValue { $0.flight.isInDoubt = true }
            if error.code != .shut { log.warning("can't reconcile", metadata: metadata(error)) }
        }
    }
}
