import NIOConcurrencyHelpers
import Redis
import SignalKit

/// Hears what becomes of the store and of what was answered, for metrics and the log. Must return at once.
protocol GateWitness: Sendable {
    /// The store has lost something, in words.
    func lost(_ what: String)
    /// Another server by now has the store.
    func met(_ server: String)
    /// Of `count` answered signals and dead letters so many were missing and are written again; of the faults the first, in words.
    func replayed(_ restored: Int, of count: Int, faults: Int, first: String)
    /// These hosts did not come in time; what they answered may be answered again.
    func alone(without hosts: [String])
    func replicas(_ connected: Int)
    func durable(_ met: Bool)
    func replayMemory(bytes: Int)
    func replayRefused(_ signals: Int)
}

/// Restores the replay buffer at a server that is met for the first time, before anything is answered from it.
///
/// With several hosts the first one that is done would answer from a store that still lacks the replay buffers of the others. So
/// each host says there when it is done. At another server of the same store it waits for the hosts that it knows. At a store that is
/// new or emptied, and at the first that it meets, it waits the full patience: a host that it has never heard of may exist.
struct StoreRecovery: Sendable {
    /// A host counts as alive for so long after a heartbeat.
    static let lease = Duration.seconds(25)

    enum Waits: String, Sendable { case all, known, none }

    /// Empty: shares its store with nobody.
    let host: String
    let commands: GateCommands
    /// A host that lives sees another master within a second. Before that it may hang at the old one for a time-out.
    let patience: Duration
    let memory: ReplayMemory
    let barrier: ReplicaBarrier?
    let witness: any GateWitness
    /// Nil of a process that delivers nothing.
    let session: HostSession?
    let workers: NIOLockedValueBox<(any DirectDispatch)?>

    /// Registers this host's session in the store, and puts its deliveries in flight there.
    func join(on connection: RedisConnection) async throws(RedisError) {
        guard let session else { return }
        let heartbeat = Heartbeat(host: host, commands: commands, session: session)
        try await heartbeat.join { command throws(RedisError) in try await connection.send(command) }
        guard let own = session.current, let held = workers.withLockedValue({ $0 })?.held(at: own) else { return }
        for start in stride(from: 0, to: held.count, by: 256) {
            _ = try await connection.send(commands.adopt(held[start...].prefix(256), at: own))
        }
    }

    /// - Parameters:
    ///   - floor: the highest reading that this host knows. The clock of the store starts above it, or a new episode would
    ///     be older than one that sinks have heard of.
    ///   - peers: the hosts that this host knows.
    func run(
        on connection: RedisConnection, _ sight: StoreMemory.Sight, _ change: StoreMemory.Change, above floor: Int64,
        peers: [String]
    ) async throws(RedisError) {
        if sight.clock < floor {
            let reply = try await connection.send(commands.reading(above: floor))
            guard let reading = reply.list?.first?.int, reading > floor else {
                throw RedisError(.garbage, "the gate answered no reading above the floor")
            }
        }
        try await replay(on: connection)
        try await join(on: connection)
        guard !host.isEmpty, sight.settled != sight.server else { return }
        let waits: Waits = change == .another && !sight.settled.isEmpty ? .known : .all
        let deadline = ContinuousClock.now + patience
        while true {
            let patient = ContinuousClock.now < deadline
            let reply = try await connection.send(
                commands.settle(sight.server, host, waits: patient ? waits : .none, peers: peers))
            guard let words = reply.list, words.count == 2, let settled = words[0].int,
                let missing = words[1].list?.compactMap(\.string)
            else { throw RedisError(.garbage, "the reply about other hosts is not of its shape") }
            if settled == 1, missing.isEmpty { return }
            guard patient else { return witness.alone(without: missing) }
            // By another host's clock, not a signal that could be waited for.
            do { try await Task.sleep(for: .milliseconds(20)) } catch { throw RedisError(.shut, "stopped") }
        }
    }

    private func replay(on connection: RedisConnection) async throws(RedisError) {
        let (signals, letters, storms) = memory.renewed()
        guard !signals.isEmpty || !letters.isEmpty || !storms.isEmpty else { return }
        var told = Restored()
        for start in stride(from: 0, to: signals.count, by: Gate.signalsPerCall) {
            let chunk = signals[start...].prefix(Gate.signalsPerCall)
            try told.add(await connection.send(commands.restore(chunk)), chunk.count)
        }
        // Behind their members, which may have made them anew.
        var again = Restored()
        for start in stride(from: 0, to: storms.count, by: Gate.signalsPerCall) {
            let chunk = storms[start...].prefix(Gate.signalsPerCall)
            try again.add(await connection.send(commands.restore(chunk)), chunk.count)
        }
        for start in stride(from: 0, to: letters.count, by: Gate.signalsPerCall) {
            let chunk = letters[start...].prefix(Gate.signalsPerCall)
            _ = try await connection.send(commands.rejects(chunk, answered: true))
        }
        if let barrier { try barrier.check(await connection.send([barrier.command])[0]) }
        memory.madeGood()
        guard !signals.isEmpty || !letters.isEmpty else { return }
        witness.replayed(
            told.count, of: signals.count + letters.count, faults: told.faults + again.faults,
            first: told.faults > 0 ? told.first : again.first)
    }

    /// What the scripts answer: a number for each, or why it could not be restored.
    private struct Restored {
        var (count, faults, first) = (0, 0, "")

        mutating func add(_ reply: RedisValue, _ asked: Int) throws(RedisError) {
            guard let words = reply.list, words.count == asked else {
                throw RedisError(.garbage, "the reply to a replay is not a word for each")
            }
            for word in words {
                if case .integer(let number) = word {
                    count += Int(number)
                } else {
                    if faults == 0 { first = word.string ?? "unknown" }
                    faults += 1
                }
            }
        }
    }
}
