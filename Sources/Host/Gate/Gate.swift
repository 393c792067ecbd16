import Logging
import NIOConcurrencyHelpers
import NIOCore
import Policies
import Redis
import SignalKit

/// The policies that decide inside the store, as one atomic script.
final class Gate: Sendable {
    /// Signals of one call. Redis runs a script to its end before it looks at anybody else.
    static let signalsPerCall = 64
    /// Calls of one write: a request of any size is many of these, each with the store's time-out of its own.
    static let callsPerWrite = 4

    private let commands: GateCommands
    private let reader: GateReader
    private let barrier: ReplicaBarrier?
    private let memory = StoreMemory()
    private let replay: ReplayMemory
    private let relieving = NIOLockedValueBox(false)
    private let known = KnownProblems()
    private let tellsKnown: Bool
    private let batches = GateBatches(most: Gate.signalsPerCall)
    private let witness: any GateWitness
    private let workers = NIOLockedValueBox<(any DirectDispatch)?>(nil)
    let verification: StoreVerification
    let session: HostSession?
    private let heartbeat: Heartbeat?

    /// - Parameters:
    ///   - host: this process's name among those that share the store; empty for one that answers nobody.
    ///   - session: nil of a process that delivers nothing.
    init(
        _ configuration: HostConfiguration, host: String = "", session: HostSession? = nil, log: Logger,
        witness: any GateWitness
    ) {
        let composer = ScriptComposer(configuration)
        let commands = GateCommands(configuration, composer)
        self.commands = commands
        self.witness = witness
        barrier = ReplicaBarrier(configuration.durability, within: configuration.state.timeout)
        replay = ReplayMemory(capacity: configuration.persist?.replay ?? 0, replicated: barrier != nil)
        reader = GateReader(
            policies: configuration.gatePolicies, deadLetters: composer.letterBounds, keeps: replay.capacity > 0,
            others: configuration.gatePolicies.contains {
                !($0 is Deduplicate || $0 is StormPolicy || $0 is Persist)
            }, sinks: configuration.sinks.count, log: log)
        // A step in front of it may want to know more.
        tellsKnown = configuration.gatePolicies.first is Deduplicate
        self.session = session
        heartbeat = session.map { Heartbeat(host: host, commands: commands, session: $0) }
        verification = StoreVerification(
            configuration,
            canary: composer.canary(configuration.gatePolicies),
            gate: commands.gate,
            memory: memory,
            recovery: StoreRecovery(
                host: host, commands: commands, patience: configuration.state.peerWait,
                memory: replay, barrier: barrier, witness: witness, session: session, workers: workers))
    }

    /// Keeps the session until cancelled, then ends it.
    func keepSession(in store: RedisStore) async {
        await heartbeat?.run(in: store, memory)
        // Not cancelled with it.
        await Task { [heartbeat] in await heartbeat?.end(in: store) }.value
    }

    func beat(in store: RedisStore) async { await heartbeat?.beat(in: store, memory) }

    /// The workers whose deliveries a store that lacks them has to put in flight again.
    func dispatches(to workers: any DirectDispatch) { self.workers.withLockedValue { $0 = workers } }

    /// Those that a connection must know before its first call.
    var scripts: [RedisScript] { commands.all + [verification.canary] }
    /// Since when the store knows what it knows, as it was last verified.
    var born: Int64 { memory.born }
    /// What follows a write that replicas must vouch for.
    var cover: RedisCommand? { barrier?.command }

    /// Whether the store is taken to know a problem as firing, so that the gate need not be told all of it.
    func knows(_ fingerprint: Fingerprint) -> Bool { tellsKnown && known.contains(fingerprint) }

    /// - Parameters:
    ///   - hands: who may deliver what is begun, without a claim.
    ///   - deadline: what was not sent by then is unavailable.
    ///
    /// Never throws: what the store can't vouch for is unavailable, with the policy's name.
    func decide(
        _ signals: [GateSignal], _ letters: [GateDeadLetter], in store: RedisStore, on eventLoop: (any EventLoop)?,
        to hands: (any DirectDispatch)? = nil, until deadline: ContinuousClock.Instant? = nil
    ) async -> GateAnswer {
        guard let order = ReporterOrder(signals) else {
            return await share(signals, letters, in: store, on: eventLoop, to: hands, until: deadline)
        }
        var answer = await share(order.sorted(signals), letters, in: store, on: eventLoop, to: hands, until: deadline)
        answer.outcomes = order.restored(answer.outcomes)
        return answer
    }

