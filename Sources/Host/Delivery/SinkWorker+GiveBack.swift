import Logging
import NIOConcurrencyHelpers
import Redis
import SignalKit

/// What a worker can't finish goes back into its queue.
extension SinkWorker {
    struct Claimer {
        var ticket = ClaimTicket()
        /// Of a claim whose answer was lost, until it is given back.
        var lost: ClaimTicket?
        /// Of one claim. Less after one that was lost: so large an answer may never come in time.
        private(set) var most = SinkWorker.claims

        mutating func lost(_ ticket: ClaimTicket, _ error: RedisError) {
            // What makes an answer that can't be would make it again at once.
            guard error.code != .garbage else { return }
            lost = ticket
            if error.code == .timedOut || error.code == .reset { most = max(1, most / 2) }
        }

        /// Slowly: where more never comes in time, each attempt at it shuts the store for all.
        mutating func heard() { most = min(most + 8, SinkWorker.claims) }
    }

    /// What is this host's, as the store may see it, and will not be delivered: until it is given back, or its lease ends.
    struct Left {
        /// What an answer of the gate that was lost may have handed over.
        var handedOver: [(LostHandOver, until: ContinuousClock.Instant)] = []
        /// What its sink did not take, when the store did not take it back.
        var failed: [(FailedDelivery, until: ContinuousClock.Instant)] = []

        mutating func add(_ other: Left, after now: ContinuousClock.Instant) {
            handedOver += other.handedOver.filter { $0.until > now }
            failed += other.failed.filter { $0.until > now }
        }
    }

    /// The sink took none of these: they come again later, or are set aside.
    func failed(_ batch: [Begun], _ error: SinkError) async {
        if let pause = paused(batch, error) {
            let failed = batch.map { FailedDelivery(claim: $0.claim, delay: pause, usesAttempt: false) }
            return await comeAgain(failed, batch, error)
        }
        let again = batch.filter { error.retryable && $0.claim.attempt < Self.attempts }
        let failed = again.map {
            FailedDelivery(
                claim: $0.claim, delay: backOff.delay(after: $0.claim.attempt, random: .random(in: 0...1)))
        }
        await comeAgain(failed, again, error)
        await withDiscardingTaskGroup { tasks in
            for begun in batch where !error.retryable || begun.claim.attempt >= Self.attempts {
                tasks.addTask { await self.bury(begun, error) }
            }
        }
    }

    /// - Returns: how long the sink is left alone; nil when the error is about these deliveries.
    private func paused(_ batch: [Begun], _ error: SinkError) -> Duration? {
        let now = ContinuousClock.now
        return state.withLockedValue { state in
            let isAlone = batch.count == 1 && state.outage.isAlone(batch[0].claim.member)
            guard error.scope == .sink, !isAlone else {
                state.room.failed(isOverloaded: error.code == .overloaded)
                if isAlone { state.outage.note(batch[0].claim.member) }
                return nil
            }
            state.room.pause()
            let until = state.outage.fail(batch.lazy.map(\.claim.member), at: now, random: .random(in: 0...1))
            return max(now.duration(to: until), .milliseconds(100))
        }
    }

    private func comeAgain(_ failed: [FailedDelivery], _ batch: [Begun], _ error: SinkError) async {
        for start in stride(from: 0, to: failed.count, by: Self.claims) {
            let some = Array(failed[start...].prefix(Self.claims))
            do throws(RedisError) {
                let kept = try await retry(some)
                if kept < some.count { metrics.delivery(sink: sink.name, result: "lost", by: some.count - kept) }
                guard kept > 0 else { continue }
                metrics.delivery(sink: sink.name, result: "retried", by: kept)
                let line = state.withLockedValue {
                    $0.failures.note(some[0].claim, error, count: kept, again: some[0].delay, at: .now)
                }
                if let line { tell(line) }
            } catch {
                cannotPutBack(zip(some, batch[start...]).map { ($0, $1.since) }, error)
            }
        }
    }

    func tell(_ line: FailureSummary.Line) {
        var details: Logger.Metadata = [
            "sink": "\(sink.name)", "id": "\(line.id)", "attempt": "\(line.attempt)", "code": "\(line.code.rawValue)",
            "reason": "\(line.reason)", "again_in_ms": "\(line.delay.milliseconds)",
        ]
        if line.deliveries > 1 { details["deliveries"] = "\(line.deliveries)" }
        log.warning("not delivered, will be tried again", metadata: details)
    }

    /// - Returns: how many claims were still this host's.
    private func retry(_ failed: some Sequence<FailedDelivery>) async throws(RedisError) -> Int {
        let words = try await store.retry(sink.name, failed)
        if words.contains(.changed) { wake() }
        return words.count { $0 != .lost }
    }

    private func bury(_ begun: Begun, _ error: SinkError) async {
        let claim = begun.claim
        let reason = error.retryable ? "gave up after \(claim.attempt) attempts: \(error.message)" : error.message
        do throws(RedisError) {
            let word = try await store.bury(sink.name, claim, because: reason, after: backOff.most)
            metrics.delivery(
                sink: sink.name, result: word == .buried ? "dead-lettered" : word == .lost ? "lost" : "retried")
            var details = details(claim, error)
            details["result"] = "\(word.rawValue)"
            log.error("not deliverable", metadata: details)
        } catch {
            // Its sink is asked once more, and says so once more.
            let delay = backOff.delay(after: claim.attempt, random: .random(in: 0...1))
            cannotPutBack([(FailedDelivery(claim: claim, delay: delay), begun.since)], error)
        }
    }

    private func details(_ claim: Claim, _ error: SinkError) -> Logger.Metadata {
        [
            "sink": "\(sink.name)", "id": "\(claim.delivery.id)", "attempt": "\(claim.attempt)",
            "code": "\(error.code.rawValue)", "reason": "\(error.message)",
        ]
    }

    private func cannotPutBack(_ failed: [(FailedDelivery, since: ContinuousClock.Instant)], _ error: RedisError) {
        state.withLockedValue { $0.left.failed += failed.map { ($0, $1 + Lease.length) } }
        log.warning("can't put a delivery back", metadata: metadata(error))
    }

    /// The store answers again, or may: what was left need not wait for the end of its lease.
    /// - Parameter place: of a claimer, which does not claim before it is through with what it lost.
    func giveBack(of place: Int) async throws(RedisError) {
        var (left, lost) = state.withLockedValue { state in
            let left = state.left
            state.left = Left()
            return (left, state.claimers[place].lost)
        }
        do throws(RedisError) {
            while lost != nil || !left.handedOver.isEmpty {
                let part = left.handedOver.prefix(Self.claims)
                try await store.giveBack(sink.name, claim: lost, part.map(\.0))
                left.handedOver.removeFirst(part.count)
                lost = nil
                state.withLockedValue { $0.claimers[place].lost = nil }
            }
            while !left.failed.isEmpty {
                let part = left.failed.prefix(Self.claims)
                let kept = try await retry(part.map(\.0))
                left.failed.removeFirst(part.count)
                if kept > 0 { metrics.delivery(sink: sink.name, result: "retried", by: kept) }
            }
        } catch {
            let now = ContinuousClock.now
            state.withLockedValue { $0.left.add(left, after: now) }
            throw error
        }
    }
}
