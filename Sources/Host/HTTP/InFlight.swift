import NIOConcurrencyHelpers

/// Requests and bytes that this host holds at once, bounded. Past a bound the answer is a 503 before reading on.
final class InFlight: Sendable {
    private struct State {
        var requests = 0
        var bytes = 0
        var waiting: [CheckedContinuation<Void, Never>] = []

        /// Those who waited for this; none while there is a request.
        mutating func takeWaiting() -> [CheckedContinuation<Void, Never>] {
            guard requests == 0 else { return [] }
            defer { waiting = [] }
            return waiting
        }
    }
    private let state = NIOLockedValueBox(State())
    private let requests: Int
    private let bytes: Int

    private let metrics: HostMetrics

    init(_ limits: HostConfiguration.Limits, _ metrics: HostMetrics) {
        (requests, bytes) = (limits.inFlight, limits.inFlightBytes)
        self.metrics = metrics
    }

    /// One request's share; it must be given back with `end`.
    struct Ticket: Sendable {
        fileprivate(set) var bytes = 0
    }

    func begin() -> Ticket? {
        let ticket: Ticket? = state.withLockedValue { state in
            guard state.requests < requests else { return nil }
            state.requests += 1
            return Ticket()
        }
        if ticket != nil { metrics.inFlight(requests: 1, bytes: 0) }
        return ticket
    }

    /// - Returns: false when there is no room; then nothing was added.
    func grow(_ ticket: inout Ticket, by count: Int) -> Bool {
        let fits = state.withLockedValue { state in
            guard state.bytes + count <= bytes else { return false }
            state.bytes += count
            return true
        }
        guard fits else { return false }
        ticket.bytes += count
        metrics.inFlight(requests: 0, bytes: count)
        return true
    }

    func end(_ ticket: Ticket) {
        let waiting = state.withLockedValue { state in
            state.requests -= 1
            state.bytes -= ticket.bytes
            return state.takeWaiting()
        }
        metrics.inFlight(requests: -1, bytes: -ticket.bytes)
        for continuation in waiting { continuation.resume() }
    }

    /// Returns when no request is held.
    func ended() async {
        await withCheckedContinuation { continuation in
            let waiting = state.withLockedValue { state in
                state.waiting.append(continuation)
                return state.takeWaiting()
            }
            for continuation in waiting { continuation.resume() }
        }
    }
}
