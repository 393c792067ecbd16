import Logging
import Redis
import SignalKit

/// Reads what the gate's scripts answer. What is not of its shape shuts the store: nobody knows what else is wrong with it.
struct GateReader: Sendable {
    let policies: [any GatePolicy]
    private let ids: [PluginID]
    /// The bounds of one origin's, for the sender to read.
    let deadLetters: String
    /// Whether anything is kept for a replay.
    let keeps: Bool
    /// Steps that may ask for their arguments again, besides the storm, which does for its members.
    let others: Bool
    /// How many sinks there are.
    let sinks: Int
    let log: Logger

    init(policies: [any GatePolicy], deadLetters: String, keeps: Bool, others: Bool, sinks: Int, log: Logger) {
        self.policies = policies
        ids = policies.map { type(of: $0).id }
        (self.deadLetters, self.keeps, self.others, self.sinks, self.log) = (deadLetters, keeps, others, sinks, log)
    }

    func unavailable(_ step: Int, _ why: String = "") -> GateOutcome {
        let policy = type(of: policies[min(max(step, 1), policies.count) - 1])
        return GateOutcome(
            verdict: .unavailable, episode: nil, count: nil, policy: policy.id,
            detail: "\(policy.step.service) service unavailable" + (why.isEmpty ? "" : ": \(why)"))
    }

    /// The store as a whole can't be asked: the first policy is named.
    private var unreachable: GateOutcome { unavailable(1) }

    /// What calls left to be remembered.
    struct Kept {
        /// What would have to be written again.
        var signals: [ReplayMemory.Signal] = []
        /// The highest reading of the clock.
        var reading: Int64 = 0
        /// Places, among all outcomes, of those to be asked again.
        var again: [Int] = []
        /// By the call that was read last.
        var dispatched = Dispatch()
        fileprivate var count = 0
    }

    /// The episodes that a call put in flight at this host.
    struct Dispatch {
        var episodes: [DispatchedEpisode] = []
        /// False when the store may have put more in flight.
        var isKnown = false
    }

    /// What the driver says of a signal, by its code there (`CODES` in driver.lua; a test holds the two together): a verdict, or whose
    /// fault it is.
    enum Word: Equatable {
        case verdict(Verdict)
        /// For the sender to read.
        case full
        case fault
        case again

        init?(_ code: UInt8) {
            switch code {
            case 1: self = .verdict(.accepted)
            case 2: self = .verdict(.aggregated)
            case 3: self = .verdict(.duplicate)
            case 4: self = .verdict(.resolved)
            case 5: self = .verdict(.filtered)
            case 6: self = .verdict(.ignored)
            case 7: self = .verdict(.deadLettered)
            case 8: self = .full
            case 9: self = .fault
            case 10: self = .again
            default: return nil
            }
        }
    }

    /// One outcome for each signal of a call, whatever the reply is.
    /// - Parameter offer: what was offered with the call.
    func read(
        _ reply: RedisValue, _ chunk: ArraySlice<GateSignal>, _ offer: DispatchOffer?, _ store: RedisStore,
        since opening: Int, _ kept: inout Kept
    ) -> [GateOutcome] {
        defer { kept.count += chunk.count }
        kept.dispatched = Dispatch()
        func nobody() -> [GateOutcome] { [GateOutcome](repeating: unreachable, count: chunk.count) }
        func garbage(_ what: String) -> [GateOutcome] {
            store.shut(because: RedisError(.garbage, "the gate's reply \(what)"), since: opening)
            return nobody()
        }
        if let error = reply.serverError {
            log.warning("the gate failed", metadata: ["code": "\(error.code.rawValue)", "reason": "\(error.message)"])
            return nobody()
        }
        guard let words = reply.list, words.count >= 2, let last = words[0].int, case .bytes(let answers) = words[1],
            StoreMemory.readings.contains(last),
            let flying = Self.dispatched(words.dropFirst(2), offer, chunk.count)
        else { return garbage("is not a reading and its answers") }
        kept.reading = max(kept.reading, last)
        var outcomes: [GateOutcome] = []
        outcomes.reserveCapacity(chunk.count)
        var dispatched: [DispatchedEpisode] = []
        var logged = false
        var at = 0
        for signal in chunk {
            guard at + 4 <= answers.count, let word = Word(answers[at]), answers[at + 1] <= policies.count else {
                return garbage("holds something else than its words")
            }
            let step = Int(answers[at + 1])
            let end = at + 4 + Int(answers[at + 2]) + Int(answers[at + 3]) << 8
            guard end <= answers.count else { return garbage("ends too early") }
            let rest = answers[(at + 4)..<end]
            at = end
            switch word {
            case .again:
                kept.again.append(kept.count + outcomes.count)
                outcomes.append(unreachable)
            case .full: outcomes.append(unavailable(step, String(decoding: rest, as: UTF8.self)))
            case .fault:
                outcomes.append(unavailable(step))
                let error = RedisError(RedisServerError(text: String(decoding: rest, as: UTF8.self)))
                if error.shutsStore { store.shut(because: error, since: opening) }
                if !logged {
                    log.warning(
                        "a step of the gate failed", metadata: ["step": "\(step)", "reason": "\(error.message)"])
                    logged = true
                }
            case .verdict(let verdict):
                let policy = step > 0 ? ids[step - 1] : nil
                guard !rest.isEmpty else {
                    outcomes.append(
                        GateOutcome(verdict: verdict, episode: nil, count: nil, policy: policy, detail: ""))
                    continue
                }
                guard let record = PackedRecord(rest) else { return garbage("holds what is no record") }
                let (episode, count) = (record.episode, record.count)
                outcomes.append(
                    GateOutcome(
                        verdict: verdict, episode: episode > 0 ? episode : nil, count: count > 0 ? count : nil,
                        policy: policy, detail: ""))
                if keeps { kept.signals.append(item(signal, record, verdict)) }
                guard verdict == .accepted, let document = signal.document,
                    case let sinks = flying[outcomes.count - 1], sinks != 0
                else { continue }
                dispatched.append(
                    DispatchedEpisode(
                        fingerprint: signal.fingerprint, record: record, document: document, sinks: sinks))
                outcomes[outcomes.count - 1].isDispatched = sinks.nonzeroBitCount == self.sinks
            }
        }
        guard at == answers.count else { return garbage("holds more than its signals") }
        // A write that failed may have left more in flight: reconciliation finds it.
        kept.dispatched = Dispatch(episodes: dispatched, isKnown: dispatched.count == flying.count { $0 != 0 })
        return outcomes
    }

