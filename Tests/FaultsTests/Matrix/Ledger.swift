import Synchronization
import TestSupport

/// One firing of one identity, counted by the sender.
struct Firing: Hashable, Sendable, CustomStringConvertible {
    let identity: String
    let number: Int

    /// Carried in an annotation, which is no part of the identity.
    var description: String { "\(identity) firing \(number)" }

    /// Nil when the text is not a firing's.
    init?(_ text: String) {
        let words = text.split(separator: " ")
        guard words.count == 3, words[1] == "firing", let number = Int(words[2]) else { return nil }
        (identity, self.number) = (String(words[0]), number)
    }

    init(_ identity: String, _ number: Int) { (self.identity, self.number) = (identity, number) }

    /// Times of its own, so that a late retry of one is never taken for another.
    func alert(resolved: Bool) -> Alert {
        let hour = number < 10 ? "0\(number)" : "\(number)"
        var alert = Alert(
            identity, ("namespace", "matrix"), startsAt: "2024-01-01T\(hour):00:00Z",
            endsAt: resolved ? "2024-01-01T\(hour):30:00Z" : nil)
        alert.description = description
        return alert
    }
}

/// What the senders know: what they sent and what they were told, and nothing that a host made up.
final class Ledger: Sendable {
    struct Entry: Sendable {
        /// A 2xx was given to some sender for the firing, and for its end.
        var isAcknowledged = false
        var isEndAcknowledged = false
        /// Some sender had no 2xx for it before any sender had one.
        var wasRefused = false
        /// 2xx answers that call it new.
        var accepted = 0
        var ended = 0
    }
    struct Totals: Sendable {
        var acknowledged = 0
        var refused = 0
        /// No answer at all.
        var unanswered = 0
        /// Statuses that no sender should ever see here.
        var odd: [Int] = []
        /// Of the refusals.
        var slowest = Duration.zero
    }
    private struct State: Sendable {
        var sent: Set<Firing> = []
        var refused: Set<Firing> = []
        var entries: [Firing: Entry] = [:]
        var totals = Totals()
    }
    private let state = Mutex(State())

    func sending(_ firing: Firing) { state.withLock { _ = $0.sent.insert(firing) } }

    func answered(_ firing: Firing, resolved: Bool, _ answer: Answer?, after took: Duration) {
        state.withLock { state in
            let yes = answer.map { (200..<300).contains($0.status) } ?? false
            if !yes, state.entries[firing] == nil { state.refused.insert(firing) }
            guard let answer else {
                state.totals.unanswered += 1
                return
            }
            switch answer.status {
            case 200, 201, 202:
                state.totals.acknowledged += 1
                var entry = state.entries[firing] ?? Entry()
                entry.wasRefused = state.refused.contains(firing)
                if resolved { entry.isEndAcknowledged = true } else { entry.isAcknowledged = true }
                if answer.verdicts == ["accepted"] { entry.accepted += 1 }
                if answer.verdicts == ["resolved"] { entry.ended += 1 }
                state.entries[firing] = entry
            case 503:
                state.totals.refused += 1
                state.totals.slowest = max(state.totals.slowest, took)
            default: state.totals.odd.append(answer.status)
            }
        }
    }

    var sent: Set<Firing> { state.withLock { $0.sent } }
    var entries: [Firing: Entry] { state.withLock { $0.entries } }
    var totals: Totals { state.withLock { $0.totals } }
}
