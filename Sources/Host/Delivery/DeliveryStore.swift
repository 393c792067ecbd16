import Policies
import Redis
import SignalKit

/// What the scripts of delivery answer, in Swift. Every method is one call; errors are the store's.
struct DeliveryStore: Sendable {
    enum Acknowledgement: String, Sendable { case settled, changed, lost }
    enum Burial: String, Sendable { case buried, changed, full, lost, absent }

    /// More than is ever counted.
    private static let counts = Int64(0)..<2_000_000

    let store: RedisStore
    let scripts: DeliveryScripts
    /// Keeps the states that sinks hear for a replay; nil where nothing is delivered.
    var gate: Gate?
    /// Nil where nothing is delivered.
    var session: HostSession? { gate?.session }

    func call(_ script: RedisScript, _ add: (inout RedisCommand) -> Void = { _ in }) async throws(RedisError)
        -> RedisValue
    {
        var command = RedisCommand.evalsha(script, keys: [scripts.clockKey])
        add(&command)
        return try await store.send(command)
    }

    /// A reply that can't be: the store is shut, for nobody knows what else is wrong with it.
    func garbage(_ what: String) -> RedisError {
        let error = RedisError(.garbage, "the reply to \(what) is not of its shape")
        store.shut(because: error)
        return error
    }

    /// What a sink is to be told, for those that can't be read a fault, and whether more may be due.
    struct Claimed: Sendable {
        var claims: [Claim] = []
        var faults: [String] = []
        var more = false
    }

    /// - Returns: nothing when the session is not in the store.
    func claim(_ sink: PluginID, by call: SessionCall, most: Int) async throws(RedisError) -> Claimed {
        var command = RedisCommand.evalsha(scripts.claim, keys: [scripts.clockKey])
        command.add(sink.description)
        command.add(Int64(most))
        command.add(call.session.number)
        command.add(call.session.token)
        command.add(call.number)
        if let gate { command.add(gate.born) }
        let exchange = try await store.sendCovered([command], on: nil)
        let reply = try exchange.values[0].get()
        var (told, storms) = ([ReplayMemory.Signal](), [ReplayMemory.Storm]())
        guard let items = reply.list, items.count >= 2, let more = items[0].int, let now = items[1].int else {
            throw garbage("claim")
        }
        guard more >= 0 else { return Claimed() }
        var found = Claimed(more: more == 1)
        for item in items.dropFirst(2) {
            guard let words = item.list, words.count == 4, let member = words[0].bytesValue, let failed = words[1].int,
                let ended = words[2].int, let view = words[3].list, let kind = view.first?.string,
                Self.counts.contains(failed), Self.counts.contains(ended)
            else { throw garbage("claim") }
            if kind == "fault" {
                found.faults.append(view.last?.string ?? "unknown")
                continue
            }
            guard let delivery = DeliveryDocument.build(QueueMember(member), kind, view) else {
                // Of one member: the others are delivered.
                found.faults.append("\(QueueMember(member).name) makes no delivery")
                continue
            }
            found.claims.append(
                Claim(
                    member: QueueMember(member), call: call, failed: Int(failed), ended: Int(ended), delivery: delivery)
            )
            if kind == "storm" { storms.append(.init(id: member, version: delivery.version)) }
            // Every replica has a change that is that old.
            if kind == "signal", view[4].int == 1, let fingerprint = Fingerprint(bytes: member),
                let record = view[1].bytesValue.flatMap({ PackedRecord($0) }),
                record.moment / 1_000 > now - ReplayMemory.age.milliseconds
            {
                told.append(
                    ReplayMemory.Signal(
                        fingerprint: fingerprint, record: record,
                        document: view.count > 7 ? view[7].bytesValue ?? [] : [], source: nil, arguments: [],
                        isHanded: true))
            }
        }
        // A sink that hears of what a failover then loses would hear of it again as another episode.
        try gate?.vouch(for: told, storms, exchange, in: store)
        return found
    }

    /// The members in flight at a session, as the store has them. Nil when the session is not in the store.
    func inFlight(_ sink: PluginID, at session: SessionID, most: Int) async throws(RedisError) -> [Claim.Held]? {
        let reply = try await call(scripts.inFlight) {
            $0.add(sink.description)
            $0.add(session.number)
            $0.add(session.token)
            $0.add(Int64(most))
        }
        if reply.int == -1 { return nil }
        guard let words = reply.list, words.count % 2 == 0 else { throw garbage("in-flight") }
        var found: [Claim.Held] = []
        for place in stride(from: 0, to: words.count, by: 2) {
            guard let member = words[place].bytesValue, let number = words[place + 1].int else {
                throw garbage("in-flight")
            }
            found.append(
                Claim.Held(member: QueueMember(member), call: SessionCall(session: session, number: number)))
        }
        return found
    }

    /// Makes deliveries of one session due that its host does not make.
    func release(_ sink: PluginID, _ strays: some Collection<Claim.Held>, of session: SessionID)
        async throws(RedisError)
    {
        let reply = try await call(scripts.release) {
            $0.add(sink.description)
            $0.add(session.number)
            for stray in strays {
                $0.add(stray.member.bytes)
                $0.add(stray.call.number)
            }
        }
        guard reply.int != nil else { throw garbage("release") }
    }

