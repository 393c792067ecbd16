import Logging
import NIOCore
import Redis
import SignalKit

/// The policies that decide inside the store, as one atomic script.
final class Gate: Sendable {
    /// Signals of one call. Redis runs a script to its end before it looks at anybody else.
    static let signalsPerCall = 64
    /// Calls of one write: a request of any size is many of these, each with the store's time-out of its own.
    static let callsPerWrite = 8

    private let policies: [any GatePolicy]
    private let clockKey: String
    private let script: RedisScript
    private let rejects: RedisScript
    private let deadLetters: Int
    private let log: Logger
    let verification: StoreVerification

    /// - Parameter lost: the store has lost what it knew; said once for each time.
    init(_ configuration: HostConfiguration, log: Logger, lost: @escaping @Sendable (String) -> Void = { _ in }) {
        let composer = ScriptComposer(configuration)
        policies = configuration.gatePolicies
        clockKey = StoreKeys.clock(configuration.state.prefix)
        script = composer.gate(policies)
        rejects = composer.script("reject", PackageResources.reject_lua)
        deadLetters = composer.deadLetters
        self.log = log
        verification = StoreVerification(configuration, composer, gate: script, memory: StoreMemory(lost))
    }

    /// Those that a connection must know before its first call.
    var scripts: [RedisScript] { [script, rejects, verification.canary] }

    /// - Parameter deadline: what was not sent by then is unavailable.
    ///
    /// Never throws: what the store can't vouch for is unavailable, with the policy's name.
    func decide(
        _ signals: [GateSignal], _ letters: [GateDeadLetter], in store: RedisStore, on eventLoop: (any EventLoop)?,
        until deadline: ContinuousClock.Instant? = nil
    ) async -> GateAnswer {
        var answer = GateAnswer()
        answer.outcomes.reserveCapacity(signals.count)
        var calls = Calls(signals: signals[...], letters: letters[...])
        while let batch = calls.next() {
            // Nobody waits for the rest any more; what was decided stays.
            if let deadline, ContinuousClock.now >= deadline {
                let late = unavailable(1, "the request's deadline has passed")
                for chunk in batch.signals { answer.outcomes += chunk.map { _ in late } }
                if !batch.letters.isEmpty { refuseLetters(&answer, "the request's deadline has passed") }
                continue
            }
            var commands = batch.signals.map(command) + batch.letters.map(command)
            if let barrier = verification.barrier { commands.append(barrier.command) }
            let replies: [RedisValue]
            do throws(RedisError) {
                replies = try await store.send(commands, on: eventLoop)
                try checkReplicas(replies, store)
            } catch {
                for chunk in batch.signals { answer.outcomes += chunk.map { _ in unreachable } }
                if !batch.letters.isEmpty { refuseLetters(&answer) }
                continue
            }
            for (chunk, reply) in zip(batch.signals, replies) {
                answer.outcomes += read(reply, count: chunk.count, store)
            }
            for (chunk, reply) in zip(batch.letters, replies.dropFirst(batch.signals.count)) {
                readLetters(reply, chunk, store, &answer)
            }
        }
        return answer
    }

    /// What is still to be sent, cut into writes.
    private struct Calls {
        var signals: ArraySlice<GateSignal>
        var letters: ArraySlice<GateDeadLetter>

        mutating func next() -> (signals: [ArraySlice<GateSignal>], letters: [ArraySlice<GateDeadLetter>])? {
            guard !signals.isEmpty || !letters.isEmpty else { return nil }
            var write: (signals: [ArraySlice<GateSignal>], letters: [ArraySlice<GateDeadLetter>]) = ([], [])
            var room = Gate.callsPerWrite
            while room > 0, !signals.isEmpty {
                write.signals.append(signals.prefix(Gate.signalsPerCall))
                signals = signals.dropFirst(Gate.signalsPerCall)
                room -= 1
            }
            while room > 0, !letters.isEmpty {
                write.letters.append(letters.prefix(Gate.signalsPerCall))
                letters = letters.dropFirst(Gate.signalsPerCall)
                room -= 1
            }
            return write
        }
    }

    private func command(_ signals: ArraySlice<GateSignal>) -> RedisCommand {
        var command = RedisCommand.evalsha(script, keys: [clockKey])
        for item in signals {
            command.add(item.fingerprint.bytes)
            command.add(item.signal.status == .firing ? "f" : "r")
            command.add(item.signal.startsAt?.milliseconds ?? 0)
            command.add(item.signal.endsAt?.milliseconds ?? 0)
            command.add(item.document)
            for policy in policies {
                for argument in policy.arguments(for: item.signal) {
                    switch argument {
                    case .text(let text): command.add(text)
                    case .bytes(let bytes): command.add(bytes)
                    case .integer(let number): command.add(number)
                    }
                }
            }
        }
        return command
    }

