import NIOConcurrencyHelpers
import Redis

/// Names a host session in the store.
struct SessionID: Hashable, Sendable {
    /// From 1.
    let number: Int64
    /// 16 characters. Tells this host's session from one that took the number in a store that had lost this one.
    let token: String

    /// 25 bits: a score holds one with the number of a call.
    static let numbers = Int64(1)..<(1 << 25)
}

/// A claim, or a call of the gate, that may put deliveries in flight at a session: the fence of all that is said of them.
struct SessionCall: Hashable, Sendable {
    let session: SessionID
    /// From 1, one more with each call.
    let number: Int64

    /// 28 bits, as `sessions.lua` has it.
    static let numbers = Int64(1)..<(1 << 28)
}

/// This host's session in the store: one run of the host, at which all its deliveries are in flight.
///
/// The session is taken when the store opens, kept by a heartbeat, and ended by another host when that stays away (`SessionWatch`).
final class HostSession: Sendable {
    /// No delivery starts later than this after the last heartbeat that the store confirmed was sent: earlier than another host
    /// takes the session for over.
    static let startsWithin = Duration.seconds(8)

    /// No other host uses the store: the session ends with the store's next session, and not before.
    let isAlone: Bool

    private struct State {
        var current: SessionID?
        var call: Int64 = 0
        /// When the last heartbeat that the store confirmed was sent.
        var confirmed: ContinuousClock.Instant?
        var watch = SessionWatch()
    }
    private let state = NIOLockedValueBox(State())

    init(isAlone: Bool) { self.isAlone = isAlone }

    /// Nil until the store has one.
    var current: SessionID? { state.withLockedValue { $0.current } }

    /// The next call. Nil while there is no session.
    func nextCall() -> SessionCall? {
        state.withLockedValue { state in
            guard let session = state.current else { return nil }
            state.call += 1
            // Of the last number on the host takes a new session.
            if state.call == SessionCall.numbers.upperBound - 1 { state.current = nil }
            return SessionCall(session: session, number: state.call)
        }
    }

    /// Whether a delivery of that call may start: no other host can have it yet.
    func mayStart(_ call: SessionCall, at now: ContinuousClock.Instant = .now) -> Bool {
        state.withLockedValue { state in
            guard !isAlone else { return true }
            guard let confirmed = state.confirmed, state.current == call.session else { return false }
            return confirmed.duration(to: now) < Self.startsWithin
        }
    }

    /// This host has a new session.
    /// - Parameter sent: when the store was asked.
    func took(_ session: SessionID, sent: ContinuousClock.Instant) {
        state.withLockedValue { ($0.current, $0.call, $0.confirmed) = (session, 0, sent) }
    }

    /// The store has the session. The answer for an earlier session may come late: that one is not taken up again, for its
    /// calls would have the numbers of calls before.
    /// - Parameter sent: when the store was asked.
    func confirmed(_ session: SessionID, sent: ContinuousClock.Instant) {
        state.withLockedValue { state in
            if state.current == session { state.confirmed = max(state.confirmed ?? sent, sent) }
        }
    }

    /// The session was ended, or its number is another host's.
    func lost(_ session: SessionID) {
        state.withLockedValue { if $0.current == session { $0.current = nil } }
    }

    /// - Returns: the sessions that are over, each as it was seen.
    func over(_ sessions: [Int64: String], at now: ContinuousClock.Instant) -> [(number: Int64, seen: String)] {
        guard !isAlone else { return [] }
        return state.withLockedValue { state in
            var others = sessions
            if let own = state.current { others[own.number] = nil }
            return state.watch.look(others, at: now)
        }
    }
}

/// Tells which sessions have had no heartbeat for so long that their hosts are taken for dead. A store that does not answer for a
/// while ends nobody: its hosts could not tell it anything either.
struct SessionWatch: Sendable {
    /// A counter must stay the same for so long, by this host's own clock.
    static let silence = Duration.seconds(10)
    /// With a longer time between two looks, nothing is known of the time between.
    static let gap = Duration.seconds(4)

    private var seen: [Int64: (value: String, since: ContinuousClock.Instant)] = [:]
    private var last: ContinuousClock.Instant?

    /// - Parameter sessions: token and counter by number, as the store answered just now.
    mutating func look(
        _ sessions: [Int64: String], at now: ContinuousClock.Instant
    ) -> [(number: Int64, seen: String)] {
        if let last, last.duration(to: now) > Self.gap { seen = [:] }
        last = now
        seen = seen.filter { sessions[$0.key] == $0.value.value }
        for (number, value) in sessions where seen[number] == nil { seen[number] = (value, now) }
        return seen.filter { $0.value.since.duration(to: now) >= Self.silence }
            .map { ($0.key, $0.value.value) }.sorted { $0.0 < $1.0 }
    }
}