    private func share(
        _ signals: [GateSignal], _ letters: [GateDeadLetter], in store: RedisStore, on eventLoop: (any EventLoop)?,
        to hands: (any DirectDispatch)?, until deadline: ContinuousClock.Instant?
    ) async -> GateAnswer {
        guard letters.isEmpty, let eventLoop, signals.count < Self.signalsPerCall else {
            return await decide(alone: signals, letters, in: store, on: eventLoop, to: hands, until: deadline)
        }
        let shared = await batches.decide(signals, on: eventLoop, until: deadline) { signals, deadline in
            await self.decide(alone: signals, [], in: store, on: eventLoop, to: hands, until: deadline)
        }
        if let shared { return shared }
        var answer = GateAnswer()
        refuse(GateWrite(signals: [signals[...]]), policy: 1, Self.tooLate, &answer)
        return answer
    }

    private static let tooLate = "the request's deadline has passed"

    private func decide(
        alone signals: [GateSignal], _ letters: [GateDeadLetter], in store: RedisStore, on eventLoop: (any EventLoop)?,
        to hands: (any DirectDispatch)?, until deadline: ContinuousClock.Instant?
    ) async -> GateAnswer {
        let signals = Self.ordered(signals, most: bytesPerWrite)
        var answer = await ask(signals, letters, in: store, on: eventLoop, to: hands, until: deadline)
        guard !answer.again.isEmpty else { return answer }
        // Nothing was written for these. Whole ones are decided, whatever the store knows.
        let whole = await ask(
            answer.again.map { signals[$0].whole }, [], in: store, on: eventLoop, to: hands, until: deadline)
        for (place, outcome) in zip(answer.again, whole.outcomes) { answer.outcomes[place] = outcome }
        answer.again = []
        return answer
    }

    /// What is asked for again comes behind the calls that were sent with it: of what a later call may speak of too, all is told at
    /// once. In one call the script sees to that itself.
    private static func ordered(_ signals: [GateSignal], most: Int) -> [GateSignal] {
        guard signals.count > signalsPerCall || signals.reduce(0, { $0 + ReplayMemory.room($1) }) >= most else {
            return signals
        }
        var counts: [Fingerprint: Int] = [:]
        for signal in signals { counts[signal.fingerprint, default: 0] += 1 }
        return counts.count == signals.count ? signals : signals.map { counts[$0.fingerprint] == 1 ? $0 : $0.whole }
    }

    /// Bytes that a write may have to leave to be remembered.
    private var bytesPerWrite: Int { max(replay.capacity / 4, 1 << 20) }

    private func ask(
        _ signals: [GateSignal], _ letters: [GateDeadLetter], in store: RedisStore, on eventLoop: (any EventLoop)?,
        to hands: (any DirectDispatch)?, until deadline: ContinuousClock.Instant?
    ) async -> GateAnswer {
        var answer = GateAnswer()
        answer.outcomes.reserveCapacity(signals.count)
        var calls = GateCalls(signals: signals[...], letters: letters[...], most: bytesPerWrite)
        while let batch = calls.next() {
            // Nobody waits for the rest any more; what was decided stays.
            if let deadline, ContinuousClock.now >= deadline {
                refuse(batch, policy: 1, Self.tooLate, &answer)
                continue
            }
            // Nothing grows old while nothing can be written.
            guard case .open = store.state else {
                refuse(batch, policy: 1, "", &answer)
                continue
            }
            let room = batch.room
            guard await reserve(room, in: store) else {
                witness.replayRefused(batch.signals.reduce(0) { $0 + $1.count })
                refuse(batch, policy: reader.policies.count, "not every replica has what was answered before", &answer)
                continue
            }
            await decide(batch, room, in: store, on: eventLoop, to: hands, &answer)
        }
        return answer
    }

