import NIOConcurrencyHelpers
import Redis
import SignalKit

/// What a worker has from the gate, without a claim.
extension SinkWorker {
    /// Nothing waits here, as far as is known, and its sink has not failed lately.
    var keepsUp: Bool { state.withLockedValue { $0.room.keepsUp } }

    /// Keeps room for so many that are not queued yet.
    /// - Returns: false when there is none. True is to be followed by one `take`.
    func keep(_ room: Int) -> Bool { state.withLockedValue { $0.room.keep(room) } }

    /// What came of a call for which room was kept.
    /// - Parameter lost: nobody knows whether the store has handed these over; nothing of it is delivered here.
    func take(_ claims: [Claim], lost: [LostHandOver], of room: Int, since: ContinuousClock.Instant) {
        if !lost.isEmpty { state.withLockedValue { $0.left.handedOver += lost.map { ($0, since + Lease.length) } } }
        if !claims.isEmpty {
            failPoint(.claimed)
            hander.yield(claims.map { Begun(claim: $0, since: since) })
        }
        // Last: when nothing is under way any more, nothing is handed over either.
        ended(room - claims.count, bytes: -claims.reduce(0) { $0 + $1.delivery.json.count })
    }

    func deliverHanded() async {
        await withDiscardingTaskGroup { tasks in
            for await batch in handed {
                deliver(batch, in: &tasks)
            }
        }
    }
}
