import NIOConcurrencyHelpers
import NIOCore
import SignalKit

/// What this host answered lately, so that it can be written again into a store that comes back without it: after a failover
/// that left it behind, from an older file, or empty. docs/decisions/0011 says why and for how long.
///
/// One entry per fingerprint, its latest state; bounded in bytes. What every replica has, or what is older than `age`, makes
/// room for what is new. When nothing can, the new is refused: answered and then lost would be worse.
final class ReplayMemory: Sendable {
    /// After so long everything that is ever going to be promoted has it, or is not going to be promoted.
    static let age = Duration.seconds(30)
    /// What an entry takes besides its bytes, about: some 270 are its place in a table that is half full, 70 that in the order, the
    /// rest heads of arrays and what the allocator rounds up to.
    static let overhead = 500

    /// A signal as it was answered.
    struct Signal: Sendable {
        let fingerprint: Fingerprint
        var record: PackedRecord
        var document: [UInt8]
        /// What its document has to be made of, when it was not needed before.
        var source: SignalKit.Signal?
        /// Of every step, when one of them may need them; else empty.
        var arguments: [GateArgument]
        /// It changed nothing that sinks are told: what they were told of this version is in the entry that is there, if it is
        /// of this version.
        var isRepeat = false
        /// For sinks: a state that somebody was answered, with nothing for the steps.
        var isHanded = false

        /// Another host may have told them something else since.
        fileprivate mutating func inherit(from known: Signal) {
            guard isRepeat, known.record.episode == record.episode, known.record.version == record.version else {
                return
            }
            (document, arguments) = (known.document, known.arguments.isEmpty ? arguments : known.arguments)
            source = nil
        }

        fileprivate mutating func complete() {
            if let source { document = SignalDocument.encode(source) }
            source = nil
        }

        fileprivate var bytes: Int {
            record.bytes.count + document.count + arguments.count * 64 + ReplayMemory.overhead
        }
    }

    /// A storm, and the highest version of it that a sink was handed.
    struct Storm: Sendable, Equatable {
        let id: [UInt8]
        let version: Int64
    }

    private enum Key: Hashable { case signal(Fingerprint), letter(Int), storm([UInt8]) }
    private enum Content { case signal(Signal), letter(GateDeadLetter), storm(Storm) }
    private struct Entry {
        var content: Content
        var bytes: Int
        var number: Int
        var since: ContinuousClock.Instant
    }
    private struct State {
        var entries: [Key: Entry] = [:]
        /// Each entry once, by the number that it had when it was put here: the oldest first.
        var order = CircularBuffer<(key: Key, number: Int)>()
        var bytes = 0
        /// Of calls that are under way.
        var reserved = 0
        var number = 0
        /// Every replica has what has a number up to this.
        var safe = 0
        /// Numbers, and what the server had written when they were given out.
        var marks: [(number: Int, written: Int64)] = []
        /// When the store was last known to be open. Age is counted up to then.
        var open: ContinuousClock.Instant?
        /// The most replicas that were seen since the store was opened, and when so many were seen last.
        var replicas = (count: 0, seen: ContinuousClock.now)
    }

    let capacity: Int
    /// Without replicas nothing is ever left behind by a failover, and all of it may make room.
    private let replicated: Bool
    private let state = NIOLockedValueBox(State())

    /// - Parameters:
    ///   - capacity: bytes; 0 keeps nothing.
    ///   - replicated: replicas are waited for, so that one of them may be promoted.
    init(capacity: Int, replicated: Bool) {
        self.capacity = capacity
        self.replicated = replicated
    }

    var bytes: Int { state.withLockedValue { $0.bytes } }
    /// More than half of it is taken.
    var isPressed: Bool { replicated && state.withLockedValue { ($0.bytes + $0.reserved) * 2 > capacity } }

    /// The most that a signal may have to leave here: what the steps are told of it is in its document.
    /// Of one without a document it is a guess, and mostly nothing: there is an entry, whose document it inherits.
    static func room(_ signal: GateSignal) -> Int { 2 * signal.size + 82 + 16 * 64 + overhead }
    static func room(_ letter: GateDeadLetter) -> Int { letter.size + overhead }

    /// Before a call is sent to a store that is open. To be followed by `keep` or `release`.
    /// - Returns: false when there is no room, and none can be made. One call has room in any case, or it never would.
    func reserve(_ room: Int, now: ContinuousClock.Instant = .now) -> Bool {
        guard capacity > 0 else { return true }
        return state.withLockedValue { state in
            shrink(&state, to: capacity - state.reserved - room, now)
            let taken = state.bytes + state.reserved
            guard !replicated || taken == 0 || taken + room <= capacity else { return false }
            state.reserved += room
            return true
        }
    }

    /// The call left nothing, or nobody knows what.
    func release(_ room: Int) {
        guard capacity > 0 else { return }
        state.withLockedValue { $0.reserved -= room }
    }

