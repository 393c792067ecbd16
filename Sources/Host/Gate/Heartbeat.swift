import Redis

/// Keeps this host's session in the store, ends the sessions of dead hosts, makes their deliveries due again, and learns
/// which other hosts are alive: at another server it waits for their replay buffers.
struct Heartbeat: Sendable {
    static let interval = Duration.seconds(2)
    /// Members that one call makes due.
    static let recovered: Int64 = 256

    /// Empty: shares its store with nobody.
    let host: String
    let commands: GateCommands
    let session: HostSession

    /// Runs until cancelled.
    func run(in store: RedisStore, _ memory: StoreMemory) async {
        while (try? await Task.sleep(for: Self.interval)) != nil { await beat(in: store, memory) }
    }

    /// A failed heartbeat needs no word of its own: the store's state says why, and the next one follows.
    func beat(in store: RedisStore, _ memory: StoreMemory) async {
        let send: Send = { command throws(RedisError) in try await store.send(command) }
        do throws(RedisError) {
            guard let own = session.current else { return try await join(by: send) }
            let sent = ContinuousClock.now
            let reply = try await store.send(commands.heartbeat(host, born: memory.born, own))
            guard let words = reply.list, words.count == 3, let lives = words[0].int,
                let peers = words[1].list?.compactMap(\.string), let sessions = words[2].list.flatMap(Self.sessions)
            else { throw RedisError(.garbage, "the reply to a heartbeat is not of its shape") }
            memory.note(peers: peers)
            if lives == 1 { session.confirmed(own, sent: sent) } else { try await join(by: send) }
            for dead in session.over(sessions, at: .now) {
                _ = try await store.send(commands.endSession(dead.number, seen: dead.seen))
            }
            try await recover(by: send)
        } catch {
            if error.code == .garbage { store.shut(because: error) }
        }
    }

    /// Of `sessions`, by number, token and counter.
    private static func sessions(_ words: [RedisValue]) -> [Int64: String]? {
        var found: [Int64: String] = [:]
        for place in stride(from: 0, to: words.count - 1, by: 2) {
            guard let name = words[place].string, let value = words[place + 1].string else { return nil }
            if let number = Int64(name) { found[number] = value }
        }
        return found
    }

    typealias Send = (RedisCommand) async throws(RedisError) -> RedisValue

    /// Takes a session, or has the present one in the store again.
    func join(by send: Send) async throws(RedisError) {
        try await session.join(commands, by: send)
        // The host before this one had the store to itself.
        if session.isAlone { try await recover(by: send) }
    }

    /// Makes the members due that are in flight at sessions that are over.
    private func recover(by send: Send) async throws(RedisError) {
        while true {
            guard let freed = try await send(commands.recover(most: Self.recovered)).int else {
                throw RedisError(.garbage, "the reply to a recovery is no number")
            }
            if freed < Self.recovered { return }
        }
    }

    /// This host ends: its deliveries that are still in flight are due at once.
    func end(in store: RedisStore) async {
        guard let own = session.current else { return }
        session.lost(own)
        _ = try? await store.send(commands.endSession(own.number, seen: own.token))
        try? await recover { command throws(RedisError) in try await store.send(command) }
    }
}

extension HostSession {
    fileprivate func join(_ commands: GateCommands, by send: Heartbeat.Send) async throws(RedisError) {
        if let own = current {
            let sent = ContinuousClock.now
            if try await Self.number(send(commands.session(own.number, own.token, isAlone: isAlone))) == own.number {
                return confirmed(own, sent: sent)
            }
            lost(own)
        }
        let token = Self.token()
        let sent = ContinuousClock.now
        let number = try await Self.number(send(commands.session(0, token, isAlone: isAlone)))
        guard SessionID.numbers.contains(number) else {
            throw RedisError(.garbage, "\(number) is no number of a session")
        }
        took(SessionID(number: number, token: token), sent: sent)
    }

    private static func number(_ reply: RedisValue) throws(RedisError) -> Int64 {
        guard let number = reply.int else { throw RedisError(.garbage, "the reply about a session is no number") }
        return number
    }

    private static func token() -> String {
        Hex.text((0..<8).map { _ in UInt8.random(in: .min ... .max) })
    }
}
