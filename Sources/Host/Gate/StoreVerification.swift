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

/// What a connection must pass before its first gate call, and every 10 s: role, eviction, durability, permissions, clock.
struct StoreVerification: Sendable {
    let canary: RedisScript
    private let gate: RedisScript
    private let clockKey: String
    private let durability: Persist.Durability
    private let register: RedisCommand
    let barrier: ReplicaBarrier?
    private let memory: StoreMemory

    init(
        _ configuration: HostConfiguration, _ composer: ScriptComposer, gate: RedisScript, memory: StoreMemory
    ) {
        self.memory = memory
        // allow-oom: a store that is full must still be told from one that must not be used.
        canary = composer.script("verify", PackageResources.verify_lua, flags: "allow-oom")
        self.gate = gate
        clockKey = StoreKeys.clock(configuration.state.prefix)
        var register = RedisCommand("SADD", StoreKeys.queues(configuration.state.prefix))
        for sink in configuration.sinks { register.add(sink.name.description) }
        self.register = register
        durability =
            configuration.gatePolicies.lazy.compactMap { ($0 as? Persist)?.durability }.first ?? .fsync
        barrier = ReplicaBarrier(durability, within: configuration.state.timeout)
    }

    /// - Throws: `.rejected` when the server must not be used, `.notDurable` when it is less durable than the
    ///   configuration asks, and whatever the server answers.
    func verify(_ connection: RedisConnection) async throws(RedisError) {
        var commands = [
            RedisCommand("ROLE"), RedisCommand("INFO"), RedisCommand.evalsha(canary, keys: [clockKey]),
            RedisCommand.evalsha(gate, keys: [clockKey]), register,
        ]
        if durability == .fsync {
            commands.append(RedisCommand("CONFIG", "GET", "appendfsync"))
            commands.append(RedisCommand("CONFIG", "GET", "no-appendfsync-on-rewrite"))
        }
        if let barrier { commands.append(barrier.command) }
        let replies = try await connection.send(commands)
        try checkRole(replies[0].get())
        let info = try Info(replies[1].get())
        try checkEviction(info)
        try memory.note(replies[2].get())
        try checkClock(replies[3])
        if let error = replies[4].serverError, error.code != .outOfMemory { throw RedisError(error) }
        try barrier?.check(replies[replies.count - 1])
        if durability == .fsync { try checkFsync(info, replies[5], replies[6]) }
    }

    private func checkRole(_ reply: RedisValue) throws(RedisError) {
        guard let role = reply.list?.first?.string else { throw RedisError(.garbage, "ROLE answered no role") }
        guard role == "master" else { throw RedisError(.readOnly, "the server is a \(role), not a master") }
    }

    private func checkEviction(_ info: Info) throws(RedisError) {
        guard let policy = info["maxmemory_policy"] else {
            throw RedisError(.rejected, "INFO names no maxmemory_policy; the server must be Redis 7 or compatible")
        }
        guard policy == "noeviction" else {
            throw RedisError(
                .rejected,
                "maxmemory-policy is \(policy): the server may drop what was acknowledged; set it to noeviction")
        }
    }

    /// A call without signals takes one reading of the clock.
    private func checkClock(_ reply: RedisValue) throws(RedisError) {
        if let error = reply.serverError, error.code == .outOfMemory { return }
        guard let reading = try reply.get().list?.first?.int, reading > 0 else {
            throw RedisError(.garbage, "the gate answered no reading of the clock")
        }
    }

    private func checkFsync(_ info: Info, _ policy: RedisValue, _ rewrite: RedisValue) throws(RedisError) {
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
        // base has no size.
        let rewriting = info["aof_rewrite_in_progress"] == "1" || info["aof_rewrite_scheduled"] == "1"
        if info["aof_base_size"] == "0" && rewriting {
            throw RedisError(.notDurable, "the first rewrite of the AOF has not ended")
        }
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

/// `INFO`'s `name:value` lines.
private struct Info {
    private let values: [Substring: Substring]

    init(_ reply: RedisValue) throws(RedisError) {
        guard let text = reply.string else { throw RedisError(.garbage, "INFO answered no text") }
        var found: [Substring: Substring] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            found[line[..<colon]] = line[line.index(after: colon)...]
        }
        values = found
    }

    subscript(_ name: String) -> String? { values[name[...]].map(String.init) }
}