    /// - Parameter claims: of one session.
    /// - Returns: nil when the session is not in the store.
    func acknowledge(_ sink: PluginID, _ claims: some Collection<Claim>) async throws(RedisError) -> [Acknowledgement]?
    {
        guard let session = claims.first?.call.session else { return [] }
        let reply = try await call(scripts.acknowledge) {
            $0.add(session.number)
            $0.add(session.token)
            $0.add(sink.description)
            for claim in claims {
                $0.add(claim.member.bytes)
                $0.add(claim.call.number)
                $0.add(claim.delivery.version)
                $0.add(claim.delivery.episode)
            }
        }
        if reply.list?.isEmpty == true { return nil }
        let words = (reply.list ?? []).compactMap { $0.string.flatMap(Acknowledgement.init) }
        guard words.count == claims.count else { throw garbage("acknowledge") }
        return words
    }

    /// What became of a failed delivery.
    enum Retry: Int64, Sendable { case lost, kept, changed }

    /// - Parameter failed: of one session.
    /// - Returns: nil when the session is not in the store.
    func retry(_ sink: PluginID, _ failed: some Collection<FailedDelivery>) async throws(RedisError) -> [Retry]? {
        guard let session = failed.first?.claim.call.session else { return [] }
        let reply = try await call(scripts.retry) {
            $0.add(sink.description)
            $0.add(session.number)
            $0.add(session.token)
            for item in failed {
                $0.add(item.claim.member.bytes)
                $0.add(item.claim.call.number)
                $0.add(item.delay.milliseconds)
                $0.add(item.usesAttempt ? 1 : 0 as Int64)
                $0.add(item.claim.delivery.version)
                $0.add(item.claim.delivery.episode)
                switch item.claim.delivery.state {
                case .firing: $0.add(1)
                case .resolved: $0.add(2)
                case .open, .closed: $0.add(0)
                }
            }
        }
        if reply.list?.isEmpty == true { return nil }
        let words = (reply.list ?? []).compactMap { $0.int.flatMap(Retry.init) }
        guard words.count == failed.count else { throw garbage("retry") }
        return words
    }

    /// Makes a part of the members that wait in back-off due.
    /// - Parameter place: from where; nil at first.
    /// - Returns: from where to go on; nil when the queue has no further ones.
    func resume(_ sink: PluginID, from place: String?, most: Int, over spread: Duration) async throws(RedisError)
        -> String?
    {
        let reply = try await call(scripts.resume) {
            $0.add(sink.description)
            $0.add(place ?? "")
            $0.add(Int64(most))
            $0.add(spread.milliseconds)
        }
        guard let next = reply.string else { throw garbage("resume") }
        return next.isEmpty ? nil : next
    }

    func bury(_ sink: PluginID, _ claim: Claim, because reason: String, after delay: Duration) async throws(RedisError)
        -> Burial
    {
        let reply = try await call(scripts.bury) {
            $0.add(sink.description)
            $0.add(claim.member.bytes)
            $0.add(claim.call.session.number)
            $0.add(claim.delivery.version)
            $0.add(reason)
            $0.add(delay.milliseconds)
            $0.add(claim.call.session.token)
            $0.add(claim.call.number)
        }
        guard let word = reply.string.flatMap(Burial.init) else { throw garbage("bury") }
        return word
    }

    struct Sweep: Sendable {
        /// There may be more to do at once.
        let more: Bool
        let queued: Bool
        let fault: String?
    }

    func sweep(most: Int) async throws(RedisError) -> Sweep {
        let reply = try await call(scripts.sweep) {
            $0.add(Int64(most))
            $0.add(scripts.cooldown.milliseconds)
        }
        guard let words = reply.list, words.count == 3, let more = words[0].int, let queued = words[1].int,
            let fault = words[2].bytesValue.map({ String(decoding: $0, as: UTF8.self) })
        else { throw garbage("sweep") }
        return Sweep(more: more == 1, queued: queued == 1, fault: fault.isEmpty ? nil : fault)
    }

    struct Stats: Sendable {
        var queues: [(name: String, depth: Int, oldest: Duration)] = []
        var dead: [(origin: String, count: Int, bytes: Int)] = []
        var stormsOpen = 0
        var counters: [String: Int] = [:]
    }

    func stats() async throws(RedisError) -> Stats {
        guard let words = try await call(scripts.stats).list, words.count == 5, let queues = words[1].list,
            let dead = words[2].list, let storms = words[3].int, let counters = words[4].list
        else { throw garbage("stats") }
        var stats = Stats(stormsOpen: Int(storms))
        for item in queues {
            guard let queue = item.list, queue.count == 3, let name = queue[0].string, let depth = queue[1].int,
                let age = queue[2].int
            else { throw garbage("stats") }
            stats.queues.append((name, Int(depth), .milliseconds(max(0, age))))
        }
        for item in dead {
            guard let origin = item.list, origin.count == 3, let name = origin[0].string, let count = origin[1].int,
                let bytes = origin[2].int
            else { throw garbage("stats") }
            stats.dead.append((name, Int(count), Int(bytes)))
        }
        for place in stride(from: 0, to: counters.count - 1, by: 2) {
            guard let name = counters[place].string, let value = counters[place + 1].int else { throw garbage("stats") }
            stats.counters[name] = Int(value)
        }
        stats.queues.sort { $0.name < $1.name }
        stats.dead.sort { $0.origin < $1.origin }
        return stats
    }
}
