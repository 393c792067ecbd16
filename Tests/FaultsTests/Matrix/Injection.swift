import Glibc
import TestSupport

/// One fault at its step: struck while the step is held, kept up until it has bitten and its time is over, and ended.
struct Injection: Sendable {
    let rig: MatrixRig
    let ledger: Ledger
    /// What the seed says of this fault.
    let lasting: Duration
    let toxic: FaultProxy.Toxic
    /// The command that a user is forbidden.
    let command: String
    /// Where each host has a link of its own: whether the fault is on all of them.
    let onAllLinks: Bool
    /// Acknowledgements between the copy of the file and the fault.
    let ahead: Int

    init(_ rig: MatrixRig, _ ledger: Ledger, _ random: inout SeededRandom) {
        (self.rig, self.ledger) = (rig, ledger)
        let short = Duration.milliseconds(Int.random(in: 200...1_500, using: &random))
        lasting = short + (rig.cell.fault.endsSessions ? .seconds(14) : .zero)
        let late = Duration.milliseconds(Int.random(in: 20...400, using: &random))
        let cut = Int.random(in: 0...40, using: &random)
        let rate = Int.random(in: 2_000...20_000, using: &random)
        let word = rig.cell.fault.rawValue.drop { $0 != "-" }.dropFirst()
        toxic =
            switch word {
            case "latency": .latency(late)
            case "jitter": .jitter(late)
            case "reset": .reset
            case "cut": .cut(after: cut)
            case "slow-close": .slowClose(short)
            case "bandwidth": .bandwidth(rate)
            default: .timeout
            }
        command = ["evalsha", "zadd", "set", "get", "hset"].randomElement(using: &random) ?? "evalsha"
        ahead = Int.random(in: 3...8, using: &random)
        onAllLinks = Bool.random(using: &random)
    }

    /// - Throws: when the step was not reached, or the fault did not bite: the cell was not exercised.
    func run() async throws {
        let fault = rig.cell.fault
        let copy = try TemporaryDirectory()
        let master = try await rig.store.master()
        if fault == .olderFile { try await keepFile(of: rig.store.servers[master], in: copy.path) }
        if [.olderFile, .flushAll, .failoverByHand, .masterStop].contains(fault) {
            let before = ledger.totals.acknowledged
            try await eventually("\(ahead) acknowledgements before the fault", within: .seconds(30)) {
                ledger.totals.acknowledged >= before + ahead
            }
        }
        let refused = await rig.store.refusals(master, errorWord)
        let ambush = try await Ambush(rig)
        defer { ambush.release() }
        let host = try await ambush.sprung(within: .seconds(30))
        let bites = bitten(master)
        try await strike(host, master, copy.path)
        ambush.release()
        do {
            try await awaitBite(master, refused: refused, bites: bites)
            try await Task.sleep(for: lasting)
        } catch {
            try? await end(rig.hosts[host], master)
            throw error
        }
        try await end(rig.hosts[host], master)
    }

    private func strike(_ place: Int, _ master: Int, _ copy: String) async throws {
        let (server, host) = (rig.store.servers[master], rig.hosts[place])
        switch rig.cell.fault {
        case .hostKill: host.kill()
        case .hostStop, .hostFreeze: host.signal(SIGSTOP)
        case .masterKill, .failoverKill: server.kill()
        case .masterStop: server.freeze()
        case .failoverByHand: try await rig.store.failOver()
        case .flushAll: _ = try await rig.store.command(master, "FLUSHALL")
        case .allLost:
            rig.sink.proxy?.add(.timeout)
            try await eventually("an end that was acknowledged and not delivered") {
                let shown = Set(try await rig.shown().filter(\.isResolved).map(\.firing))
                return ledger.entries.contains { $1.isEndAcknowledged && !shown.contains($0) }
            }
            host.kill()
            _ = try await rig.store.command(master, "FLUSHALL")
            rig.sink.proxy?.heal()
        case .olderFile:
            server.kill()
            Files.remove(server.directory.file("appendonlydir"))
            try await ChildProcess.run("cp", ["-a", copy + "/appendonlydir", server.directory.path])
            try await server.start()
        case .outOfMemory: _ = try await rig.store.command(master, "CONFIG", "SET", "maxmemory", "1")
        case .readOnly: _ = try await rig.store.command(master, "REPLICAOF", "127.0.0.1", "1")
        case .permission: _ = try await rig.store.command(master, "ACL", "SETUSER", "default", "-" + command)
        default:
            let (fault, own) = (rig.cell.fault, rig.store.kind == .plain && !onAllLinks)
            let links = own ? [rig.store.proxies[place]] : rig.store.hostLinks
            for proxy in fault.isOnLink ? links : [rig.store.proxies[master]] {
                proxy.add(toxic, direction, peer: fault.isOnLink ? "host" : "replica")
            }
        }
    }

