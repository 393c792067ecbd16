import NIOConcurrencyHelpers
import NIOCore

/// Small requests of one event loop share a call of the gate: what comes in one turn of the loop goes together, and what comes
/// while a call is out waits for its reply, unless it fills a call of its own. To send and run a script costs more than
/// to decide a signal.
final class GateBatches: Sendable {
    /// Decides, and sends nothing after the time that is given.
    typealias Decide = @Sendable ([GateSignal], ContinuousClock.Instant?) async -> GateAnswer

    private struct Item: Sendable {
        let signals: [GateSignal]
        let deadline: ContinuousClock.Instant?
        let waiter: CheckedContinuation<GateAnswer?, Never>

        var bytes: Int { signals.reduce(0) { $0 + $1.size } }
    }
    private struct Line: Sendable {
        var waiting = CircularBuffer<Item>()
        /// Signals of `waiting`.
        var signals = 0
        /// Calls that are out, or about to be.
        var calls = 0
        /// Of these, those that have not taken anything yet.
        var beginning = 0
        let executor: LoopExecutor
    }
    /// By event loop.
    private let lines = NIOLockedValueBox<[ObjectIdentifier: Line]>([:])
    private let most: Int

    /// - Parameter most: signals of one call.
    init(most: Int) { self.most = most }

    /// - Returns: nil when it was not asked: its deadline passed while it waited.
    func decide(
        _ signals: [GateSignal], on eventLoop: any EventLoop, until deadline: ContinuousClock.Instant?,
        _ decide: @escaping Decide
    ) async -> GateAnswer? {
        let key = ObjectIdentifier(eventLoop)
        return await withCheckedContinuation { waiter in
            let item = Item(signals: signals, deadline: deadline, waiter: waiter)
            let executor: LoopExecutor? = lines.withLockedValue { lines in
                var line = lines.removeValue(forKey: key) ?? Line(executor: LoopExecutor(eventLoop))
                defer { lines[key] = line }
                line.waiting.append(item)
                line.signals += signals.count
                guard line.calls == 0 || line.signals >= most * (line.beginning + 1) else { return nil }
                line.calls += 1
                line.beginning += 1
                return line.executor
            }
            guard let executor else { return }
            // Not at once: what else has come in this turn of the loop is still to be looked at.
            Task(executorPreference: executor) { await self.run(key, decide) }
        }
    }

    private func run(_ key: ObjectIdentifier, _ decide: Decide) async {
        var isFirst = true
        while let batch = next(key, isFirst: isFirst) {
            isFirst = false
            let now = ContinuousClock.now
            var (signals, asked) = ([GateSignal](), [Item]())
            for item in batch {
                if let deadline = item.deadline, now >= deadline {
                    item.waiter.resume(returning: nil)
                } else {
                    signals += item.signals
                    asked.append(item)
                }
            }
            guard !asked.isEmpty else { continue }
            let answer = await decide(
                signals, asked.allSatisfy { $0.deadline != nil } ? asked.compactMap(\.deadline).max() : nil)
            guard answer.outcomes.count == signals.count else {
                for item in asked { item.waiter.resume(returning: nil) }
                continue
            }
            var place = 0
            for item in asked {
                var own = GateAnswer()
                own.outcomes = Array(answer.outcomes[place..<(place + item.signals.count)])
                place += item.signals.count
                item.waiter.resume(returning: own)
            }
        }
    }

    /// Bytes of documents that share a call, about: with large ones a request would wait for the writes of all others.
    private static let bytes = 256 << 10

    /// What fits into one call, the longest waiting first; nil when nobody waits, or others see to those who do, and then
    /// this call is over.
    private func next(_ key: ObjectIdentifier, isFirst: Bool) -> [Item]? {
        lines.withLockedValue { lines in
            guard var line = lines.removeValue(forKey: key) else { return nil }
            defer { lines[key] = line }
            if isFirst { line.beginning -= 1 }
            var (batch, count, bytes) = ([Item](), 0, 0)
            // With another call out, what does not fill one waits for that one's reply.
            let isOver = line.calls > 1 && line.signals < most && !isFirst
            while !isOver, let item = line.waiting.first,
                batch.isEmpty || (count + item.signals.count <= most && bytes < Self.bytes)
            {
                batch.append(line.waiting.removeFirst())
                count += item.signals.count
                bytes += item.bytes
            }
            line.signals -= count
            if batch.isEmpty { line.calls -= 1 }
            return batch.isEmpty ? nil : batch
        }
    }
}
