import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Policies
import Redis
import SignalKit
import TestSupport

@testable import Host

/// A gate on a real Redis whose time a test moves by itself: the scripts take the time from the key `time`, while there is one.
final class GateRig: Sendable {
    let redis: RedisServer
    let configuration: HostConfiguration
    let gate: Gate
    let store: RedisStore
    let delivery: DeliveryStore
    let witness = Recorder()
    let session: HostSession
    let heartbeat: Heartbeat
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let running: Task<Void, Never>

    /// In ms, ahead of any TIME that this test could see.
    static let epoch: Int64 = 2_000_000_000_000

    /// In front of every script: the time is that of the key `time`, else the server's. The write whose number the key `fault`
    /// holds, and with it the script, fails; with `faults` every write from there on.
    static let prologue = """
        local real, written = redis, 0
        local base = string.sub(KEYS[1], 1, -6)
        local WRITES = {SET = 1, MSET = 1, HSET = 1, HDEL = 1, HINCRBY = 1, ZADD = 1, ZREM = 1, RPUSH = 1, LTRIM = 1, SADD = 1,
          DEL = 1, UNLINK = 1, PEXPIRE = 1}
        local at, from = tonumber(real.call('GET', base .. 'fault') or '0'), tonumber(real.call('GET', base .. 'faults') or '0')
        local redis = {sha1hex = real.sha1hex, error_reply = real.error_reply, pcall = real.pcall, call = function(name, ...)
          if WRITES[name] and at + from > 0 then
            written = written + 1
            if written == at or (from > 0 and written >= from) then error({err = 'ERR injected'}) end
          end
          return real.call(name, ...)
        end}
        local function read_time()
          local set = real.call('GET', base .. 'time')
          if set then return tonumber(set) end
          local time = real.call('TIME')
          return time[1] * 1000000 + time[2]
        end
        """

    init(
        sinks: [(PluginID, HostConfiguration.WhenFull)] = [("file", .refuse)],
        backlog: Int = 1_000,
        letters: Int = 10, letterBytes: String = "64MiB", storm: [ConfigNode.Entry] = [],
        deduplicate: [ConfigNode.Entry] = [], redis given: RedisServer? = nil, opens: Bool = true,
        plugin: any Sink = Nowhere(),
        first: [any GatePolicy] = [], further: [any GatePolicy] = [], host: String = "", replay: String = "16MiB",
        clock: Bool = true, timeout: Duration = .seconds(5), peerWait: Duration = .seconds(2)
    ) async throws {
        redis = if let given { given } else { try await RedisServer.durable() }
        let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let configuration = try Self.configuration(
            sinks: sinks, backlog: backlog, letters: letters, letterBytes: letterBytes, storm: storm,
            deduplicate: deduplicate,
            plugin: plugin, first: first, further: further, replay: replay, peerWait: peerWait)
        self.configuration = configuration
        // What has a server for itself is never taken for dead, however slow the machine is.
        let session = HostSession(isAlone: given == nil && host.isEmpty)
        let gate = Gate(configuration, host: host, session: session, log: log, witness: witness)
        heartbeat = Heartbeat(
            host: host, commands: GateCommands(configuration, ScriptComposer(configuration)), session: session)
        self.session = session
        let scripts = DeliveryScripts(configuration)
        self.gate = gate
        store = RedisStore(
            endpoint: RedisEndpoint(.unix(path: redis.socketPath)), group: group, timeout: timeout,
            scripts: gate.scripts + scripts.all + SourceScripts(configuration).all,
            verify: { c, occasion throws(RedisError) in try await gate.verification.verify(c, occasion) },
            observer: Deaf(), log: log)
        delivery = DeliveryStore(store: store, scripts: scripts, gate: gate)
        running = Task { [store] in await store.run() }
        guard opens else { return }
        do {
            try await eventually("an open store", within: .seconds(10)) { [store] in store.state == .open }
        } catch {
            throw TestFailure("\(error): \(store.state)")
        }
        if clock { try await at(.zero) }
    }

    deinit {
        running.cancel()
        // The loops go when nobody connects on them any more.
        Task { [running, group] in
            await running.value
            try? await group.shutdownGracefully()
        }
    }

    /// A rig on a server that is not expected to pass its verification.
    static func shut(on redis: RedisServer) async throws -> GateRig { try await GateRig(redis: redis, opens: false) }

