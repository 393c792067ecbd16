import Logging

/// Says in metrics and in the log what became of the store and of what was answered.
struct StoreWitness: GateWitness {
    let metrics: HostMetrics
    let log: Logger

    func lost(_ what: String) {
        metrics.storeRollback()
        log.error("the store has lost what it knew", metadata: ["reason": "\(what)"])
    }

    func met(_ server: String) {
        metrics.failover()
        log.notice("the store is on another server, or on one that restarted", metadata: ["server": "\(server)"])
    }

    func replayed(_ restored: Int, of count: Int, faults: Int, first: String) {
        metrics.replayed(restored)
        var metadata: Logger.Metadata = ["answered": "\(count)", "restored": "\(restored)"]
        guard faults > 0 else { return log.notice("what was answered lately is in the store", metadata: metadata) }
        metadata["failed"] = "\(faults)"
        metadata["reason"] = "\(first)"
        log.error("some of what was answered lately can't be written again", metadata: metadata)
    }

    func alone(without hosts: [String]) {
        log.warning(
            "other hosts that were alive have not come to the store; what they answered lately may be new to it",
            metadata: ["hosts": "\(hosts.joined(separator: " "))"])
    }

    func replicas(_ connected: Int) { metrics.replicas(connected) }
    func durable(_ met: Bool) { metrics.durability(met: met) }
    func replayMemory(bytes: Int) { metrics.replayMemory(bytes: bytes) }

    func replayRefused(_ signals: Int) { metrics.replayRefused(by: signals) }
}
