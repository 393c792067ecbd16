import NIOConcurrencyHelpers
import Redis
import SignalKit

/// What the host measures. Names and labels are listed in docs/operations.md.
final class HostMetrics: Sendable {
    let registry: PrometheusRegistry

    private struct VerdictKey: Hashable {
        let verdict: Verdict
        let adapter: PluginID
        let policy: PluginID?
    }
    private struct ResponseKey: Hashable {
        let route: String
        let status: Int
    }
    private struct Cache: Sendable {
        var verdicts: [VerdictKey: PrometheusCounter] = [:]
        var responses: [ResponseKey: PrometheusCounter] = [:]
        var durations: [String: PrometheusHistogram] = [:]
        var received: [PluginID: PrometheusCounter] = [:]
        /// Names of queues and origins that have been told of.
        var queues: Set<String> = []
        var origins: Set<String> = []
    }
    private let cache = NIOLockedValueBox(Cache())
    private let gateDuration: PrometheusHistogram
    private let up: PrometheusGauge
    private let requestsInFlight, bytesInFlight, stormsOpen: PrometheusGauge

    init(_ registry: PrometheusRegistry = PrometheusRegistry()) {
        self.registry = registry
        gateDuration = registry.histogram("portcullis_gate_duration_seconds", "Time of one request at the gate.")
        up = registry.gauge("portcullis_store_up", "1 while the store is verified and in use.")
        requestsInFlight = registry.gauge(
            "portcullis_requests_in_flight", "Requests being read or decided, and answers that wait for their reader.")
        bytesInFlight = registry.gauge("portcullis_bytes_in_flight", "Bytes of bodies and of unread answers in memory.")
        stormsOpen = registry.gauge("portcullis_storms_open", "Storms that still grow.")
    }

    /// Series that should be there, at 0, before anything has happened: a rate over a series that begins at 1 misses its first.
    func prepare(_ configuration: HostConfiguration) {
        for route in configuration.routes {
            received(route.adapter, 0)
            truncated(route.adapter, 0)
            deadLetters("adapter/\(route.adapter)", 0)
            for status in [200, 201, 202, 400, 503] { response(status: status, route: route.path, by: 0) }
        }
        storeRollback(by: 0)
        prepareFailover(configuration.state.store)
        for code in RedisError.Code.allCases { storeError(code, by: 0) }
        for sink in configuration.sinks {
            for result in ["delivered", "retried", "dead-lettered", "lost", "late"] {
                delivery(sink: sink.name, result: result, by: 0)
            }
            skipped(sink: sink.name, by: 0)
            queue(sink: sink.name.description, depth: 0, oldest: .zero)
            deadLetters("sink/\(sink.name)", 0)
        }
        for source in configuration.sources {
            watchGap(source.name, .zero)
            sourceDropped(source.name, by: 0)
        }
        for listener in ["senders", "operators"] {
            connectionRefused(listener: listener, by: 0)
            for reason in ConnectionEnd.allCases { connectionEnded(listener: listener, reason, by: 0) }
        }
        for reason in ["expired", "forgotten"] { ended(reason, 0) }
        missedFiring(0)
        logLinesDropped(0)
    }

    /// Lines that the log's reader did not take in time, or could not.
    func logLinesDropped(_ count: Int) {
        registry.counter("portcullis_log_lines_dropped_total", "Lines of the log that could not be written.")
            .increment(by: Int64(count))
    }

    // MARK: Intake

    func received(_ adapter: PluginID, _ count: Int) {
        let counter = cache.withLockedValue { cache in
            if let found = cache.received[adapter] { return found }
            let made = registry.counter(
                "portcullis_received_total", "Items received, readable or not.", [("adapter", adapter.description)])
            cache.received[adapter] = made
            return made
        }
        counter.increment(by: Int64(count))
    }

    func truncated(_ adapter: PluginID, _ count: Int) {
        registry.counter(
            "portcullis_truncated_alerts_total", "Alerts that a sender says it left out.",
            [("adapter", adapter.description)]
        ).increment(by: Int64(count))
    }

    func verdict(_ verdict: Verdict, adapter: PluginID, policy: PluginID?, by count: Int = 1) {
        let key = VerdictKey(verdict: verdict, adapter: adapter, policy: policy)
        let counter = cache.withLockedValue { cache in
            if let found = cache.verdicts[key] { return found }
            let made = registry.counter(
                "portcullis_verdicts_total", "Signals by what became of them and the policy that said so.",
                [
                    ("adapter", adapter.description), ("policy", policy?.description ?? ""),
                    ("verdict", verdict.rawValue),
                ])
            cache.verdicts[key] = made
            return made
        }
        counter.increment(by: Int64(count))
    }

    func gate(_ duration: Duration) { gateDuration.observe(duration) }

    // MARK: HTTP

    /// - Parameter route: a configured path, or `other`.
    func response(status: Int, route: String, by count: Int = 1) {
        let counter = cache.withLockedValue { cache in
            let key = ResponseKey(route: route, status: status)
            if let found = cache.responses[key] { return found }
            let made = registry.counter(
                "portcullis_responses_total", "Answers to senders.", [("route", route), ("status", String(status))])
            cache.responses[key] = made
            return made
        }
        counter.increment(by: Int64(count))
    }

    func request(route: String, _ duration: Duration) {
        let histogram = cache.withLockedValue { cache in
            if let found = cache.durations[route] { return found }
            let made = registry.histogram(
                "portcullis_request_duration_seconds", "Time from a request's header to its answer.", [("route", route)]
            )
            cache.durations[route] = made
            return made
        }
        histogram.observe(duration)
    }

