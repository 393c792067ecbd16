import SignalKit

/// A signal on its way through the gate.
struct GateSignal: Sendable {
    let fingerprint: Fingerprint
    let signal: Signal
    let reporter: Reporter
    /// The normalised signal as sinks get it: `SignalDocument`. Nil while the store is taken to know the problem as firing.
    private(set) var document: [UInt8]?

    init(_ fingerprint: Fingerprint, _ signal: Signal, from reporter: Reporter, isKnown: Bool = false) {
        (self.fingerprint, self.signal, self.reporter) = (fingerprint, signal, reporter)
        document = isKnown && signal.status == .firing ? nil : SignalDocument.encode(signal)
    }

    /// Whether a new episode may come of it, without another call.
    var mayBegin: Bool { document != nil && signal.status == .firing }

    /// With its document.
    var whole: GateSignal { document == nil ? GateSignal(fingerprint, signal, from: reporter) : self }

    /// Bytes of its document, or about as many.
    var size: Int { document?.count ?? SignalDocument.size(signal) }
}

/// An item of a request that its adapter could not read.
struct GateDeadLetter: Sendable {
    let origin: PluginID
    let item: RejectedItem
    let receivedAt: Timestamp

    /// Of one identity there is one letter. A reason may tell a length, which changes from repeat to repeat.
    var identity: [UInt8] {
        item.identity + [UInt8(ascii: "\n")] + item.reason.utf8.filter { !(0x30...0x39).contains($0) }
    }

    /// Bytes that it takes to remember it, about.
    var size: Int { item.size + item.reason.utf8.count }
}

struct GateOutcome: Sendable, Equatable {
    let verdict: Verdict
    let episode: Int64?
    let count: Int64?
    /// The step that gave the verdict.
    let policy: PluginID?
    /// For the sender, when unavailable: "persistence service unavailable: backlog of file full".
    let detail: String
    /// In flight at this host for every sink: there is nothing to claim.
    var isDispatched = false
}

struct GateAnswer: Sendable {
    /// One per signal, in order.
    var outcomes: [GateOutcome] = []
    /// Places of those that the gate must be asked again about, with their documents. Nobody vouches for them until then.
    var again: [Int] = []
    /// True when there were none to store.
    var deadLettersStored = true
    /// For the sender, when some were not.
    var deadLetterDetail = ""
    /// How many were not because their origin's are full.
    var deadLettersWithoutRoom = 0
    /// Whether some were not for another reason.
    var deadLettersUnavailable = false

    /// Whether the sinks have something new to look at.
    var queued: Bool {
        outcomes.contains {
            switch $0.verdict {
            case .accepted: !$0.isDispatched
            case .aggregated, .resolved, .ignored: true
            case .duplicate, .filtered, .deadLettered, .unavailable: false
            }
        }
    }
}
