import Logging
import Redis
import SignalKit

/// Reads what the gate's scripts answer. What is not of its shape shuts the store: nobody knows what else is wrong with it.
struct GateReader: Sendable {
    let policies: [any GatePolicy]
    /// Of one origin, for the sender to read.
    let deadLetters: Int
    /// Whether anything is kept for a replay.
    let keeps: Bool
    /// Steps that may ask for their arguments again, besides the storm, which does for its members.
    let others: Bool
    let log: Logger

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
    }

    func read(
        _ reply: RedisValue, _ chunk: ArraySlice<GateSignal>, _ store: RedisStore, since opening: Int,
        _ kept: inout Kept
    ) -> [GateOutcome] {
        let count = chunk.count
        let nobody = [GateOutcome](repeating: unreachable, count: count)
        if let error = reply.serverError {
            log.warning("the gate failed", metadata: ["code": "\(error.code.rawValue)", "reason": "\(error.message)"])
            return nobody
        }
        guard let words = reply.list, words.count == 1 + count * 6, let first = words[0].int else {
            store.shut(
                because: RedisError(.garbage, "the gate's reply is not six words for each signal"), since: opening)
            return nobody
        }
        kept.reading = max(kept.reading, first + Int64(count) - 1)
        var outcomes: [GateOutcome] = []
        outcomes.reserveCapacity(count)
        var logged = false
        for (signal, at) in zip(chunk, stride(from: 1, to: words.count, by: 6)) {
            guard let word = words[at].string, let step = words[at + 1].int, let episode = words[at + 2].int,
                let count = words[at + 3].int, let detail = words[at + 4].bytesValue,
                let record = words[at + 5].bytesValue, record.isEmpty || ReplayMemory.Signal.isRecord(record),
                (0...policies.count).contains(Int(step))
            else {
                store.shut(
                    because: RedisError(.garbage, "the gate's reply holds something else than its words"),
                    since: opening)
                return nobody
            }
            switch word {
            case "full": outcomes.append(unavailable(Int(step), String(decoding: detail, as: UTF8.self)))
            case "unavailable":
                outcomes.append(unavailable(Int(step)))
                let error = RedisError(RedisServerError(text: String(decoding: detail, as: UTF8.self)))
                if error.shutsStore { store.shut(because: error, since: opening) }
                if !logged {
                    log.warning(
                        "a step of the gate failed", metadata: ["step": "\(step)", "reason": "\(error.message)"])
                    logged = true
                }
            default:
                guard let verdict = Verdict(rawValue: word), verdict != .unavailable else {
                    store.shut(
                        because: RedisError(.garbage, "the gate's reply holds an unknown verdict"), since: opening)
                    return nobody
                }
                outcomes.append(
                    GateOutcome(
                        verdict: verdict, episode: episode > 0 ? episode : nil, count: count > 0 ? count : nil,
                        policy: step > 0 ? type(of: policies[Int(step) - 1]).id : nil, detail: ""))
                if !record.isEmpty, keeps { kept.signals.append(item(signal, record, verdict)) }
            }
        }
        return outcomes
    }

    private func item(_ signal: GateSignal, _ record: [UInt8], _ verdict: Verdict) -> ReplayMemory.Signal {
        let needed = others || ReplayMemory.Signal.isMember(record)
        return ReplayMemory.Signal(
            fingerprint: signal.fingerprint, record: record, document: signal.document,
            arguments: needed ? policies.flatMap { $0.arguments(for: signal.signal) } : [],
            isRepeat: verdict == .duplicate)
    }

    func refuseLetters(_ answer: inout GateAnswer, _ why: String = "") {
        answer.deadLettersStored = false
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
        refuseLetters(&answer, "\(deadLetters) dead letters of adapter/\(origin): replay or drop some")
        return false
    }
}