    /// A cut is in the direction of what is held, so that it is what is lost.
    private var direction: FaultProxy.Direction? {
        guard case .cut = toxic else { return nil }
        return [.gateReply, .claim].contains(rig.cell.step) ? .toClient : .toServer
    }

    private func end(_ host: HostProcess, _ master: Int) async throws {
        let server = rig.store.servers[master]
        switch rig.cell.fault {
        case .hostKill, .allLost: try await host.start(["PORTCULLIS_FAILPOINT": ""])
        case .hostStop, .hostFreeze: host.signal(SIGCONT)
        case .masterKill, .failoverKill: try await server.start()
        case .masterStop: server.thaw()
        case .failoverByHand, .flushAll, .olderFile: break
        case .outOfMemory: _ = try await rig.store.command(master, "CONFIG", "SET", "maxmemory", "0")
        case .readOnly: _ = try await rig.store.command(master, "REPLICAOF", "NO", "ONE")
        case .permission: _ = try await rig.store.command(master, "ACL", "SETUSER", "default", "+" + command)
        default: for proxy in rig.store.hostLinks { proxy.heal() }
        }
    }

    // MARK: Whether it bit

    private var errorWord: String {
        switch rig.cell.fault {
        case .outOfMemory: "OOM"
        case .readOnly: "READONLY"
        default: "NOPERM"
        }
    }

    private func bitten(_ master: Int) -> Int {
        rig.store.hostLinks.reduce(0) { $0 + ($1.counts.bites[toxic.name] ?? 0) }
    }

    private func awaitBite(_ master: Int, refused: Int, bites: Int) async throws {
        let fault = rig.cell.fault
        if fault.isOnLink || fault.isOnReplication {
            try await eventually("a bite of \(toxic)", every: .milliseconds(50)) {
                // Somebody has to close something.
                if case .slowClose = toxic {
                    let type = fault.isOnLink ? "normal" : "replica"
                    _ = try await rig.store.command(master, "CLIENT", "KILL", "TYPE", type)
                }
                return bitten(master) > bites
            }
        } else if [.outOfMemory, .readOnly, .permission].contains(fault) {
            try await eventually("a refusal by \(errorWord)", every: .milliseconds(50)) {
                await rig.store.refusals(master, errorWord) > refused
            }
        } else if rig.store.kind == .sentinel, fault == .masterStop {
            try await pauseUntilReplaced(master)
        } else if [.failoverKill, .failoverByHand].contains(fault) {
            try await eventually("another master", within: .seconds(30), every: .milliseconds(100)) {
                try await rig.store.master() != master
            }
        }
    }

    /// The master comes back while it is being replaced, and does not know of that.
    private func pauseUntilReplaced(_ master: Int) async throws {
        try await eventually("a Sentinel that begins a failover", within: .seconds(30)) {
            await rig.store.isFailingOver()
        }
        try await Task.sleep(for: lasting / 5)
        rig.store.servers[master].thaw()
        try await eventually("another master", within: .seconds(30), every: .milliseconds(100)) {
            try await rig.store.master() != master
        }
    }

    /// A copy of what the server has by now: an fsync has been behind every answer.
    private func keepFile(of server: RedisServer, in directory: String) async throws {
        try await ChildProcess.run("cp", ["-a", server.directory.file("appendonlydir"), directory])
    }
}
