import SignalKit

/// A signal on its way through the gate.
struct GateSignal: Sendable {
    let fingerprint: Fingerprint
    let signal: Signal
    /// The normalised signal as sinks get it: `SignalDocument`.
    let document: [UInt8]
}

/// An item of a request that its adapter could not read.
struct GateDeadLetter: Sendable {
    let origin: PluginID
    let index: Int
    let reason: String
    let item: [UInt8]
}

struct GateOutcome: Sendable, Equatable {
    let verdict: Verdict
    let episode: Int64?
    let count: Int64?
    /// The step that gave the verdict.
    let policy: PluginID?
    /// For the sender, when unavailable: "persistence service unavailable: backlog of file full".
    let detail: String
}

struct GateAnswer: Sendable {
    /// One per signal, in order.
    var outcomes: [GateOutcome] = []
    /// True when there were none to store.
    var deadLettersStored = true
    /// For the sender, when some were not.
    var deadLetterDetail = ""

    /// Whether the sinks have something new to look at.
    var queued: Bool {
        outcomes.contains {
            switch $0.verdict {
            case .accepted, .aggregated, .resolved, .ignored: true
            case .duplicate, .filtered, .deadLettered, .unavailable: false
            }
        }
    }
}
