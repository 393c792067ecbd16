import NIOConcurrencyHelpers
import NIOCore

/// Small requests of one event loop share a call of the gate: to send and run a script costs more than to decide a signal.
///
/// What comes in one turn of the loop goes together, but with a call out, as many as are in that go at once, in the middle of a turn: so
/// there are soon two calls of half of all requests, and while the store has the one half the loop reads the other. What comes while two
/// calls are out waits for a reply, unless it fills a call of its own.
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
        /// Signals of calls that are out.
        var out = 0
        let executor: LoopExecutor
    }
    /// By event loop.
    private let lines = NIOLockedValueBox<[ObjectIdentifier: Line]>([:])
    private let most: Int
    /// Calls that are out at once, and not full.
    private static let halves = 2
    /// Signals that are worth a call while another is out.
    private static let few = 8

    /// - Parameter most: signals of one call.
    init(most: Int) { self.most = most }

    /// Signals that wait for a call.
    var waiting: Int { lines.withLockedValue { $0.values.reduce(0) { $0 + $1.signals } } }

    /// - Returns: nil when it was not asked: its deadline passed while it waited.
    func decide(
        _ signals: [GateSignal], on eventLoop: any EventLoop, until deadline: ContinuousClock.Instant?,
        _ decide: @escaping Decide
    ) async -> GateAnswer? {
        let key = ObjectIdentifier(eventLoop)
        return await withCheckedContinuation { waiter in
            let item = Item(signals: signals, deadline: deadline, waiter: waiter)
            let begins: (on: LoopExecutor, atOnce: Bool)? = lines.withLockedValue { lines in
                var line = lines.removeValue(forKey: key) ?? Line(executor: LoopExecutor(eventLoop))
                defer { lines[key] = line }
                line.waiting.append(item)
                line.signals += signals.count
                let isHalf = line.calls < Self.halves && line.signals >= max(Self.few, line.out)
                guard line.calls == 0 || isHalf || line.signals >= most * (line.beginning + 1) else { return nil }
                line.calls += 1
                line.beginning += 1
                return (line.executor, isHalf)
            }
            guard let begins else { return }
            if begins.atOnce {
                Task.immediate(executorPreference: begins.on) { await self.run(key, decide) }
            } else {
                // What else has come in this turn of the loop is still to be looked at.
                Task(executorPreference: begins.on) { await self.run(key, decide) }
            }
        }
    }

    private func run(_ key: ObjectIdentifier, _ decide: Decide) async {
        var taken: Int?
        while let batch = next(key, after: taken) {
            taken = batch.reduce(0) { $0 + $1.signals.count }
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
    /// - Parameter taken: signals of the call before, which has its reply; nil of the first.
    private func next(_ key: ObjectIdentifier, after taken: Int?) -> [Item]? {
        lines.withLockedValue { lines in
            guard var line = lines.removeValue(forKey: key) else { return nil }
            defer { lines[key] = line }
            if taken == nil { line.beginning -= 1 }
            var (batch, count, bytes) = ([Item](), 0, 0)
            // With others out, what does not fill a call waits for the reply of one of those.
            let isOver = line.calls > Self.halves && line.signals < most && taken != nil
            while !isOver, let item = line.waiting.first,
                batch.isEmpty || (count + item.signals.count <= most && bytes < Self.bytes)
            {
                batch.append(line.waiting.removeFirst())
                count += item.signals.count
                bytes += item.bytes
            }
            line.signals -= count
            line.out += count - (taken ?? 0)
            if batch.isEmpty { line.calls -= 1 }
            return batch.isEmpty ? nil : batch
        }
    }
}