    private func command(_ letters: ArraySlice<GateDeadLetter>) -> RedisCommand {
        var command = RedisCommand.evalsha(rejects, keys: [clockKey])
        for letter in letters {
            command.add("adapter/\(letter.origin)")
            command.add(Int64(letter.index))
            command.add(letter.reason)
            command.add(letter.item)
        }
        return command
    }

    private func checkReplicas(_ replies: [RedisValue], _ store: RedisStore) throws(RedisError) {
        guard let barrier = verification.barrier, let last = replies.last else { return }
        do throws(RedisError) {
            try barrier.check(last)
        } catch {
            // It may be written, and may be lost: nobody vouches for it, and for nothing after it.
            store.shut(because: error)
            throw error
        }
    }

    // MARK: Answers

    private func unavailable(_ step: Int, _ why: String = "") -> GateOutcome {
        let policy = type(of: policies[min(max(step, 1), policies.count) - 1])
        return GateOutcome(
            verdict: .unavailable, episode: nil, count: nil, policy: policy.id,
            detail: "\(policy.step.service) service unavailable" + (why.isEmpty ? "" : ": \(why)"))
    }

    /// The store as a whole can't be asked: the first policy is named.
    private var unreachable: GateOutcome { unavailable(1) }

    private func read(_ reply: RedisValue, count: Int, _ store: RedisStore) -> [GateOutcome] {
        let nobody = [GateOutcome](repeating: unreachable, count: count)
        if let error = reply.serverError {
            log.warning("the gate failed", metadata: ["code": "\(error.code.rawValue)", "reason": "\(error.message)"])
            return nobody
        }
        guard let words = reply.list, words.count == count * 5 else {
            store.shut(because: RedisError(.garbage, "the gate's reply is not five words for each signal"))
            return nobody
        }
        var outcomes: [GateOutcome] = []
        outcomes.reserveCapacity(count)
        var logged = false
        for at in stride(from: 0, to: words.count, by: 5) {
            guard let word = words[at].string, let step = words[at + 1].int, let episode = words[at + 2].int,
                let count = words[at + 3].int, let detail = words[at + 4].bytesValue,
                (0...policies.count).contains(Int(step))
            else {
                store.shut(because: RedisError(.garbage, "the gate's reply holds something else than its words"))
                return nobody
            }
            switch word {
            case "full": outcomes.append(unavailable(Int(step), String(decoding: detail, as: UTF8.self)))
            case "unavailable":
                outcomes.append(unavailable(Int(step)))
                let error = RedisError(RedisServerError(text: String(decoding: detail, as: UTF8.self)))
                if error.shutsStore { store.shut(because: error) }
                if !logged {
                    log.warning(
                        "a step of the gate failed", metadata: ["step": "\(step)", "reason": "\(error.message)"])
                    logged = true
                }
            default:
                guard let verdict = Verdict(rawValue: word), verdict != .unavailable else {
                    store.shut(because: RedisError(.garbage, "the gate's reply holds an unknown verdict"))
                    return nobody
                }
                outcomes.append(
                    GateOutcome(
                        verdict: verdict, episode: episode > 0 ? episode : nil, count: count > 0 ? count : nil,
                        policy: step > 0 ? type(of: policies[Int(step) - 1]).id : nil, detail: ""))
            }
        }
        return outcomes
    }

    private func refuseLetters(_ answer: inout GateAnswer, _ why: String = "") {
        answer.deadLettersStored = false
        if answer.deadLetterDetail.isEmpty {
            answer.deadLetterDetail = "dead letter service unavailable" + (why.isEmpty ? "" : ": \(why)")
        }
    }

    private func readLetters(
        _ reply: RedisValue, _ letters: ArraySlice<GateDeadLetter>, _ store: RedisStore, _ answer: inout GateAnswer
    ) {
        if let error = reply.serverError {
            log.warning(
                "dead letters not stored", metadata: ["code": "\(error.code.rawValue)", "reason": "\(error.message)"])
            return refuseLetters(&answer)
        }
        guard let stored = reply.list, stored.count == letters.count,
            stored.allSatisfy({ $0 == .integer(0) || $0 == .integer(1) })
        else {
            store.shut(because: RedisError(.garbage, "the reply about dead letters is not a number for each"))
            return refuseLetters(&answer)
        }
        if let place = stored.firstIndex(of: .integer(0)) {
            let origin = letters[letters.startIndex + place].origin
            refuseLetters(&answer, "\(deadLetters) dead letters of adapter/\(origin): replay or drop some")
        }
    }
}
