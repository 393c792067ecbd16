import Logging
import NIOConcurrencyHelpers
import Redis
import SignalKit

/// Deliveries that a sink has leave its queue.
extension SinkWorker {
    func acknowledge() async {
        while true {
            let batch = state.withLockedValue { state in
                // Of one session, and they are nearly always.
                let session = state.delivered.first?.call.session
                let batch = Array(state.delivered.prefix(256).prefix { $0.call.session == session })
                state.delivered.removeFirst(batch.count)
                return batch
            }
            guard !batch.isEmpty else { return }
            do throws(RedisError) {
                guard let words = try await store.acknowledge(sink.name, batch) else {
                    // Not registered yet in a store that lacks the session; else over, and the deliveries are others'.
                    let isOver = store.session?.current != batch[0].call.session
                    if isOver { fenced(batch) } else { keep(batch) }
                    return
                }
                settled(batch, words)
            } catch {
                log.warning("can't acknowledge", metadata: metadata(error))
                // The sink has these: they are not delivered again.
                if keep(batch) { return }
            }
        }
    }

    /// Keeps deliveries for the next acknowledgement.
    /// - Returns: false when there will be none.
    @discardableResult private func keep(_ batch: [Claim]) -> Bool {
        state.withLockedValue { state in
            if !state.room.isStopping { state.delivered = batch + state.delivered }
            return !state.room.isStopping
        }
    }

    private func settled(_ batch: [Claim], _ words: [DeliveryStore.Acknowledgement]) {
        state.withLockedValue { state in for claim in batch { state.flight.held.remove(claim.held) } }
        for (claim, word) in zip(batch, words) where word != .lost {
            if let skipped = claim.delivery.skipped { metrics.skipped(sink: sink.name, by: skipped.episodes) }
        }
        let late = words.count { $0 == .lost }
        if late > 0 { metrics.delivery(sink: sink.name, result: "late", by: late) }
        if late < words.count { metrics.delivery(sink: sink.name, result: "delivered", by: words.count - late) }
        if words.contains(.changed) { wake() }
    }

    private func fenced(_ batch: [Claim]) {
        state.withLockedValue { state in for claim in batch { state.flight.held.remove(claim.held) } }
        metrics.delivery(sink: sink.name, result: "late", by: batch.count)
    }
}
