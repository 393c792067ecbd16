import NIOConcurrencyHelpers
import Policies
import Redis
import SignalKit

/// Names of keys that the host passes; every other key is derived from the clock's in the scripts.
enum StoreKeys {
    /// One hash tag, so that all keys of a deployment are in one slot.
    static func clock(_ prefix: String) -> String { "{\(prefix)}:clock" }
    /// The names of all sinks that own a queue.
    static func queues(_ prefix: String) -> String { "{\(prefix)}:queues" }
}

/// The version of all that is stored: keys, layouts, and what scripts of different programs may do to each other.
enum StoreSchema {
    /// Those that this program reads. It writes the one that the store has, which is the highest that all hosts read.
    static let versions: ClosedRange<Int64> = 1...1
}

extension HostConfiguration {
    var persist: Persist? { gatePolicies.lazy.compactMap { $0 as? Persist }.first }
    var durability: Persist.Durability { persist?.durability ?? .fsync }
}

/// What a connection must pass before its first gate call, and every 10 s: role, version, eviction, durability, permissions,
/// clock, and that the store still knows what this host has seen of it.
struct StoreVerification: Sendable {
    let canary: RedisScript
    private let gate: RedisScript
    private let clockKey: String
    private let durability: Persist.Durability
    private let register: RedisCommand
    private let memory: StoreMemory
    private let recovery: StoreRecovery
    /// The server, by its run, that was seen last with everything in its AOF.
    private let logging = NIOLockedValueBox<String?>(nil)

    init(
        _ configuration: HostConfiguration, canary: RedisScript, gate: RedisScript, memory: StoreMemory,
        recovery: StoreRecovery
    ) {
        self.canary = canary
        self.gate = gate
        self.memory = memory
        self.recovery = recovery
        clockKey = StoreKeys.clock(configuration.state.prefix)
        var register = RedisCommand("SADD", StoreKeys.queues(configuration.state.prefix))
        for sink in configuration.sinks { register.add(sink.name.description) }
        self.register = register
        durability = configuration.durability
    }

    /// - Throws: `.rejected` when the server must not be used, `.notDurable` when it is less durable than the
    ///   configuration asks, `.emptied` when an open store is not what it was, and whatever the server answers.
    func verify(_ connection: RedisConnection, _ occasion: RedisStore.Occasion) async throws(RedisError) {
        do throws(RedisError) {
            try await look(connection, occasion)
        } catch {
            if error.code == .notDurable { recovery.witness.durable(false) }
            guard error.code == .noPermission else { throw error }
            throw RedisError(
                .noPermission, "\(error.message) (`portcullis plugins --acl` prints the rights that it needs)")
        }
        recovery.witness.durable(true)
    }

    private func look(_ connection: RedisConnection, _ occasion: RedisStore.Occasion) async throws(RedisError) {
        let highest = memory.highest
        let ticket = recovery.memory.ticket
        let sign = RedisCommand.evalsha(
            canary, keys: [clockKey],
            arguments: [recovery.host, String(StoreRecovery.lease.milliseconds)]
                + [StoreSchema.versions.upperBound, StoreSchema.versions.lowerBound].map { String($0) })
        var commands = [
            RedisCommand("ROLE"), RedisCommand("INFO"), sign,
            RedisCommand.evalsha(gate, keys: [clockKey], arguments: ["0"]), register,
        ]
        if durability == .fsync {
            commands.append(RedisCommand("CONFIG", "GET", "appendfsync"))
            commands.append(RedisCommand("CONFIG", "GET", "no-appendfsync-on-rewrite"))
        }
        if let barrier = recovery.barrier { commands.append(barrier.command) }
        let replies = try await connection.send(commands)
        try checkRole(replies[0].get())
        let info = try StoreInfo(replies[1].get())
        try info.checkServer()
        try info.checkEviction()
        let sight = try StoreMemory.Sight(server: info.server(), canary: replies[2].get())
        // Before anything refuses the server: by the next attempt its clock is ahead.
        let change = memory.change(sight, since: highest)
        try checkClock(replies[3])
        if let error = replies[4].serverError, error.code != .outOfMemory { throw RedisError(error) }
        recovery.witness.replicas(info.replicas.count)
        recovery.witness.replayMemory(bytes: recovery.memory.bytes)
        try recovery.barrier?.check(replies[replies.count - 1])
        if durability == .fsync {
            do throws(RedisError) {
                try checkFsync(info, replies[5], replies[6], occasion)
            } catch {
                logging.withLockedValue { $0 = nil }
                throw error
            }
        }
        try await note(sight, change, connection, occasion)
        if occasion == .open { recovery.memory.foundOpen() }
        if let written = info.written {
            // Of before a replay when there was one, and then of no use.
            recovery.memory.note(ticket, written: written, replicas: info.replicas)
        }
    }

