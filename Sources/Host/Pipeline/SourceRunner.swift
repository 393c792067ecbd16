import Logging
import NIOConcurrencyHelpers
import Redis
import SignalKit

/// Runs one source on whichever host has its lease.
struct SourceRunner: Sendable {
    /// How often the lease is renewed, or asked for.
    static let renewal = Duration.seconds(2)
    /// of the pause after a run that ended: doubled each time, up to the second
    static let pause = (first: Duration.seconds(1), most: Duration.seconds(30))

    let source: HostConfiguration.SourceEntry
    let store: SourceStore
    let intake: SourceIntake
    let metrics: HostMetrics
    let gaps: SourceGaps
    let log: Logger

    init(
        _ source: HostConfiguration.SourceEntry, store: SourceStore, intake: SourceIntake, metrics: HostMetrics,
        gaps: SourceGaps, log: Logger
    ) {
        (self.source, self.store, self.intake) = (source, store, intake)
        (self.metrics, self.gaps, self.log) = (metrics, gaps, log)
    }

    /// Until cancelled.
    func run() async {
        while !Task.isCancelled {
            if let held = await hold() {
                log.notice("this host runs the source", metadata: ["source": "\(source.name)"])
                await runWhileHeld(since: held)
                log.notice("this host no longer runs the source", metadata: ["source": "\(source.name)"])
            }
            await sleep(Self.renewal)
        }
        // In a task of its own: this one has been cancelled, and its calls with it.
        await Task { [store] in await store.release() }.value
    }

    /// - Returns: when the lease was asked for, if it is ours now.
    private func hold() async -> ContinuousClock.Instant? {
        let asked = ContinuousClock.now
        guard let answer = try? await store.hold(isWatching: intake.isWatching) else {
            tell(nil)
            return nil
        }
        tell(answer.gap)
        return answer.isHeld ? asked : nil
    }

    /// - Parameter gap: as the store knows it; nil when it does not say: then the last one has grown.
    private func tell(_ gap: Duration?) {
        metrics.watchGap(source.name, gaps.note(source.name, gap))
    }

    private func runWhileHeld(since held: ContinuousClock.Instant) async {
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await self.runAgainAndAgain() }
            tasks.addTask { await self.keep(since: held) }
            await tasks.next()
            tasks.cancelAll()
        }
        intake.forgetParts()
    }

    /// Renews the lease until it is lost, or may be: from then on another host may run the source.
    private func keep(since first: ContinuousClock.Instant) async {
        var held = first
        while !Task.isCancelled {
            await sleep(Self.renewal)
            let asked = ContinuousClock.now
            // A second before its end, so that two clocks need not agree to the millisecond.
            switch await answered(by: held + SourceStore.lease - .seconds(1)) {
            case .held: held = asked
            case .lost: return
            case .unknown: if held.duration(to: .now) >= SourceStore.lease - .seconds(1) { return }
            }
        }
    }

    private enum Renewal { case held, lost, unknown }

    /// One renewal, given up when the lease may have ended before its answer.
    private func answered(by end: ContinuousClock.Instant) async -> Renewal {
        await withTaskGroup(of: Renewal?.self) { tasks in
            tasks.addTask {
                do throws(SourceError) {
                    let answer = try await self.store.hold(isWatching: self.intake.isWatching)
                    self.tell(answer.gap)
                    return answer.isHeld ? .held : .lost
                } catch {
                    self.tell(nil)
                    return .unknown
                }
            }
            tasks.addTask {
                try? await Task.sleep(until: end, clock: .continuous)
                return nil
            }
            defer { tasks.cancelAll() }
            for await answer in tasks { return answer ?? .unknown }
            return .unknown
        }
    }

    private func runAgainAndAgain() async {
        var pause = Self.pause.first
        while !Task.isCancelled {
            do {
                try await source.plugin.run(intake)
                pause = Self.pause.first
            } catch {
                guard !Task.isCancelled else { return }
                log.warning(
                    "a source ended, and begins again",
                    metadata: [
                        "source": "\(source.name)", "reason": "\(error)", "again_in_ms": "\(pause.milliseconds)",
                    ])
            }
            await sleep(pause)
            pause = min(pause * 2, Self.pause.most)
        }
    }

    private func sleep(_ duration: Duration) async { try? await Task.sleep(for: duration) }
}

