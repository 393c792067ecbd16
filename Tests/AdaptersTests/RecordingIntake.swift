import JSON
import SignalKit
import Synchronization

/// An intake that a test directs: what it was handed, what it answers, what it was told to keep.
final class RecordingIntake: SignalIntake {
    struct State: Sendable {
        var bodies: [[UInt8]] = []
        var status = 201
        var checkpoints: [String: String] = [:]
        /// In their order, with what had been taken by then.
        var moves: [(to: String, taken: Int)] = []
        var seen: [String: String] = [:]
        var watching: [String: Bool] = [:]
        var refused = 0
        var isAway = false
        var dropped = 0
    }
    let state = Mutex(State())

    func take(_ body: [UInt8]) async -> Int {
        state.withLock { state in
            if state.status < 300 { state.bodies.append(body) } else { state.refused += 1 }
            return state.status
        }
    }

    func checkpoint(_ part: String) async throws(SourceError) -> String? {
        try there { $0.checkpoints[part] }
    }

    func recall(_ keys: [String]) async throws(SourceError) -> [String?] {
        try there { state in keys.map { state.seen[$0] } }
    }

    func move(
        _ part: String, to checkpoint: String?, remembering: [(key: String, value: String)]
    ) async throws(SourceError) {
        try there { state in
            if let checkpoint {
                state.checkpoints[part] = checkpoint
                state.moves.append((checkpoint, state.bodies.count))
            }
            for (key, value) in remembering { state.seen[key] = value }
        }
    }

    private func there<Value: Sendable>(_ body: (inout sending State) -> Value) throws(SourceError) -> Value {
        let found: Value? = state.withLock { $0.isAway ? nil : body(&$0) }
        guard let found else { throw SourceError(.unavailable, "away") }
        return found
    }

    func watching(_ part: String, _ isWatching: Bool) { state.withLock { $0.watching[part] = isWatching } }

    func dropped(_ count: Int) { state.withLock { $0.dropped += count } }

    // MARK: For tests

    func answer(_ status: Int) { state.withLock { $0.status = status } }

    var isWatching: Bool { state.withLock { $0.watching.values.contains(true) } }
    var checkpoints: [String: String] { state.withLock { $0.checkpoints } }

    /// Names of the events that were taken, each with its count, in their order.
    var taken: [String] {
        state.withLock(\.bodies).flatMap { body in
            let items = (try? JSONDocument.parse(body))?.root["items"]?.array
            return items?.map { item in
                let count = item["count"]?.integer ?? 0
                return "\(item["metadata"]?["name"]?.string ?? "?") \(count)"
            } ?? ["unreadable"]
        }
    }
}
