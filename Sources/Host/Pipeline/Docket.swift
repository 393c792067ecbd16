import SignalKit

/// The signals of one request with what was ruled about each, in the request's order.
struct Docket: Sendable {
    struct Ruling: Sendable {
        let fingerprint: Fingerprint
        let name: String
        var verdict: Verdict
        var policy: PluginID?
        var episode: Int64?
        var count: Int64?
        /// Why it is unavailable, as the sender reads it.
        var detail = ""
    }

    private(set) var rulings: [Ruling] = []
    /// Those that the in-process policies let pass.
    private(set) var forGate: [GateSignal] = []
    /// Where each of `forGate` stands in `rulings`.
    private var places: [Int] = []
    private var lettersRefused: Refusal?
    var lettersStored: Bool { lettersRefused == nil }

    struct Kind: Equatable, Sendable {
        let verdict: Verdict
        let policy: PluginID?
    }

    /// How many signals ended how. There are few ways: looking through them is cheaper than hashing.
    var tally: [(kind: Kind, count: Int)] {
        var tally: [(kind: Kind, count: Int)] = []
        for ruling in rulings {
            let kind = Kind(verdict: ruling.verdict, policy: ruling.policy)
            if let place = tally.firstIndex(where: { $0.kind == kind }) {
                tally[place].count += 1
            } else {
                tally.append((kind, 1))
            }
        }
        return tally
    }

    /// Of signals that say no more of it; and by which road they came, nil when its senders report no ends.
    private let reporter: Reporter
    private let road: PluginID?

    /// - Parameter road: the adapter, nil when its senders report no ends.
    init(count: Int, from road: PluginID?) {
        self.road = road
        reporter = road.map { Reporter($0, []) } ?? .none
        rulings.reserveCapacity(count)
        forGate.reserveCapacity(count)
        places.reserveCapacity(count)
    }

    /// - Parameter isKnown: whether the store is taken to know it as firing.
    mutating func add(_ signal: Signal, _ result: PolicyChain.Result, isKnown: (Fingerprint) -> Bool = { _ in false }) {
        let fingerprint = Fingerprint(signal.identity)
        func ruling(_ verdict: Verdict, _ policy: PluginID?, _ detail: String = "") -> Ruling {
            Ruling(fingerprint: fingerprint, name: signal.name, verdict: verdict, policy: policy, detail: detail)
        }
        switch result {
        case .pass(let passed):
            places.append(rulings.count)
            forGate.append(
                GateSignal(fingerprint, passed, from: reporter(of: passed), isKnown: isKnown(fingerprint)))
            // Until the gate has spoken, nobody vouches for it.
            rulings.append(ruling(.unavailable, nil))
        case .filtered(let policy, _):
            rulings.append(ruling(.filtered, policy))
        case .unavailable(let policy, _):
            rulings.append(ruling(.unavailable, policy, "\(policy) service unavailable"))
        }
    }

    private func reporter(of signal: Signal) -> Reporter {
        guard let road, !signal.reporter.isEmpty else { return reporter }
        return Reporter(road, signal.reporter)
    }

    mutating func settle(_ answer: GateAnswer) {
        for (place, outcome) in zip(places, answer.outcomes) {
            rulings[place].verdict = outcome.verdict
            rulings[place].policy = outcome.policy
            rulings[place].episode = outcome.episode
            rulings[place].count = outcome.count
            rulings[place].detail = outcome.detail
        }
        guard !answer.deadLettersStored else { return }
        lettersRefused =
            answer.deadLettersUnavailable
            ? .unavailable(detail: answer.deadLetterDetail)
            : .deadLettersFull(detail: answer.deadLetterDetail, items: answer.deadLettersWithoutRoom)
    }

    /// The request's answer: one signal that nobody vouches for, or one bad item that is stored nowhere, refuses it.
    func answer(deadLetters: [(index: Int, reason: String)]) -> IntakeAnswer {
        if let refused = rulings.first(where: { $0.verdict == .unavailable }) {
            return .refused(.unavailable(detail: refused.detail.isEmpty ? "the gate gave no answer" : refused.detail))
        }
        if let lettersRefused { return .refused(lettersRefused) }
        let signals = rulings.map {
            SignalOutcome(
                fingerprint: $0.fingerprint, name: $0.name, verdict: $0.verdict, episode: $0.episode, count: $0.count)
        }
        return .taken(Outcome(signals: signals, deadLetters: deadLetters))
    }
}