    /// - Parameters:
    ///   - first: gate policies in front of `deduplicate`.
    ///   - further: those between `storm` and `persist`.
    static func configuration(
        sinks: [(PluginID, HostConfiguration.WhenFull)] = [("file", .refuse)], backlog: Int = 1_000, letters: Int = 10,
        letterBytes: String = "64MiB", storm: [ConfigNode.Entry] = [], deduplicate: [ConfigNode.Entry] = [],
        plugin: any Sink = Nowhere(),
        first before: [any GatePolicy] = [], further: [any GatePolicy] = [], replay: String = "16MiB",
        peerWait: Duration = .seconds(2)
    ) throws -> HostConfiguration {
        let mark = ConfigMark(line: 1, column: 1)
        func reader(_ entries: [ConfigNode.Entry]) -> ConfigReader {
            ConfigReader(ConfigNode(.map(entries), mark: mark), path: "test")
        }
        var first = reader(deduplicate)
        var second = reader(storm)
        var third = reader([
            entry("durability", "fsync"), entry("backlog", "\(backlog)"), entry("dead_letters", "\(letters)"),
            entry("dead_letter_bytes", letterBytes),
            entry("replay", replay),
        ])
        let deciding: [any GatePolicy] = [try Deduplicate(&first, .silent), try StormPolicy(&second, .silent)]
        let policies = before + deciding + further + [try Persist(&third, .silent)]
        guard first.errors.isEmpty, second.errors.isEmpty, third.errors.isEmpty else {
            throw TestFailure("\(first.errors)\(second.errors)\(third.errors)")
        }
        return HostConfiguration(
            server: .init(
                listen: .init(host: "127.0.0.1", port: 0), admin: nil, adminTokenFile: nil, limits: .init(), tls: nil),
            state: .init(
                store: .embedded(directory: "unused"), timeout: .seconds(5), prefix: "test", peerWait: peerWait,
                prologue: prologue),
            routes: [],
            policies: [], gatePolicies: policies,
            sinks: sinks.map { .init(name: $0.0, use: "test", whenFull: $0.1, plugin: plugin) })
    }

    static func entry(_ key: String, _ value: String) -> ConfigNode.Entry {
        let mark = ConfigMark(line: 1, column: 1)
        return .init(key: key, mark: mark, value: ConfigNode(.scalar(value, plain: true), mark: mark))
    }

    static func section(_ key: String, _ entries: ConfigNode.Entry...) -> ConfigNode.Entry {
        let mark = ConfigMark(line: 1, column: 1)
        return .init(key: key, mark: mark, value: ConfigNode(.map(entries), mark: mark))
    }

    // MARK: Time, from the epoch, in ms

    /// The last reading given out, in µs.
    func set(clock: Int64) async throws { try await redis.command("SET", "{test}:clock", String(clock)) }

    /// It is `time` after the epoch.
    func at(_ time: Duration) async throws {
        try await redis.command("SET", "{test}:time", String(Self.reading(time)))
    }

    /// The first reading that is given out then, in µs.
    static func reading(_ time: Duration) -> Int64 { (epoch + time.milliseconds) * 1_000 }

    static func time(_ time: Duration) -> Timestamp { Timestamp(milliseconds: epoch + time.milliseconds) }

    // MARK: Signals

    static func signal(
        _ name: String = "A", _ status: Signal.Status = .firing, starts: Duration? = nil, ends: Duration? = nil,
        target: String? = nil, namespace: String? = nil, note: String? = nil, from reporter: String = "A",
        isKnown: Bool = false
    ) throws -> GateSignal {
        let entries = [("alertname", name), ("pod", target ?? ""), ("namespace", namespace ?? "")].filter {
            !$0.1.isEmpty
        }
        let signal = try Signal(
            identity: Identity(family: "alert", fields: entries.map { .init($0.0, $0.1) }), name: name, status: status,
            labels: Labels(entries.map { .init($0.0, $0.1) }),
            annotations: Labels(note.map { [.init("note", $0)] } ?? []),
            target: target.map { Target(kind: "pod", namespace: namespace, name: $0) },
            startsAt: starts.map(time), endsAt: ends.map(time))
        return GateSignal(
            Fingerprint(signal.identity), signal, from: Reporter("alertmanager", [.init("replica", reporter)]),
            isKnown: isKnown)
    }