    private func note(
        _ sight: StoreMemory.Sight, _ change: StoreMemory.Change, _ connection: RedisConnection,
        _ occasion: RedisStore.Occasion
    ) async throws(RedisError) {
        switch (change, occasion) {
        case (.none, .open), (.first, .open): break
        case (.none, .opening) where recovery.host.isEmpty || sight.settled == sight.server:
            try await recovery.join(on: connection)
        case (.another, .open): throw RedisError(.emptied, "another server answers for the store")
        case (.lost(let what), .open): throw RedisError(.emptied, what)
        case (_, .opening):
            try await recovery.run(on: connection, sight, change, above: memory.highest, peers: memory.peers)
            // Once, however many attempts it took.
            if case .lost(let what) = change { recovery.witness.lost(what) }
            // One that was emptied or set back may be the same as before.
            if change != .none, change != .first, sight.server != memory.server { recovery.witness.met(sight.server) }
        }
        memory.adopt(sight, opens: occasion == .opening)
    }

    private func checkRole(_ reply: RedisValue) throws(RedisError) {
        guard let role = reply.list?.first?.string else { throw RedisError(.garbage, "ROLE answered no role") }
        guard role == "master" else { throw RedisError(.readOnly, "the server is a \(role), not a master") }
    }

    /// A call with no more than a floor takes one reading of the clock.
    private func checkClock(_ reply: RedisValue) throws(RedisError) {
        if let error = reply.serverError, error.code == .outOfMemory { return }
        guard let reading = try reply.get().list?.first?.int, reading > 0 else {
            throw RedisError(.garbage, "the gate answered no reading of the clock")
        }
    }

    private func checkFsync(
        _ info: StoreInfo, _ policy: RedisValue, _ rewrite: RedisValue, _ occasion: RedisStore.Occasion
    ) throws(RedisError) {
        func setting(_ reply: RedisValue) throws(RedisError) -> String {
            if let error = reply.serverError {
                throw RedisError(
                    .notDurable,
                    "durability: fsync can't be verified (\(error.message)); allow CONFIG GET, or write {unverified: why}"
                )
            }
            guard let words = reply.list, words.count == 2, let value = words[1].string else {
                throw RedisError(.garbage, "CONFIG GET answered no setting")
            }
            return value
        }
        let fsync = try setting(policy)
        let deferred = try setting(rewrite)
        guard info["aof_enabled"] == "1" else { throw RedisError(.notDurable, "appendonly is no: set it to yes") }
        guard fsync == "always" else { throw RedisError(.notDurable, "appendfsync is \(fsync): set it to always") }
        guard deferred == "no" else {
            throw RedisError(.notDurable, "no-appendfsync-on-rewrite is \(deferred): set it to no")
        }
        // After AOF was switched on at run time nothing is in it until its first rewrite has ended; until then its
        // base has no size. Nor has it at a server that began with an empty AOF, until its first rewrite: one that is
        // in use, and had a log when it was looked at last, has it now.
        let rewriting = info["aof_rewrite_in_progress"] == "1" || info["aof_rewrite_scheduled"] == "1"
        let run = info["run_id"]
        let had = occasion == .open && logging.withLockedValue { $0 == run }
        if info["aof_base_size"] == "0" && rewriting && !had {
            throw RedisError(.notDurable, "the first rewrite of the AOF has not ended")
        }
        logging.withLockedValue { $0 = run }
        guard info["aof_last_write_status"] != "err" else {
            throw RedisError(.notDurable, "the server could not write its AOF")
        }
    }
}

/// `durability: {replicas: N}`: what was written before it on its connection is on N replicas, or the store is shut. It blocks its
/// connection, so every write of the gate ends with one.
struct ReplicaBarrier: Sendable {
    private let replicas: Int
    let command: RedisCommand

    init?(_ durability: Persist.Durability, within timeout: Duration) {
        guard case .replicas(let count) = durability else { return nil }
        replicas = count
        // Its own answer must come within the call's time.
        command = RedisCommand("WAIT", String(count), String(max(1, (timeout * 0.7).milliseconds)))
    }

    /// - Throws: `.notDurable`.
    func check(_ reply: RedisValue) throws(RedisError) {
        guard let count = try reply.get().int else { throw RedisError(.garbage, "WAIT answered no number") }
        guard count >= replicas else {
            throw RedisError(.notDurable, "\(count) of \(replicas) replicas have what was written")
        }
    }
}