/// For how long nothing has been read of each source.
final class SourceGaps: Sendable {
    /// A gap that `/readyz?verbose` tells: longer than another host takes to go on.
    static let told = Duration.seconds(60)

    private let known = NIOLockedValueBox<[PluginID: (gap: Duration, at: ContinuousClock.Instant)]>([:])

    /// - Parameter gap: as the store knows it; nil when it does not say: then the last one has grown.
    /// - Returns: the gap now.
    func note(_ source: PluginID, _ gap: Duration?) -> Duration {
        let now = ContinuousClock.now
        return known.withLockedValue { known in
            let last = gap.map { ($0, now) } ?? known[source] ?? (.zero, now)
            known[source] = last
            return last.0 + last.1.duration(to: now)
        }
    }

    var warnings: [String] {
        let now = ContinuousClock.now
        return known.withLockedValue { known in
            known.map { (name: $0.key.description, gap: $0.value.gap + $0.value.at.duration(to: now)) }
        }.filter { $0.gap > Self.told }.sorted { $0.name < $1.name }
            .map { "source \($0.name): nothing has been read for \($0.gap.components.seconds) s" }
    }
}

/// A source's way to its adapter and to the store.
final class SourceIntake: SignalIntake {
    private let route: HostConfiguration.Route
    private let intake: any Taking
    private let store: SourceStore
    private let deadline: Duration
    private let metrics: HostMetrics
    private let log: Logger
    private let parts = NIOLockedValueBox<[String: Bool]>([:])

    init(
        _ source: HostConfiguration.SourceEntry, route: HostConfiguration.Route, intake: any Taking,
        store: SourceStore, deadline: Duration, metrics: HostMetrics, log: Logger
    ) {
        (self.route, self.intake, self.store) = (route, intake, store)
        (self.deadline, self.metrics, self.log) = (deadline, metrics, log)
    }

    func take(_ body: [UInt8]) async -> Int {
        let request = InboundRequest(
            body: body, contentType: "application/json", headers: [:], receivedAt: Timestamp.now)
        let id = RequestID.new()
        let answer = await intake.take(
            request, route: route, requestID: id, eventLoop: nil, deadline: .now + deadline)
        if case .refused(.deadLettersFull(let detail, let items)) = answer {
            // Its neighbours are stored. What a source reads is best-effort: one item must not hold up all that follow.
            dropped(items)
            log.error(
                "a source's unreadable items are left out",
                metadata: [
                    "request_id": "\(id)", "source": "\(store.name)", "items": .stringConvertible(items),
                    "reason": "\(detail)",
                ])
            return 200
        }
        let status = StatusTable.status(of: answer)
        log.log(
            level: status < 300 ? .debug : .warning, "source",
            metadata: [
                "request_id": "\(id)", "source": "\(store.name)", "status": .stringConvertible(status),
                "bytes": .stringConvertible(body.count),
            ])
        return status
    }

    func checkpoint(_ part: String) async throws(SourceError) -> String? { try await store.checkpoint(part) }
    func recall(_ keys: [String]) async throws(SourceError) -> [String?] { try await store.recall(keys) }
    func move(
        _ part: String, to checkpoint: String?, remembering: [(key: String, value: String)]
    ) async throws(SourceError) {
        try await store.move(part, to: checkpoint, remembering: remembering)
    }

    func dropped(_ count: Int) { metrics.sourceDropped(store.name, by: count) }
    func watching(_ part: String, _ isWatching: Bool) { parts.withLockedValue { $0[part] = isWatching } }
    func forgetParts() { parts.withLockedValue { $0.removeAll() } }

    /// Whether all that the source reads is being watched.
    var isWatching: Bool { parts.withLockedValue { !$0.isEmpty && $0.values.allSatisfy { $0 } } }
}
