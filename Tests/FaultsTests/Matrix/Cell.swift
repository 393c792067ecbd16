/// One run of the matrix: which instant is hit by what, and how much is going on meanwhile. The seed decides the rest.
struct Cell: Hashable, Sendable, CustomStringConvertible {
    /// Where in the life of a signal.
    enum Step: String, CaseIterable, Sendable {
        /// The host asks a Sentinel where the master is.
        case resolve
        /// It connects, logs in, and loads its scripts.
        case connect, auth
        case scriptLoad = "script-load"
        /// The gate's call is on its way: Redis has nothing of it.
        case gateSent = "gate-sent"
        /// The gate has decided and written: the host knows nothing of it.
        case gateReply = "gate-reply"
        /// It is about to ask whether the replicas have it.
        case wait
        /// A delivery is a host's, and the sink has nothing of it.
        case claim
        case sinkWrite = "sink-write"
        /// The sink has it, and the store does not know that.
        case acknowledge
    }

    enum Fault: String, CaseIterable, Sendable {
        case hostKill = "host-kill"
        case hostStop = "host-stop"
        /// For longer than its session lasts: another host ends it.
        case hostFreeze = "host-freeze"
        case masterKill = "master-kill"
        /// With Sentinels, a failover of a master that is paused and does not know of it.
        case masterStop = "master-stop"
        case linkLatency = "link-latency"
        case linkJitter = "link-jitter"
        case linkTimeout = "link-timeout"
        case linkReset = "link-reset"
        case linkCut = "link-cut"
        /// For longer than a session lasts without a heartbeat.
        case linkSilence = "link-silence"
        case linkSlowClose = "link-slow-close"
        case linkBandwidth = "link-bandwidth"
        case replicationLatency = "replication-latency"
        case replicationJitter = "replication-jitter"
        case replicationTimeout = "replication-timeout"
        case replicationReset = "replication-reset"
        case replicationCut = "replication-cut"
        case replicationSlowClose = "replication-slow-close"
        case replicationBandwidth = "replication-bandwidth"
        case failoverKill = "failover-kill"
        case failoverByHand = "failover-by-hand"
        case flushAll = "flushall"
        case olderFile = "older-file"
        case outOfMemory = "out-of-memory"
        case readOnly = "read-only"
        case permission = "permission"
        /// The store is emptied and the host that acknowledged dies with it: the one loss that is expected.
        case allLost = "all-lost"

        /// It takes longer than a host session lasts without a heartbeat.
        var endsSessions: Bool { [.hostFreeze, .linkSilence].contains(self) }

        var isOnLink: Bool { rawValue.hasPrefix("link-") }
        var isOnReplication: Bool { rawValue.hasPrefix("replication-") }
    }

    enum Store: String, CaseIterable, Sendable {
        /// One Redis, `durability: fsync`.
        case plain
        /// Three of them and three Sentinels, `durability: {replicas: 1}`.
        case sentinel
    }

    enum SinkKind: String, CaseIterable, Sendable {
        case jsonl
        /// The arbiter.
        case kubernetes
    }

    var step: Step
    var fault: Fault
    /// At once, each with the same notifications.
    var senders: Int
    var hosts: Int
    var store: Store
    var sink: SinkKind

    /// `gate-reply/host-kill/3x2/plain/jsonl`: three senders, two hosts.
    var description: String {
        "\(step.rawValue)/\(fault.rawValue)/\(senders)x\(hosts)/\(store.rawValue)/\(sink.rawValue)"
    }

    /// Nil when the text describes none.
    init?(_ text: String) {
        let parts = text.split(separator: "/").map(String.init)
        guard parts.count == 5, let step = Step(rawValue: parts[0]), let fault = Fault(rawValue: parts[1]),
            let store = Store(rawValue: parts[3]), let sink = SinkKind(rawValue: parts[4])
        else { return nil }
        let numbers = parts[2].split(separator: "x").compactMap { Int($0) }
        guard numbers.count == 2, numbers.allSatisfy({ $0 > 0 }) else { return nil }
        self.init(step, fault, senders: numbers[0], hosts: numbers[1], store, sink)
    }

    init(_ step: Step, _ fault: Fault, senders: Int, hosts: Int, _ store: Store, _ sink: SinkKind) {
        (self.step, self.fault, self.senders, self.hosts) = (step, fault, senders, hosts)
        (self.store, self.sink) = (store, sink)
    }
}
