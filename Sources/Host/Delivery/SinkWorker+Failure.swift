import Logging
import NIOConcurrencyHelpers
import Redis
import SignalKit

/// Deliveries that a sink did not take.
extension SinkWorker {
    /// The sink took none of these: they come again later, or are set aside.
    func failed(_ batch: [Claim], _ error: SinkError) async {
        if let pause = paused(batch, error) {
            let failed = batch.map { FailedDelivery(claim: $0, delay: pause, usesAttempt: false) }
            return await comeAgain(failed, error)
        }
        let again = batch.filter { error.retryable && $0.counted < Self.attempts }
        let failed = again.map {
            FailedDelivery(claim: $0, delay: backOff.delay(after: $0.attempt, random: .random(in: 0...1)))
        }
        await comeAgain(failed, error)
        await withDiscardingTaskGroup { tasks in
            for claim in batch where !error.retryable || claim.counted >= Self.attempts {
                tasks.addTask { await self.bury(claim, error) }
            }
        }
    }

    /// - Returns: how long the sink is left alone; nil when the error is about these deliveries.
    private func paused(_ batch: [Claim], _ error: SinkError) -> Duration? {
        let now = ContinuousClock.now
        return state.withLockedValue { state in
            let isAlone = batch.count == 1 && state.outage.isAlone(batch[0].member)
            guard error.scope == .sink, !isAlone else {
                state.room.failed(isOverloaded: error.code == .overloaded)
                if isAlone { state.outage.note(batch[0].member) }
                return nil
            }
            state.room.pause()
            let until = state.outage.fail(batch.lazy.map(\.member), at: now, random: .random(in: 0...1))
            return max(now.duration(to: until), .milliseconds(100))
        }
    }

    private func comeAgain(_ failed: [FailedDelivery], _ error: SinkError) async {
        for (session, all) in Dictionary(grouping: failed, by: \.claim.call.session) {
            for start in stride(from: 0, to: all.count, by: Self.claims) {
                let some = all[start...].prefix(Self.claims)
                do throws(RedisError) {
                    // Without the session in the store they are due when it is taken for over, or is reconciled.
                    let words = try await store.retry(sink.name, some) ?? []
                    if words.isEmpty, store.session?.current == session { abandon(some.map(\.claim)) }
                    told(some, words, error)
                } catch {
                    abandon(some.map(\.claim))
                    log.warning("can't put a delivery back", metadata: metadata(error))
                }
            }
        }
    }

    private func told(_ some: ArraySlice<FailedDelivery>, _ words: [DeliveryStore.Retry], _ error: SinkError) {
        state.withLockedValue { state in for item in some { state.flight.held.remove(item.claim.held) } }
        if words.contains(.changed) { wake() }
        let kept = words.count { $0 != .lost }
        if kept < some.count { metrics.delivery(sink: sink.name, result: "lost", by: some.count - kept) }
        guard kept > 0, let first = some.first else { return }
        metrics.delivery(sink: sink.name, result: "retried", by: kept)
        let line = state.withLockedValue {
            $0.failures.note(first.claim, error, count: kept, again: first.delay, at: .now)
        }
        if let line { tell(line) }
    }

    func tell(_ line: FailureSummary.Line) {
        var details: Logger.Metadata = [
            "sink": "\(sink.name)", "id": "\(line.id)", "attempt": "\(line.attempt)", "code": "\(line.code.rawValue)",
            "reason": "\(line.reason)", "again_in_ms": "\(line.delay.milliseconds)",
        ]
        if line.deliveries > 1 { details["deliveries"] = "\(line.deliveries)" }
        log.warning("not delivered, will be tried again", metadata: details)
    }

    func bury(_ claim: Claim, _ error: SinkError) async {
        let reason = error.retryable ? "gave up after \(claim.counted) attempts: \(error.message)" : error.message
        do throws(RedisError) {
            let word = try await store.bury(sink.name, claim, because: reason, after: backOff.most)
            if word == .absent { return abandon([claim]) }
            state.withLockedValue { _ = $0.flight.held.remove(claim.held) }
            metrics.delivery(
                sink: sink.name, result: word == .buried ? "dead-lettered" : word == .lost ? "lost" : "retried")
            var details = details(claim, error)
            details["result"] = "\(word.rawValue)"
            log.error("not deliverable", metadata: details)
        } catch {
            // Its sink is asked once more, and says so once more.
            abandon([claim])
            log.warning("can't put a delivery back", metadata: metadata(error))
        }
    }

    private func details(_ claim: Claim, _ error: SinkError) -> Logger.Metadata {
        [
            "sink": "\(sink.name)", "id": "\(claim.delivery.id)", "attempt": "\(claim.attempt)",
            "code": "\(error.code.rawValue)", "reason": "\(error.message)",
        ]
    }
}
