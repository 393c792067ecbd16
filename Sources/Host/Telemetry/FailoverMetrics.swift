/// What the host measures of a store that may fail over.
extension HostMetrics {
    /// Part of `prepare`.
    func prepareFailover(_ store: HostConfiguration.Store) {
        replicas(0)
        durability(met: false)
        failover(by: 0)
        replayed(0)
        replayMemory(bytes: 0)
        replayRefused(by: 0)
        // Without Sentinels there are none to be too few.
        if case .sentinel(let sentinel, _, _) = store { sentinels(answering: 0, of: sentinel.nodes.count) }
    }

    /// - Parameter connected: replicas in step with the master, as the store says.
    func replicas(_ connected: Int) {
        registry.gauge("portcullis_store_replicas", "Replicas that are connected to the master, as the store says.")
            .set(Double(connected))
    }

    /// - Parameters:
    ///   - answering: those that answered when they were last asked.
    ///   - known: those that the configuration lists.
    func sentinels(answering: Int, of known: Int) {
        registry.gauge("portcullis_sentinels_answering", "Sentinels that answered when they were last asked.")
            .set(Double(answering))
        registry.gauge("portcullis_sentinels_configured", "Sentinels that the configuration lists.")
            .set(Double(known))
    }

    /// The host met another master than before.
    func failover(by count: Int = 1) {
        registry.counter("portcullis_store_failovers_total", "Times that the host met another master than before.")
            .increment(by: Int64(count))
    }

    func durability(met: Bool) {
        registry.gauge("portcullis_store_durable", "1 while the store meets the durability that persist asks for.")
            .set(met ? 1.0 : 0.0)
    }

    /// - Parameter count: answered signals that were written again after a failover.
    func replayed(_ count: Int) {
        registry.counter("portcullis_replayed_total", "Answered signals that were written again after a failover.")
            .increment(by: Int64(count))
    }

    /// - Parameter bytes: of all that is kept until every replica has it.
    func replayMemory(bytes: Int) {
        registry.gauge("portcullis_replay_memory_bytes", "Memory of what is kept to be written again after a failover.")
            .set(Double(bytes))
    }

    /// A signal was refused because the memory for a replay was full.
    func replayRefused(by count: Int = 1) {
        registry.counter(
            "portcullis_replay_refused_total", "Signals refused because the memory for a replay was full."
        ).increment(by: Int64(count))
    }
}
