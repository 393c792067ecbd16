import Logging
import Redis
import SignalKit

/// The host process from its configuration to its end.
struct Serve: Sendable {
    let configuration: HostConfiguration
    let metrics: HostMetrics
    let log: Logger

    /// Returns after a graceful stop (SIGTERM, SIGINT, SIGQUIT).
    /// - Throws: `StartError` when the host can't or must not serve.
    func run() async throws {
        let files = try OpenFiles(limit: OpenFiles.raise(), for: configuration, loops: StoreParts.loops)
        metrics.prepare(configuration)
        if let warning = files.warning { log.warning("\(warning)", metadata: ["path": "server.limits.connections"]) }
        for warning in configuration.warnings + configuration.fileWarnings {
            log.warning("\(warning.message)", metadata: ["path": "\(warning.path)"])
        }
        try await ProcessSignals.run(try parts(files), log: log)
        log.notice("stopped")
    }

    /// The parts of the host. They start in this order, and stop in reverse.
    private func parts(_ files: OpenFiles) throws -> [HostPart] {
        // An embedded store is shared with no other host.
        let host = if case .embedded = configuration.state.store { "" } else { RequestID.new() }
        let gate = Gate(
            configuration, host: host, session: HostSession(isAlone: host.isEmpty), log: log,
            witness: StoreWitness(metrics: metrics, log: log))
        let scripts = DeliveryScripts(configuration)
        let sources = SourceScripts(configuration)
        let inner = StoreParts(
            configuration, gate: gate, scripts: gate.scripts + scripts.all + sources.all,
            observer: StoreObserver(metrics: metrics),
            patience: configuration.state.timeout * 3 + configuration.state.peerWait, log: log, judge: judge)
        let store = DeliveryStore(store: inner.store, scripts: scripts, gate: gate)
        let delivery = DeliveryService(configuration, store: store, metrics: metrics, log: log)
        gate.dispatches(to: delivery)
        let intake = Intake(
            policies: PolicyChain(policies: configuration.policies), gate: gate, store: inner.store, metrics: metrics,
            log: log, wakeDelivery: delivery.wake, hands: delivery, room: DecodeRoom(configuration.server.limits))
        let gaps = SourceGaps()
        let readiness = StoreReadiness(
            store: inner.store, fixed: configuration.warnings.map { "\($0.path): \($0.message)" }, gaps: gaps)
        let routes = OperatorRoutes(
            configuration: configuration, store: store, intake: intake, readiness: readiness,
            wakeDelivery: delivery.wake)
        let http = try HTTPHost(
            configuration, intake: intake, api: routes, readiness: readiness, metrics: metrics, log: log,
            group: inner.group, files: files)
        // Every request ends by this deadline. The Kubernetes deployment adds up the patience of all parts.
        let deadline = configuration.server.limits.deadline
        return inner.parts + [
            // Its end is the end of the session, behind that of the deliveries.
            HostPart("heartbeat", patience: .seconds(2)) { await gate.keepSession(in: inner.store) },
            // Probes see the host stopping until the deliveries have ended.
            HostPart("operators' listener", patience: .seconds(2), stop: http.stopOperators, work: http.runOperators),
            // A delivery of a sink that hangs is due when the session ends.
            HostPart("delivery", patience: deadline, stop: { delivery.stop() }) { await delivery.run() },
            HostPart("queues without a sink") { if let error = await queuesWithoutOwner(store) { throw error } },
            HostPart("senders' listener", patience: deadline * 2, stop: http.stopSenders, work: http.runSenders),
            HostPart("sources", patience: .seconds(2)) { await fetch(sources, intake, inner.store, gaps) },
            // The first to stop.
            HostPart("readiness", stop: { tellOfStop(http) }) {},
        ]
    }

    private func tellOfStop(_ http: HTTPHost) {
        log.notice("stopping")
        http.drain()
    }

    /// A store that answers, but is not what the configuration asks for, stops the host at its start: it would take no signal.
    /// One that can't be reached may come: until then every answer is a 503.
    @Sendable private func judge(_ reason: RedisError) throws {
        switch reason.code {
        case .rejected, .notDurable, .noPermission, .serverError:
            throw StartError("the store \(configuration.state.store) must not be used: \(reason.message)")
        default:
            log.warning("the store can't be used yet: every answer is a 503", metadata: ["reason": "\(reason)"])
        }
    }

    /// Runs the sources until cancelled.
    private func fetch(
        _ scripts: SourceScripts, _ intake: Intake, _ store: RedisStore, _ gaps: SourceGaps
    ) async {
        await withTaskGroup(of: Void.self) { tasks in
            for source in configuration.sources {
                guard let route = configuration.routes.first(where: { $0.adapter == source.feeds }) else { continue }
                let kept = SourceStore(store: store, scripts: scripts, name: source.name, token: RequestID.new())
                let way = SourceIntake(
                    source, route: route, intake: intake, store: kept, deadline: configuration.server.limits.deadline,
                    metrics: metrics, log: log)
                let runner = SourceRunner(source, store: kept, intake: way, metrics: metrics, gaps: gaps, log: log)
                tasks.addTask { await runner.run() }
            }
        }
    }

    /// Once the store can be asked: a queue that nobody empties is lost deliveries.
    private func queuesWithoutOwner(_ store: DeliveryStore) async -> StartError? {
        while !Task.isCancelled {
            if let orphans = try? await store.orphans(besides: configuration.sinks.map(\.name)) {
                guard let first = orphans.first else { return nil }
                return StartError(
                    "the store holds a queue of \(first.depth) for a sink called \(first.name), which is not configured: "
                        + "configure it, or run `portcullis queues move \(first.name) --to NAME` or `portcullis queues drop \(first.name)`"
                )
            }
            try? await Task.sleep(for: .milliseconds(200))
        }
        return nil
    }
}

private struct StoreReadiness: Readiness {
    let store: RedisStore
    let fixed: [String]
    let gaps: SourceGaps

    var warnings: [String] { fixed + gaps.warnings }

    var storeShut: String? {
        switch store.state {
        case .open: nil
        case .shut(let reason): reason.code.rawValue
        }
    }
}
