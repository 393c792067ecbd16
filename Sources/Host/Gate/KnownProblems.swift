import SignalKit
import Synchronization

/// Problems that the store was lately seen to have as firing. A guess, to save work: of these the gate is told no more than who
/// they are and when, and when it knows better, it asks for the rest.
final class KnownProblems: Sendable {
    /// Two of them may want one place, and the later has it: 2 MiB for as many as that.
    private static let places = 1 << 18
    /// Of each place one word of a fingerprint, 0 of none.
    private let marks = Mutex<[UInt64]>([])

    func contains(_ fingerprint: Fingerprint) -> Bool {
        marks.withLock { !$0.isEmpty && $0[fingerprint.place(of: Self.places)] == fingerprint.mark }
    }

    /// - Parameter outcomes: one for each of the signals.
    func note(_ signals: some Sequence<GateSignal>, _ outcomes: [GateOutcome]) {
        marks.withLock { marks in
            if marks.isEmpty { marks = [UInt64](repeating: 0, count: Self.places) }
            for (signal, outcome) in zip(signals, outcomes) {
                let place = signal.fingerprint.place(of: Self.places)
                switch outcome.verdict {
                case .accepted, .aggregated, .duplicate: marks[place] = signal.fingerprint.mark
                case .resolved, .ignored: if marks[place] == signal.fingerprint.mark { marks[place] = 0 }
                case .filtered, .deadLettered, .unavailable: break
                }
            }
        }
    }
}
