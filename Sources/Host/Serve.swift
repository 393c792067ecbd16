import Logging
import Redis
import SignalKit

/// The host process from its configuration to its last breath.
struct Serve: Sendable {
    let configuration: HostConfiguration
    let metrics: HostMetrics
    let log: Logger

    /// Returns after a graceful stop (SIGTERM, SIGINT, SIGQUIT).
    /// - Throws: `StartError` when the host can't or must not serve.
    func run() async throws { try await StopSignals.heard(log) { try await self.run(until: $0) } }

    private func run(until stop: StopSignals) async throws {
        let files = try OpenFiles(limit: OpenFiles.raise(), for: configuration, loops: StoreSession.loops)
        metrics.prepare(configuration)
        if let warning = files.warning { log.warning("\(warning)", metadata: ["path": "server.limits.connections"]) }
        for warning in configuration.warnings {
            log.warning("\(warning.message)", metadata: ["path": "\(warning.path)"])
        }
        // Of an embedded store no other host takes part.
        let host = if case .embedded = configuration.state.store { "" } else { RequestID.new() }
        let gate = Gate(
            configuration, host: host, session: HostSession(isAlone: host.isEmpty), log: log, witness: StoreWitness(metrics: metrics, log: log))
        let scripts = DeliveryScripts(configuration)
        let sources = SourceScripts(configuration)
        try await StoreSession.with(
            configuration, gate: gate, scripts: gate.scripts + scripts.all + sources.all,
            observer: StoreObserver(metrics: metrics),
            log: log
        ) { session in
            try await self.serve(
                session, gate, DeliveryStore(store: session.store, scripts: scripts, gate: gate), sources, files, stop)
        }
    }

    private func serve(
        _ session: StoreSession, _ gate: Gate, _ deliveryStore: DeliveryStore, _ sources: SourceScripts,
        _ files: OpenFiles, _ stop: StopSignals
    ) async throws {
        try await refuseWhatMustNotBeUsed(session)
        // A signal came meanwhile: nothing has been taken.
        try Task.checkCancellation()
        let delivery = DeliveryService(configuration, store: deliveryStore, metrics: metrics, log: log)
        gate.dispatches(to: delivery)
        let intake = Intake(
            policies: PolicyChain(policies: configuration.policies), gate: gate, store: session.store, metrics: metrics,
            log: log, wakeDelivery: delivery.wake, hands: delivery,
            room: DecodeRoom(configuration.server.limits))
        let gaps = SourceGaps()
        let readiness = StoreReadiness(
            store: session.store,
            fixed: configuration.warnings.map { "\($0.path): \($0.message)" }, gaps: gaps)
        let routes = OperatorRoutes(
            configuration: configuration, store: deliveryStore, intake: intake, readiness: readiness,
            wakeDelivery: delivery.wake)
        let http = try HTTPHost(
            configuration, intake: intake, api: routes, readiness: readiness, metrics: metrics, log: log,
            group: session.group, files: files)

        let deliveries = Task { await delivery.run() }
        let beating = Task { await gate.keepSession(in: session.store) }
        let fetching = Task { await fetch(sources, intake, session.store, gaps) }
        let failure = await firstEnd(of: http, deliveryStore, stop)
        // Every request ends by its deadline; a sender that does not read its answer must not keep the host.
        let deadline = configuration.server.limits.deadline
        fetching.cancel()
        await bounded(by: deadline * 2) { await http.stop() }
        await bounded(by: .seconds(2)) { await fetching.value }
        delivery.stop()
        // Nor must a sink that hangs: its deliveries are due when the session ends.
        await bounded(by: deadline) { await deliveries.value }
        await bounded(by: .seconds(2)) { await http.stopAdmin() }
        beating.cancel()
        await bounded(by: .seconds(2)) { await beating.value }
        if let failure { throw failure }
        log.notice("stopped")
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

    /// Whoever ends first ends the rest: a signal gracefully, a failure with its error.
    private func firstEnd(
        of http: HTTPHost, _ store: DeliveryStore, _ stop: StopSignals
    ) async -> (any Error)? {
        let ends = AsyncStream<(any Error)?>.makeStream()
        let listening = Task {
            do {
                try await http.run()
                ends.continuation.yield(nil)
            } catch {
                ends.continuation.yield(error)
            }
        }
        stop.hear { ends.continuation.yield(nil) }
        let owning = Task {
            if let error = await queuesWithoutOwner(store) { ends.continuation.yield(error) }
        }
        defer {
            owning.cancel()
            _ = listening
        }
        for await end in ends.stream { return end }
        return nil
    }

    /// A store that answers, but is not what the configuration asks for, stops the host at its start: nothing would ever be
    /// taken. One that can't be reached may come: until then every answer is a 503.
    private func refuseWhatMustNotBeUsed(_ session: StoreSession) async throws {
        guard
            let reason = await session.firstWord(within: configuration.state.timeout * 3 + configuration.state.peerWait)
        else { return }
        switch reason.code {
        case .rejected, .notDurable, .noPermission, .serverError:
            throw StartError("the store \(configuration.state.store) must not be used: \(reason.message)")
        default:
            log.warning("the store can't be used yet: every answer is a 503", metadata: ["reason": "\(reason)"])
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

    private func bounded(by bound: Duration, _ body: @escaping @Sendable () async -> Void) async {
        let ended = AsyncStream<Void>.makeStream()
        let work = Task {
            await body()
            ended.continuation.finish()
        }
        let timer = Task {
            try? await Task.sleep(for: bound)
            ended.continuation.finish()
        }
        for await _ in ended.stream {}
        work.cancel()
        timer.cancel()
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
