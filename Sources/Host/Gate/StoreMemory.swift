import NIOConcurrencyHelpers
import Redis

/// What this host knows of its store, to find out when it meets another one under the same name: a promoted replica, an
/// older copy, an empty one.
final class StoreMemory: Sendable {
    /// The readings of the clock, in µs: a script's numbers are exact up to there, and seven bytes hold them.
    static let readings = Int64(1)..<(1 << 53)

    /// What a verification saw.
    struct Sight: Sendable {
        /// Names one server in one time of being a master: its run, and its replication's.
        let server: String
        /// Since when it knows what it knows; a reading.
        let born: Int64
        /// The last reading that it gave out; 0 before the first.
        let clock: Int64
        /// The server at which all hosts have made good what they had answered; empty before the first time.
        let settled: String
        /// Other hosts that are alive.
        let peers: [String]

        /// - Throws: `.garbage`.
        init(server: String, canary reply: RedisValue) throws(RedisError) {
            guard let words = reply.list, words.count == 4, let born = words[0].int, let clock = words[1].int,
                let settled = words[2].string, let peers = words[3].list, clock == 0 || readings.contains(clock)
            else { throw RedisError(.garbage, "the canary's answer is not of its shape") }
            self.server = server
            self.born = born
            self.clock = clock
            self.settled = settled
            self.peers = peers.compactMap(\.string)
        }
    }

    /// What is to be done about a sight.
    enum Change: Sendable, Equatable {
        case none
        /// The first one of this process.
        case first
        /// Another server, which knows all that this host has seen.
        case another
        /// In words.
        case lost(String)
    }

    private struct State {
        var sight: Sight?
        /// The highest reading that any answer held.
        var highest: Int64 = 0
        /// A server that lacks what this host has seen, and the loss in words, until the server is adopted: the first verification
        /// takes a reading there, and a later one would find its clock ahead.
        var loss: (server: String, words: String)?
        /// Other hosts, and when the store last said that they live.
        var peers: [String: ContinuousClock.Instant] = [:]
    }
    private let state = NIOLockedValueBox(State())

    /// The highest reading seen so far. To be asked before a store is, which can't be behind it.
    var highest: Int64 { state.withLockedValue { $0.highest } }
    /// As it was seen last; 0 before that.
    var born: Int64 { state.withLockedValue { $0.sight?.born ?? 0 } }
    /// As it was seen last; nil before that.
    var server: String? { state.withLockedValue { $0.sight?.server } }
    /// The hosts that a heartbeat or a verification found alive within their lease.
    var peers: [String] { state.withLockedValue { Array($0.peers.keys).sorted() } }

    /// - Parameter peers: of the verified store: one that was emptied names nobody.
    func note(peers: [String], now: ContinuousClock.Instant = .now) {
        state.withLockedValue { state in
            for name in peers { state.peers[name] = now }
            state.peers = state.peers.filter { $0.value.duration(to: now) < StoreRecovery.lease }
        }
    }

    func note(reading: Int64) {
        state.withLockedValue { $0.highest = max($0.highest, reading) }
    }

    /// - Parameter highest: of before the store was asked.
    func change(_ sight: Sight, since highest: Int64) -> Change {
        state.withLockedValue { state in
            if let loss = state.loss, loss.server == sight.server { return .lost(loss.words) }
            let change = Self.change(sight, from: state.sight, since: highest)
            if case .lost(let words) = change { state.loss = (sight.server, words) }
            return change
        }
    }

    private static func change(_ sight: Sight, from known: Sight?, since highest: Int64) -> Change {
        guard let known else { return .first }
        guard known.born == sight.born else {
            let place =
                known.server == sight.server
                ? "on the same server" : "and is on another server, or on one that restarted"
            return .lost("the store was emptied \(place): it knows nothing of before \(sight.born)")
        }
        guard sight.clock >= highest else {
            return .lost("the store is older than before: its clock was at \(highest) and is at \(sight.clock)")
        }
        return known.server == sight.server ? .none : .another
    }

    /// From now on this is the store.
    /// - Parameter opens: nothing goes through it yet. What it has lost is over with.
    func adopt(_ sight: Sight, opens: Bool) {
        state.withLockedValue { state in
            state.sight = sight
            state.loss = nil
            state.highest = opens ? sight.clock : max(state.highest, sight.clock)
        }
        note(peers: sight.peers)
    }
}