    func decide(_ signals: GateSignal...) async -> [GateOutcome] {
        await gate.decide(signals, [], in: store, on: nil).outcomes
    }

    func verdict(_ signal: GateSignal) async -> Verdict { await decide(signal)[0].verdict }

    // MARK: The store

    func claims(_ sink: PluginID = "file", _ most: Int = 100) async throws -> [Claim] {
        try await delivery.claim(sink, by: call(), most: most).claims
    }

    func call() throws -> SessionCall {
        guard let call = session.nextCall() else { throw TestFailure("no session") }
        return call
    }

    /// As if this host had died, and another one had noticed; then it takes a new session.
    func dies() async throws {
        await heartbeat.end(in: store)
        try await heartbeat.join { [store] command throws(RedisError) in try await store.send(command) }
    }

    /// - Returns: false when the claim was lost.
    func retry(_ claim: Claim, after delay: Duration) async throws -> Bool {
        try await delivery.retry("file", [FailedDelivery(claim: claim, delay: delay)]) == [.kept]
    }

    /// Claims and acknowledges all that is due, and says what it was: state and episode.
    func deliver(_ sink: PluginID = "file") async throws -> [Delivery] {
        let claims = try await claims(sink)
        if !claims.isEmpty { _ = try await delivery.acknowledge(sink, claims) }
        return claims.map(\.delivery)
    }

    /// The record of the problem that `signal(name)` is about.
    func record(_ name: String) async throws -> PackedRecord {
        let reply = try await answer("GET", [recordKey(name)])
        guard let record = reply.bytesValue.flatMap({ PackedRecord($0) }) else {
            throw TestFailure("no record: \(reply)")
        }
        return record
    }

    func write(record: [UInt8], of name: String) async throws {
        _ = try await answer("SET", [recordKey(name), record])
    }

    private func recordKey(_ name: String) throws -> [UInt8] {
        Array("{test}:r:".utf8) + (try Self.signal(name).fingerprint.bytes)
    }

    func number(_ words: String...) async throws -> Int64? {
        let reply = try await redis.answer(words)
        return reply.integer ?? reply.string.flatMap { Int64($0) }
    }
}

/// Keeps what the gate says of its store.
final class Recorder: GateWitness {
    struct Replay: Equatable { let restored, count, faults: Int }
    private let state = NIOLockedValueBox<
        (losses: [String], met: Int, replays: [Replay], alone: [[String]], refused: Int)
    >(
        ([], 0, [], [], 0))

    var losses: [String] { state.withLockedValue { $0.losses } }
    var met: Int { state.withLockedValue { $0.met } }
    var replays: [Replay] { state.withLockedValue { $0.replays } }
    var alone: [[String]] { state.withLockedValue { $0.alone } }
    var refused: Int { state.withLockedValue { $0.refused } }

    func lost(_ what: String) { state.withLockedValue { $0.losses.append(what) } }
    func met(_ server: String) { state.withLockedValue { $0.met += 1 } }
    func replayed(_ restored: Int, of count: Int, faults: Int, first: String) {
        state.withLockedValue { $0.replays.append(Replay(restored: restored, count: count, faults: faults)) }
    }
    func alone(without hosts: [String]) { state.withLockedValue { $0.alone.append(hosts) } }
    func replicas(_ connected: Int) {}
    func durable(_ met: Bool) {}
    func replayMemory(bytes: Int) {}
    func replayRefused(_ signals: Int) { state.withLockedValue { $0.refused += signals } }
}

private struct Deaf: RedisObserver {
    func storeOpened() {}
    func storeShut(_ reason: RedisError) {}
    func storeFailed(_ code: RedisError.Code) {}
}

/// The same, but the store remembers what it has had.
struct Remembering: Sink {
    static let id: PluginID = "remembering"
    static let needsHistory = true
    init() {}
    init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {}
    func deliver(_ delivery: Delivery, _ context: DeliveryContext) async throws(SinkError) {}
}

/// A sink that is never asked: these tests claim by themselves.
struct Nowhere: Sink {
    static let id: PluginID = "nowhere"
    init() {}
    init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {}
    func deliver(_ delivery: Delivery, _ context: DeliveryContext) async throws(SinkError) {}
}
