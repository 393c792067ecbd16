import NIOConcurrencyHelpers

/// Requests and bytes that this host holds at once, bounded. Past a bound the answer is a 503.
///
/// A request takes a place at the end of its body: a body that never ends takes none. Its bytes count as they come. An
/// answer that its client does not read takes a place too, with its bytes.
final class InFlight: Sendable {
    private struct State {
        /// From a head to the end of its answer.
        var requests = 0
        /// Those of them that take a place.
        var places = 0
        var bytes = 0
        var slow: [PeerAddress: (bodies: Int, bytes: Int)] = [:]
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
    /// Of one address.
    private let slowBodies: Int
    private let slowBytes: Int

    private let metrics: HostMetrics

    init(_ limits: HostConfiguration.Limits, _ metrics: HostMetrics) {
        (requests, bytes) = (limits.inFlight, limits.inFlightBytes)
        slowBodies = max(limits.inFlight / BodyPace.share, 1)
        // One body of the size that is allowed always has its time.
        slowBytes = max(limits.inFlightBytes / BodyPace.share, limits.body)
        self.metrics = metrics
    }

    /// What one request holds; it must be given back with `end`.
    struct Ticket: Sendable {
        fileprivate(set) var bytes = 0
        fileprivate var hasPlace = false
        fileprivate var slow: (peer: PeerAddress, bytes: Int)?
    }

    /// A request whose body begins.
    /// - Returns: nil when it would find no place now: a refusal before the body is read costs nothing.
    func begin() -> Ticket? {
        let fits = state.withLockedValue { state in
            guard state.places < requests else { return false }
            state.requests += 1
            return true
        }
        guard fits else { return nil }
        metrics.inFlight(requests: 1, bytes: 0)
        return Ticket()
    }

    /// A place for a request whose body is whole.
    /// - Returns: false when there is none.
    func takePlace(_ ticket: inout Ticket) -> Bool {
        ticket.hasPlace = state.withLockedValue { state in
            guard state.places < requests else { return false }
            state.places += 1
            return true
        }
        return ticket.hasPlace
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

    /// An answer that waits for its reader. It exists already, so it counts beyond the bounds too.
    func unread(_ count: Int) -> Ticket {
        state.withLockedValue { state in
            state.requests += 1
            state.places += 1
            state.bytes += count
        }
        metrics.inFlight(requests: 1, bytes: count)
        var ticket = Ticket()
        (ticket.hasPlace, ticket.bytes) = (true, count)
        return ticket
    }

    /// The body of this request is slow. What its address may hold with slow bodies is bounded; bodies that come in time are
    /// not, because many senders may stand behind one address.
    /// - Returns: false when it is past the bound.
    func slow(_ ticket: inout Ticket, from peer: PeerAddress) -> Bool {
        let bytes = ticket.bytes
        let known = ticket.slow
        ticket.slow = (peer, bytes)
        return state.withLockedValue { state in
            var held = state.slow[peer] ?? (0, 0)
            held.bodies += known == nil ? 1 : 0
            held.bytes += bytes - (known?.bytes ?? 0)
            state.slow[peer] = held
            return held.bodies <= slowBodies && held.bytes <= slowBytes
        }
    }

    func end(_ ticket: Ticket) {
        let waiting = state.withLockedValue { state in
            if let slow = ticket.slow, let held = state.slow[slow.peer] {
                let left = (bodies: held.bodies - 1, bytes: held.bytes - slow.bytes)
                state.slow[slow.peer] = left.bodies > 0 ? left : nil
            }
            state.requests -= 1
            if ticket.hasPlace { state.places -= 1 }
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