    /// Changes, so that it does not matter in which order two threads tell theirs.
    func inFlight(requests: Int, bytes: Int) {
        if requests != 0 { requestsInFlight.increment(by: Double(requests)) }
        if bytes != 0 { bytesInFlight.increment(by: Double(bytes)) }
    }

    /// - Parameter listener: senders or operators.
    func connectionRefused(listener: String, by count: Int = 1) {
        registry.counter(
            "portcullis_connections_refused_total", "Connections closed at once, past the bound.",
            [("listener", listener)]
        ).increment(by: Int64(count))
    }

    func connectionEnded(listener: String, _ reason: ConnectionEnd, by count: Int = 1) {
        registry.counter(
            "portcullis_connections_cut_total", "Connections that the host closed before their time.",
            [("listener", listener), ("reason", reason.rawValue)]
        ).increment(by: Int64(count))
    }

    // MARK: Store

    func store(up isUp: Bool) { up.set(isUp ? 1.0 : 0.0) }

    func storeError(_ code: RedisError.Code, by count: Int = 1) {
        registry.counter(
            "portcullis_store_errors_total", "Errors of the state store.", [("code", code.rawValue)]
        ).increment(by: Int64(count))
    }

    func storeRollback(by count: Int64 = 1) {
        registry.counter(
            "portcullis_store_rollback_total", "Times that the store was found emptied, or older than before."
        ).increment(by: count)
    }

    // MARK: Delivery

    /// - Parameter result: delivered, retried, dead-lettered, lost (the claim had ended before the sink failed), late (it had
    ///   ended before the sink was done).
    func delivery(sink: PluginID, result: String, by count: Int = 1) {
        registry.counter(
            "portcullis_deliveries_total", "Deliveries handed to sinks.",
            [("sink", sink.description), ("result", result)]
        ).increment(by: Int64(count))
    }

    func skipped(sink: PluginID, by count: Int64) {
        registry.counter(
            "portcullis_skipped_episodes_total",
            "Episodes that a sink was never told of, because later ones of the same problem followed while it was away.",
            [("sink", sink.description)]
        ).increment(by: count)
    }

    func queue(sink: String, depth: Int, oldest: Duration) {
        cache.withLockedValue { _ = $0.queues.insert(sink) }
        registry.gauge("portcullis_queue_depth", "Episodes and storms that a sink is behind.", [("sink", sink)])
            .set(Double(depth))
        registry.gauge(
            "portcullis_queue_oldest_age_seconds", "How long the oldest of them has been waiting, by a sample.",
            [("sink", sink)]
        ).set(Double(oldest.milliseconds) / 1_000)
    }

    /// - Parameter origin: adapter/ID or sink/NAME.
    private func deadLetters(_ origin: String, _ count: Int, bytes: Int = 0) {
        cache.withLockedValue { _ = $0.origins.insert(origin) }
        registry.gauge("portcullis_dead_letters", "Dead letters kept.", [("origin", origin)]).set(Double(count))
        registry.gauge("portcullis_dead_letter_bytes", "Bytes of the dead letters kept.", [("origin", origin)])
            .set(Double(bytes))
    }

    /// Counted in the store, over all hosts; the store may be emptied, so these may fall.
    private func missedFiring(_ total: Int) {
        registry.counter("portcullis_missed_firing_total", "Ends of problems whose firing was never seen.").set(
            Int64(total))
    }

    private func ended(_ reason: String, _ total: Int) {
        registry.counter(
            "portcullis_ended_total", "Episodes that ended without word of their sender.", [("reason", reason)]
        ).set(Int64(total))
    }

    func watchGap(_ source: PluginID, _ gap: Duration) {
        registry.gauge(
            "portcullis_watch_gap_seconds", "For how long no host has been watching what a source reads.",
            [("source", source.description)]
        ).set(Double(gap.milliseconds) / 1_000)
    }

    func sourceDropped(_ source: PluginID, by count: Int) {
        registry.counter(
            "portcullis_source_dropped_total", "Unreadable items of a source that are left out, not kept.",
            [("source", source.description)]
        ).increment(by: Int64(count))
    }

    func sampled(_ stats: DeliveryStore.Stats) {
        // A store that was emptied says nothing of what it held; its last word must not stand for ever.
        let known = cache.withLockedValue { ($0.queues, $0.origins) }
        for name in known.0.subtracting(stats.queues.map(\.name)) { queue(sink: name, depth: 0, oldest: .zero) }
        for name in known.1.subtracting(stats.dead.map(\.origin)) { deadLetters(name, 0) }
        for queue in stats.queues { self.queue(sink: queue.name, depth: queue.depth, oldest: queue.oldest) }
        for origin in stats.dead { deadLetters(origin.origin, origin.count, bytes: origin.bytes) }
        stormsOpen.set(Double(stats.stormsOpen))
        missedFiring(stats.counters["missed_firing"] ?? 0)
        for reason in ["expired", "forgotten"] { ended(reason, stats.counters[reason] ?? 0) }
    }
}

/// Hears of the store's state for the metrics.
struct StoreObserver: RedisObserver {
    let metrics: HostMetrics
    func storeOpened() { metrics.store(up: true) }
    func storeShut(_ reason: RedisError) { metrics.store(up: false) }
    func storeFailed(_ code: RedisError.Code) { metrics.storeError(code) }
}
