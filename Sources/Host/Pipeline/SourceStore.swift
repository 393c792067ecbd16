import Redis
import SignalKit

/// What a source keeps in the store, and who runs it. Every method is one call.
struct SourceStore: Sendable {
    /// Not renewed for this long, a lease is free: the 15 s within which another host takes over, and time to try.
    static let lease = Duration.seconds(10)

    let store: RedisStore
    let scripts: SourceScripts
    let name: PluginID
    /// Of this process and this source; nobody else has it.
    let token: String

    private func call(_ script: RedisScript, _ arguments: [String]) async throws(SourceError) -> [RedisValue] {
        var command = RedisCommand.evalsha(script, keys: [scripts.clockKey])
        command.add(name.description)
        for argument in arguments { command.add(argument) }
        do throws(RedisError) {
            let reply = try await store.send(command)
            if let list = reply.list { return list }
            if reply.int != nil { return [reply] }
            let error = RedisError(.garbage, "the reply to \(script.name) is not of its shape")
            store.shut(because: error)
            throw error
        } catch {
            throw SourceError(.unavailable, "\(error)")
        }
    }

    /// Takes the lease or keeps it.
    /// - Returns: whether it is held, and for how long nobody has been watching; nil when nobody ever has.
    func hold(isWatching: Bool) async throws(SourceError) -> (isHeld: Bool, gap: Duration?) {
        let words = try await call(
            scripts.lease, [token, String(Self.lease.milliseconds), isWatching ? "1" : "0"])
        guard words.count == 2, let held = words[0].int, let gap = words[1].int else {
            throw SourceError(.unavailable, "the reply to lease is not of its shape")
        }
        return (held == 1, gap < 0 ? nil : .milliseconds(gap))
    }

    /// Gives the lease back, so that nobody has to wait for its end.
    func release() async { _ = try? await call(scripts.move, [token]) }

    func checkpoint(_ part: String) async throws(SourceError) -> String? {
        try await call(scripts.recall, ["at", part]).first?.string
    }

    func recall(_ keys: [String]) async throws(SourceError) -> [String?] {
        let values = try await call(scripts.recall, ["seen"] + keys)
        guard values.count == keys.count else {
            throw SourceError(.unavailable, "the reply to recall is not of its shape")
        }
        return values.map(\.string)
    }

    func move(
        _ part: String, to checkpoint: String?, remembering: [(key: String, value: String)]
    ) async throws(SourceError) {
        let pairs = remembering.flatMap { [$0.key, $0.value] }
        let reply = try await call(scripts.move, [token, part, checkpoint ?? ""] + pairs)
        if reply.first?.int == 0 { throw SourceError(.superseded, "another host runs \(name) by now") }
    }
}

/// The scripts of sources.
struct SourceScripts: Sendable {
    let clockKey: String
    let lease, move, recall: RedisScript

    init(_ configuration: HostConfiguration) {
        let composer = ScriptComposer(configuration)
        clockKey = StoreKeys.clock(configuration.state.prefix)
        // How far a source has come must be told even when nothing else fits in, or it would never move on.
        lease = composer.script("lease", PackageResources.lease_lua, flags: "allow-oom")
        move = composer.script("move", PackageResources.move_lua, flags: "allow-oom")
        recall = composer.script("recall", PackageResources.recall_lua, flags: "allow-oom")
    }

    var all: [RedisScript] { [lease, move, recall] }
}
