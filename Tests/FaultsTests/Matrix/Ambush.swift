import TestSupport

/// Waits for a step, holds it, and lets it go on.
struct Ambush: Sendable {
    private enum Kind: Sendable {
        /// With the place of the host whose link it is, where that is known.
        case traps([(trap: FaultProxy.Trap, host: Int?)])
        /// Lines in files are not held: who waits for them is a little late.
        case lines(Int)
        /// The first host dies of itself.
        case failPoint
    }
    private let kind: Kind
    private let rig: MatrixRig

    /// Where the first host has to die by itself, because nobody outside can see the instant.
    static func failPoint(_ cell: Cell) -> String? {
        guard cell.fault == .hostKill else { return nil }
        switch (cell.step, cell.sink) {
        case (.claim, _): return "claimed"
        case (.sinkWrite, .jsonl): return "sink-written"
        case (.sinkWrite, .kubernetes): return "object-created"
        case (.acknowledge, .jsonl): return "sink-synced"
        default: return nil
        }
    }

    /// Lies in wait from now on.
    init(_ rig: MatrixRig) async throws {
        self.rig = rig
        if Self.failPoint(rig.cell) != nil {
            kind = .failPoint
            return
        }
        let store = rig.store
        // Which host's link a server's proxy has is not known behind Sentinels, where all share it.
        func arm(_ moment: FaultProxy.Moment, peer: String? = "host") -> Kind {
            .traps(
                store.proxies.enumerated().map {
                    ($1.arm(moment, peer: peer), store.kind == .plain ? $0 : nil)
                })
        }
        let sinkName = "$\(rig.sink.name.utf8.count)\r\n\(rig.sink.name)\r\n"
        switch rig.cell.step {
        case .resolve:
            kind = .traps(store.sentinelProxies.map { ($0.arm(.request("get-master-addr-by-name")), nil) })
        case .connect:
            kind = arm(.accepted, peer: nil)
        case .auth: kind = arm(.request("$4\r\nAUTH\r\n"))
        case .scriptLoad: kind = arm(.request("$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n"))
        // The document has the name, and only a gate call carries it to the store.
        case .gateSent: kind = arm(.request(rig.prefix))
        case .gateReply: kind = arm(.firstReply(rig.prefix))
        case .wait: kind = arm(.request("$4\r\nWAIT\r\n"))
        // The answer to a claim is what carries it back.
        case .claim: kind = arm(.reply(rig.prefix))
        case .sinkWrite:
            if let proxy = rig.sink.proxy {
                kind = .traps([(proxy.arm(.request(rig.prefix)), nil)])
            } else {
                kind = .lines(rig.hosts.reduce(0) { $0 + $1.delivered.count })
            }
        // The sink's name, and then a fingerprint of 32 bytes.
        case .acknowledge: kind = arm(.request(sinkName + "$32\r\n"))
        }
        if [.connect, .auth, .scriptLoad].contains(rig.cell.step) {
            for proxy in store.proxies { proxy.resetConnections(peer: "host") }
        }
    }

    /// - Returns: the host that the step is one of, as far as that is known.
    func sprung(within bound: Duration) async throws -> Int {
        try await eventually(find: "the step \(rig.cell.step)", within: bound, every: .milliseconds(2)) {
            switch kind {
            case .traps(let traps): traps.first { $0.trap.isSprung }.map { $0.host ?? 0 }
            case .lines(let before): rig.hosts.reduce(0) { $0 + $1.delivered.count } > before ? 0 : nil
            case .failPoint: rig.hosts[0].isRunning ? nil : 0
            }
        }
    }

    func release() {
        if case .traps(let traps) = kind {
            for one in traps { one.trap.release() }
        }
    }
}