    private func decide(
        _ batch: GateWrite, _ room: Int, in store: RedisStore, on eventLoop: (any EventLoop)?,
        to hands: (any DirectDispatch)?, _ answer: inout GateAnswer
    ) async {
        let born = memory.born
        let offers = DispatchOffers(for: batch, of: hands)
        let exchange: RedisStore.Exchange
        do throws(RedisError) {
            exchange = try await store.sendCovered(
                zip(batch.signals, offers.each).map {
                    commands.gate($0, born: born, offer: $1, isForLater: offers.isForLater)
                }
                    + batch.letters.map { commands.rejects($0, answered: false) }, on: eventLoop)
        } catch {
            replay.release(room)
            offers.withdraw()
            return refuse(batch, policy: 1, "", &answer)
        }
        var own = GateAnswer()
        let opening = exchange.opening
        var kept = GateReader.Kept()
        var dispatched: [GateReader.Dispatch] = []
        for (place, chunk) in batch.signals.enumerated() {
            own.outcomes += reader.read(
                exchange.values[place], chunk, offers.each[place], store, since: opening, &kept)
            dispatched.append(kept.dispatched)
        }
        var stored: [GateDeadLetter] = []
        for (chunk, reply) in zip(batch.letters, exchange.values.dropFirst(batch.signals.count)) {
            if reader.readLetters(reply, chunk, store, since: opening, &own) { stored += chunk }
        }
        let current = replay.keep(kept.signals, stored, of: room) { store.isOpen(since: opening) }
        if current { memory.note(reading: kept.reading) }
        if replay.isPressed { relieve(in: store) }
        do throws(RedisError) {
            if let barrier, let last = exchange.values.last { try barrier.check(last) }
        } catch {
            // It may be written, and may be lost: nobody vouches for it, and for nothing after it.
            store.shut(because: error, since: opening)
            offers.withdraw()
            return refuse(batch, policy: 1, "", &answer)
        }
        guard current else {
            offers.withdraw()
            return refuse(batch, policy: 1, "", &answer)
        }
        offers.dispatch(dispatched, born: born)
        known.note(batch.signals.joined(), own.outcomes)
        answer.again += kept.again.map { answer.outcomes.count + $0 }
        answer.outcomes += own.outcomes
        if !own.deadLettersStored {
            answer.deadLettersStored = false
            answer.deadLettersWithoutRoom += own.deadLettersWithoutRoom
            answer.deadLettersUnavailable = answer.deadLettersUnavailable || own.deadLettersUnavailable
            if answer.deadLetterDetail.isEmpty { answer.deadLetterDetail = own.deadLetterDetail }
        }
    }

    // MARK: What was answered

    /// For what sinks are going to be told: it is on the replicas that are asked for, and is kept like what senders are told. What
    /// was written, and answered with a 503, is known to sinks too.
    /// - Throws: when nobody may be told.
    func vouch(
        for handed: [ReplayMemory.Signal], _ storms: [ReplayMemory.Storm], _ exchange: RedisStore.Exchange,
        in store: RedisStore
    ) throws(RedisError) {
        do throws(RedisError) {
            if let barrier, let last = exchange.values.last { try barrier.check(last) }
        } catch {
            store.shut(because: error, since: exchange.opening)
            throw error
        }
        guard replay.keep(handed, [], storms, of: 0, while: { store.isOpen(since: exchange.opening) }) else {
            throw RedisError(.shut, "the store has been shut since")
        }
    }

    private func reserve(_ room: Int, in store: RedisStore) async -> Bool {
        if replay.reserve(room) { return true }
        await askReplicas(in: store)
        return replay.reserve(room)
    }

    /// Makes room before there is none.
    private func relieve(in store: RedisStore) {
        let begin = relieving.withLockedValue { busy in
            defer { busy = true }
            return !busy
        }
        guard begin else { return }
        Task {
            await askReplicas(in: store)
            relieving.withLockedValue { $0 = false }
        }
    }

    /// Until the replicas have what was written when it began, for a few rounds.
    private func askReplicas(in store: RedisStore) async {
        for round in 0..<5 {
            let ticket = replay.ticket
            guard let reply = try? await store.send(RedisCommand("INFO", "replication")),
                let info = try? StoreInfo(reply), let written = info.written
            else { return }
            replay.note(ticket, written: written, replicas: info.replicas)
            if !replay.isPressed { return }
            if (try? await Task.sleep(for: .milliseconds(1 << round))) == nil { return }
        }
    }

    private func refuse(_ batch: GateWrite, policy: Int, _ why: String, _ answer: inout GateAnswer) {
        let refusal = reader.unavailable(policy, why)
        for chunk in batch.signals { answer.outcomes += chunk.map { _ in refusal } }
        if !batch.letters.isEmpty { reader.refuseLetters(&answer, why) }
    }
}
