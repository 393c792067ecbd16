import NIOConcurrencyHelpers

/// Requests and bytes that this host holds at once, bounded. Past a bound the answer is a 503 before reading on.
final class InFlight: Sendable {
    private struct State {
        var requests = 0
        var bytes = 0
    }
    private let state = NIOLockedValueBox(State())
    private let requests: Int
    private let bytes: Int

    init(_ limits: HostConfiguration.Limits) { (requests, bytes) = (limits.inFlight, limits.inFlightBytes) }

    /// One request's share; it must be given back with `end`.
    struct Ticket: Sendable {
        fileprivate(set) var bytes = 0
    }

    func begin() -> Ticket? {
        state.withLockedValue { state in
            guard state.requests < requests else { return nil }
            state.requests += 1
            return Ticket()
        }
    }

    /// - Returns: false when there is no room; then nothing was added.
    func grow(_ ticket: inout Ticket, by count: Int) -> Bool {
        let fits = state.withLockedValue { state in
            guard state.bytes + count <= bytes else { return false }
            state.bytes += count
            return true
        }
        if fits { ticket.bytes += count }
        return fits
    }

    func end(_ ticket: Ticket) {
        state.withLockedValue { state in
            state.requests -= 1
            state.bytes -= ticket.bytes
        }
    }

    var current: (requests: Int, bytes: Int) { state.withLockedValue { ($0.requests, $0.bytes) } }
}
