import NIOConcurrencyHelpers

/// Lets a few questions to the API server run at once, and a bounded number wait. A token that was good before goes first and has
/// places that no other token takes, so that a flood of invented tokens is in no known sender's way.
final class ReviewQueue: Sendable {
    struct Bounds: Sendable {
        /// questions at once
        var atOnce = KubernetesReviewer.atOnce
        /// of these, about tokens that were never good
        var strangers = KubernetesReviewer.atOnce / 2
        /// that wait, of each kind; past it a question is given up at once
        var waiting = 256
        /// A question that waited longer is given up when its turn comes: its request is about to end.
        var patience = Duration.seconds(4)
    }

    private struct Waiting: Sendable {
        let since: ContinuousClock.Instant
        let turn: CheckedContinuation<Bool, Never>
    }
    private struct State: Sendable {
        var running = 0
        var strangers = 0
        var known: [Waiting] = []
        var others: [Waiting] = []
    }
    private let bounds: Bounds
    private let state = NIOLockedValueBox(State())

    init(_ bounds: Bounds = Bounds()) { self.bounds = bounds }

    /// Questions that wait, of both kinds.
    var waiting: Int { state.withLockedValue { $0.known.count + $0.others.count } }

    /// Waits for a turn, which `leave` gives back.
    /// - Parameter isKnown: the token was good before.
    /// - Returns: false when there is none; then there is nothing to give back.
    func enter(isKnown: Bool) async -> Bool {
        await withCheckedContinuation { turn in
            let answer: Bool? = state.withLockedValue { state in
                if fits(isKnown: isKnown, state) {
                    take(isKnown: isKnown, &state)
                    return true
                }
                let waiting = Waiting(since: .now, turn: turn)
                if isKnown {
                    guard state.known.count < bounds.waiting else { return false }
                    state.known.append(waiting)
                } else {
                    guard state.others.count < bounds.waiting else { return false }
                    state.others.append(waiting)
                }
                return nil
            }
            if let answer { turn.resume(returning: answer) }
        }
    }

    func leave(isKnown: Bool) {
        let now = ContinuousClock.now
        let answered = state.withLockedValue { state in
            state.running -= 1
            if !isKnown { state.strangers -= 1 }
            var answered: [(CheckedContinuation<Bool, Never>, Bool)] = []
            while !state.known.isEmpty, fits(isKnown: true, state) {
                let waiting = state.known.removeFirst()
                let isInTime = waiting.since.duration(to: now) < bounds.patience
                if isInTime { take(isKnown: true, &state) }
                answered.append((waiting.turn, isInTime))
            }
            while !state.others.isEmpty, fits(isKnown: false, state) {
                let waiting = state.others.removeFirst()
                let isInTime = waiting.since.duration(to: now) < bounds.patience
                if isInTime { take(isKnown: false, &state) }
                answered.append((waiting.turn, isInTime))
            }
            return answered
        }
        for (turn, isInTime) in answered { turn.resume(returning: isInTime) }
    }

    private func fits(isKnown: Bool, _ state: State) -> Bool {
        state.running < bounds.atOnce && (isKnown || state.strangers < bounds.strangers)
    }

    private func take(isKnown: Bool, _ state: inout State) {
        state.running += 1
        if !isKnown { state.strangers += 1 }
    }
}

/// The entries that were added last; adding one to a full table forgets the oldest.
struct BoundedTable<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    let most: Int
    private var values: [Key: (value: Value, number: Int)] = [:]
    private var order: [(key: Key, number: Int)] = []
    private var first = 0
    private var last = 0

    init(most: Int) { self.most = most }

    var count: Int { values.count }

    /// Setting makes an entry the newest.
    subscript(key: Key) -> Value? {
        get { values[key]?.value }
        set {
            guard let newValue else {
                values[key] = nil
                return
            }
            last += 1
            values[key] = (newValue, last)
            order.append((key, last))
            while values.count > most || order.count - first > 2 * most { forgetOldest() }
        }
    }

    private mutating func forgetOldest() {
        let (key, number) = order[first]
        first += 1
        // One that was set again since, or removed, is not the oldest.
        if values[key]?.number == number { values[key] = nil }
        if first > most {
            order.removeFirst(first)
            first = 0
        }
    }
}