    /// What the store has answered for a call. It counts as answered from here on, whoever is told.
    /// - Parameter current: whether the store is still the one that answered. Asked where no replay can come between: one that
    ///   follows has what is kept here, and after one that went before nothing is.
    /// - Returns: `current`; when it is false, nothing is kept and nobody may be told yes.
    func keep(
        _ signals: [Signal], _ letters: some Sequence<GateDeadLetter>, _ storms: [Storm] = [], of room: Int,
        now: ContinuousClock.Instant = .now, while current: () -> Bool = { true }
    ) -> Bool {
        guard capacity > 0 else { return current() }
        return state.withLockedValue { state in
            state.reserved -= room
            guard current() else { return false }
            state.open = now
            // Also where nobody asks for room.
            shrink(&state, to: capacity, now)
            for given in signals {
                var signal = given
                let key = Key.signal(signal.fingerprint)
                if case .signal(let known)? = state.entries[key]?.content {
                    // Of two that came in one call the later is the newer.
                    let (before, after) = (known.record.moment, signal.record.moment)
                    if before > after || (before == after && signal.isHanded) { continue }
                    // Sightings that change nothing share a stamp; answers may come in another order than the store decided.
                    if before == after, known.record.count > signal.record.count { continue }
                    signal.inherit(from: known)
                    if signal.isHanded { signal.arguments = known.arguments }
                }
                signal.complete()
                put(key, .signal(signal), signal.bytes, &state, now)
            }
            for letter in letters {
                put(.letter(state.number), .letter(letter), letter.size + Self.overhead, &state, now)
            }
            for storm in storms {
                let key = Key.storm(storm.id)
                if case .storm(let known)? = state.entries[key]?.content, known.version > storm.version { continue }
                put(key, .storm(storm), storm.id.count + Self.overhead, &state, now)
            }
            return true
        }
    }

    private func put(_ key: Key, _ content: Content, _ bytes: Int, _ state: inout State, _ now: ContinuousClock.Instant)
    {
        state.number += 1
        let entry = Entry(content: content, bytes: bytes, number: state.number, since: now)
        // One that is there keeps its place: it is looked at again when that comes to the front.
        if let known = state.entries.updateValue(entry, forKey: key) {
            state.bytes -= known.bytes
        } else {
            state.order.append((key, state.number))
        }
        state.bytes += bytes
    }

    private func shrink(_ state: inout State, to bytes: Int, _ now: ContinuousClock.Instant) {
        // Each at most once: one that was changed since goes to the back.
        var left = state.order.count
        while left > 0, let first = state.order.first {
            left -= 1
            guard let entry = state.entries[first.key] else {
                state.order.removeFirst()
                continue
            }
            let old = entry.since.duration(to: now) > Self.age
            if old || (state.bytes > bytes && (!replicated || entry.number <= state.safe)) {
                state.order.removeFirst()
                state.entries[first.key] = nil
                state.bytes -= entry.bytes
            } else if entry.number != first.number {
                state.order.removeFirst()
                state.order.append((first.key, entry.number))
            } else {
                return
            }
        }
    }

    // MARK: Replicas

    /// The number of the last entry: what was written up to now. To be asked before the server is.
    var ticket: Int { state.withLockedValue { $0.number } }

    /// - Parameters:
    ///   - ticket: of before the server was asked.
    ///   - written: bytes of its replication stream.
    ///   - replicas: how many of those each of its replicas has.
    func note(_ ticket: Int, written: Int64, replicas: [Int64], now: ContinuousClock.Instant = .now) {
        state.withLockedValue { state in
            // One that has left may be the one that is promoted; but not for ever.
            if replicas.count >= state.replicas.count || state.replicas.seen.duration(to: now) > Self.missed {
                state.replicas = (replicas.count, now)
            }
            state.marks.append((ticket, written))
            if state.marks.count > 16 { state.marks.removeFirst() }
            guard replicas.count == state.replicas.count, let least = replicas.min() else { return }
            for mark in state.marks where mark.written <= least { state.safe = max(state.safe, mark.number) }
            state.marks.removeAll { $0.written <= least }
            // Room is made before it is asked for.
            if state.bytes * 2 > capacity { shrink(&state, to: capacity / 2, now) }
        }
    }

    /// A replica that has been away for so long has been taken away.
    private static let missed = Duration.seconds(600)

    // MARK: Replay

    /// All that there is, for a store that has just been met, however long it was away: while nothing could be written, nothing
    /// grew old. It counts as new: what replicas had of it is of the past.
    func renewed() -> (signals: [Signal], letters: [GateDeadLetter], storms: [Storm]) {
        state.withLockedValue { state in
            if let open = state.open { shrink(&state, to: .max, open) }
            state.number += 1
            state.safe = 0
            state.marks = []
            state.replicas = (0, .now)
            var (signals, letters, storms) = ([Signal](), [GateDeadLetter](), [Storm]())
            for key in state.entries.keys {
                state.entries[key]?.number = state.number
                switch state.entries[key]?.content {
                case .signal(let signal): signals.append(signal)
                case .letter(let letter): letters.append(letter)
                case .storm(let storm): storms.append(storm)
                case nil: break
                }
            }
            return (signals, letters, storms)
        }
    }

    /// The store is open and the same as before: what was answered has grown old, though nobody asked anything since.
    func foundOpen(now: ContinuousClock.Instant = .now) {
        state.withLockedValue { $0.open = now }
    }

    /// All of it has been written again.
    func madeGood(now: ContinuousClock.Instant = .now) {
        state.withLockedValue { state in
            for key in state.entries.keys { state.entries[key]?.since = now }
        }
    }
}
