/// Whether the store may be used, over which connections, and when to look again. No I/O and no clock: it is told
/// what happened and answers what to do.
///
/// Every opening starts a new generation. News of a connection of an earlier one is ignored, so that a late error
/// can't shut a store that has been verified since.
struct StoreState<Connection: Sendable>: Sendable {
    enum Phase: Sendable {
        case shut(RedisError)
        case open
        /// For good.
        case stopped
    }

    enum Pick: Sendable {
        case use(Connection, generation: Int)
        case refuse(RedisError)
    }

    private(set) var phase: Phase
    private(set) var generation = 0
    /// Probes that failed since the store was last open.
    private(set) var failures = 0
    /// The verified connections of each event loop, as far as they are made.
    private var slots: [Connection?]
    private var turn = 0

    init(slots count: Int) {
        precondition(count > 0)
        slots = Array(repeating: nil, count: count)
        phase = .shut(RedisError(.shut, "not connected yet"))
    }

    var connections: [Connection] { slots.compactMap { $0 } }

    /// The connection for a command: that of the preferred slot if it is ready, else any other.
    mutating func pick(_ preferred: Int?) -> Pick {
        switch phase {
        case .shut(let reason): return .refuse(Self.refusal(reason))
        case .stopped: return .refuse(RedisError(.shut, "the store has been stopped"))
        case .open: break
        }
        if let preferred, let connection = slots[preferred] { return .use(connection, generation: generation) }
        for step in 0..<slots.count {
            let index = (turn + step) % slots.count
            if let connection = slots[index] {
                turn = index + 1
                return .use(connection, generation: generation)
            }
        }
        return .refuse(RedisError(.shut, "no connection is verified"))
    }

    private static func refusal(_ reason: RedisError) -> RedisError {
        reason.code == .shut ? reason : RedisError(.shut, "the store is shut: \(reason)")
    }

    /// A probe's connection passed its verification.
    /// - Returns: the new generation; nil when the connection is not wanted any more.
    mutating func opened(_ connection: Connection, slot: Int) -> Int? {
        guard case .shut = phase else { return nil }
        phase = .open
        generation += 1
        failures = 0
        slots[slot] = connection
        return generation
    }

    /// A further connection passed its verification.
    /// - Returns: false when it is not wanted: the store has been shut since it was begun.
    mutating func add(_ connection: Connection, slot: Int, generation: Int) -> Bool {
        guard case .open = phase, generation == self.generation, slots[slot] == nil else { return false }
        slots[slot] = connection
        return true
    }

    /// Something of this generation failed in a way that puts the store in doubt.
    /// - Returns: the connections to close; nil when this is old news.
    mutating func failed(_ reason: RedisError, generation: Int) -> [Connection]? {
        guard case .open = phase, generation == self.generation else { return nil }
        phase = .shut(reason)
        return drop()
    }

    /// - Returns: whether it is worth a line in the log: the reason is of another kind than the last one, or the first
    ///   probe says more than the call that shut the store (which command a user lacks, say).
    mutating func probeFailed(_ reason: RedisError) -> Bool {
        guard case .shut(let last) = phase else { return false }
        phase = .shut(reason)
        failures += 1
        return last.code != reason.code || (failures == 1 && last.message != reason.message)
    }

    mutating func stop() -> [Connection] {
        phase = .stopped
        return drop()
    }

    private mutating func drop() -> [Connection] {
        let dropped = connections
        for index in slots.indices { slots[index] = nil }
        return dropped
    }

    /// How long to wait before the next probe: 100 ms at least, at most a bound that doubles from 200 ms to 1 s.
    /// - Parameter random: 0 to 1, so that many hosts do not probe in step.
    func probeDelay(random: Double) -> Duration {
        let ceiling = min(1_000, 200 << min(failures, 8))
        return .milliseconds(100 + Int(Double(ceiling - 100) * random))
    }
}
