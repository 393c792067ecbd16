import Redis

/// Says in the store that this host is alive, and learns which other hosts are: at another server it waits for their replay buffers.
struct Heartbeat: Sendable {
    static let interval = Duration.seconds(2)

    /// Empty: shares its store with nobody.
    let host: String
    let commands: GateCommands
    let memory: StoreMemory

    /// Runs until cancelled.
    func run(in store: RedisStore) async {
        guard !host.isEmpty else { return }
        while (try? await Task.sleep(for: Self.interval)) != nil { await beat(in: store) }
    }

    /// A failed heartbeat needs no word of its own: the store's state says why, and the next one follows.
    func beat(in store: RedisStore) async {
        guard let reply = try? await store.send(commands.heartbeat(host, born: memory.born)) else { return }
        guard let peers = reply.list?.compactMap(\.string) else {
            return store.shut(because: RedisError(.garbage, "the reply to a heartbeat is not a list"))
        }
        memory.note(peers: peers)
    }
}