    /// Of each signal the sinks at which it is in flight. Nil when the words are not what they should be.
    private static func dispatched(
        _ words: ArraySlice<RedisValue>, _ offer: DispatchOffer?, _ count: Int
    ) -> [UInt64]? {
        var sinks = [UInt64](repeating: 0, count: count)
        // Without the session in the store nothing is dispatched.
        if words.isEmpty { return sinks }
        guard let offer, words.count == offer.sinks.count else { return nil }
        for (bit, word) in words.enumerated() {
            guard case .bytes(let places) = word else { return nil }
            for place in places {
                guard place < count else { return nil }
                sinks[Int(place)] |= 1 << UInt64(bit)
            }
        }
        return sinks
    }

    private func item(_ signal: GateSignal, _ record: PackedRecord, _ verdict: Verdict) -> ReplayMemory.Signal {
        let needed = others || record.isMember
        return ReplayMemory.Signal(
            fingerprint: signal.fingerprint, record: record, document: signal.document ?? [],
            source: signal.document == nil ? signal.signal : nil,
            arguments: needed ? policies.flatMap { $0.arguments(for: signal.signal) } : [],
            isRepeat: verdict == .duplicate)
    }

    /// - Parameter withoutRoom: how many found their origin's full; 0 for another reason.
    func refuseLetters(_ answer: inout GateAnswer, _ why: String = "", withoutRoom: Int = 0) {
        answer.deadLettersStored = false
        answer.deadLettersWithoutRoom += withoutRoom
        if withoutRoom == 0 { answer.deadLettersUnavailable = true }
        if answer.deadLetterDetail.isEmpty {
            answer.deadLetterDetail = "dead letter service unavailable" + (why.isEmpty ? "" : ": \(why)")
        }
    }

    /// - Returns: whether all of them are stored.
    func readLetters(
        _ reply: RedisValue, _ letters: ArraySlice<GateDeadLetter>, _ store: RedisStore, since opening: Int,
        _ answer: inout GateAnswer
    ) -> Bool {
        if let error = reply.serverError {
            log.warning(
                "dead letters not stored", metadata: ["code": "\(error.code.rawValue)", "reason": "\(error.message)"])
            refuseLetters(&answer)
            return false
        }
        guard let stored = reply.list, stored.count == letters.count,
            stored.allSatisfy({ $0 == .integer(0) || $0 == .integer(1) })
        else {
            store.shut(
                because: RedisError(.garbage, "the reply about dead letters is not a number for each"), since: opening)
            refuseLetters(&answer)
            return false
        }
        guard let place = stored.firstIndex(of: .integer(0)) else { return true }
        let origin = letters[letters.startIndex + place].origin
        refuseLetters(
            &answer, "the dead letters of adapter/\(origin) are full (\(deadLetters)): replay or drop some",
            withoutRoom: stored.count { $0 == .integer(0) })
        return false
    }
}
