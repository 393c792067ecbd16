import JSON
import SignalKit

/// Between a watch and the intake: leaves out what is no news, hands the rest over until it is taken, then moves on.
struct EventFeed: Sendable {
    /// Of one body handed over.
    static let most = (events: 256, bytes: 4 << 20)
    /// of the pause while the intake refuses: doubled each time, up to the second
    static let pause = (first: Duration.milliseconds(250), most: Duration.seconds(5))

    let intake: any SignalIntake
    let part: String
    let log: @Sendable (Services.Level, String) -> Void
    let wants: @Sendable (_ namespace: String) -> Bool

    func watching(_ isWatching: Bool) { intake.watching(part, isWatching) }

    func checkpoint() async throws(SourceError) -> String? {
        try await patiently { () async throws(SourceError) in try await intake.checkpoint(part) }
    }

    /// - Parameters:
    ///   - position: where to go on after these; nil while it is not known.
    ///   - isWatching: they come from a watch. It counts as none while the intake refuses them.
    /// - Throws: only when this host should stop: cancelled, or superseded.
    func take(_ events: [WatchedEvent], to position: String?, isWatching: Bool) async throws(SourceError) {
        let latest = Self.latest(events.filter { wants($0.namespace) })
        let news = try await news(latest)
        var rest = news[...]
        while !rest.isEmpty {
            let body = Self.body(&rest)
            try await hand(body.bytes, of: body.events, isWatching)
        }
        // Those that were no news too: so long as a list shows them, they are remembered.
        let known = latest.compactMap { event in event.uid.map { (key: $0, value: String(event.count)) } }
        guard position != nil || !known.isEmpty else { return }
        try await patiently { () async throws(SourceError) in
            try await intake.move(part, to: position, remembering: known)
        }
    }

    /// Of several states of one event, the last.
    private static func latest(_ events: [WatchedEvent]) -> [WatchedEvent] {
        var last: [String: Int] = [:]
        for (place, event) in events.enumerated() { if let uid = event.uid { last[uid] = place } }
        return events.enumerated().filter { place, event in event.uid.map { last[$0] == place } ?? true }.map(\.element)
    }

    /// Those that are not known with the same count or a higher one.
    private func news(_ latest: [WatchedEvent]) async throws(SourceError) -> [WatchedEvent] {
        let keys = latest.compactMap(\.uid)
        guard !keys.isEmpty else { return latest }
        let counts = try await patiently { () async throws(SourceError) in try await intake.recall(keys) }
        var known = counts[...]
        return latest.filter { event in
            guard event.uid != nil, let count = known.popFirst() else { return true }
            return count.flatMap { Int64($0) }.map { $0 < event.count } ?? true
        }
    }

    private static func body(_ rest: inout ArraySlice<WatchedEvent>) -> (bytes: [UInt8], events: [WatchedEvent]) {
        var out = JSONWriter(reserving: 64 << 10)
        var events: [WatchedEvent] = []
        out.beginObject()
        out.member("kind", "EventList")
        out.member("apiVersion", "v1")
        out.key("items")
        out.beginArray()
        while let event = rest.first, events.count < most.events, out.bytes.count < most.bytes {
            rest.removeFirst()
            event.value.write(to: &out)
            events.append(event)
        }
        out.endArray()
        out.endObject()
        return (out.bytes, events)
    }

    private func hand(
        _ body: [UInt8], of events: [WatchedEvent], _ isWatching: Bool
    ) async throws(SourceError) {
        var pause = Self.pause.first
        while true {
            let status = await intake.take(body)
            if isWatching, pause > Self.pause.first, status < 500 { watching(true) }
            switch status {
            case 200..<300: return
            case 400..<500:
                // Whole bodies are ours; one event that spoils its own must not hold up the others.
                guard events.count > 1 else {
                    intake.dropped(1)
                    log(
                        .error,
                        "an event is left out: the adapter answered \(status); uid \(events.first?.uid ?? "unknown")")
                    return
                }
                for event in events {
                    var alone = [event][...]
                    try await hand(Self.body(&alone).bytes, of: [event], isWatching)
                }
                return
            default:
                // Nothing is read on meanwhile, and the server keeps events for an hour.
                watching(false)
                try await Self.sleep(pause)
                pause = min(pause * 2, Self.pause.most)
            }
        }
    }

    /// The store may be away for as long as it likes: nothing is read on meanwhile.
    private func patiently<Value: Sendable>(
        _ body: () async throws(SourceError) -> Value
    ) async throws(SourceError) -> Value {
        var pause = Self.pause.first
        while true {
            do throws(SourceError) {
                return try await body()
            } catch {
                guard error.code == .unavailable else { throw error }
            }
            try await Self.sleep(pause)
            pause = min(pause * 2, Self.pause.most)
        }
    }

    private static func sleep(_ pause: Duration) async throws(SourceError) {
        do { try await Task.sleep(for: pause * Double.random(in: 0.8...1.2)) } catch {
            throw SourceError(.unavailable, "cancelled")
        }
    }
}
