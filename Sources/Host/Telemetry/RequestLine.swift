import JSON
import Logging
import SignalKit

/// A request's line in the log.
struct RequestLine {
    let id: String
    let route: String
    /// Of its answer; nil, written `cut`, when its sender went away and has none.
    let status: Int?
    let milliseconds: Int64
    let bytes: Int
    /// Of a request that was taken.
    let outcome: Outcome?

    /// - Parameter lines: of the present event loop.
    func write(to log: Logger, by lines: LineBatch) {
        let handler = log.handler
        guard handler.logLevel <= .info else { return }
        if let own = handler as? JSONLogHandler, own.metadata.isEmpty {
            return lines.add(line(label: own.label, now: .now))
        }
        log.info("request", metadata: metadata)
    }

    var metadata: Logger.Metadata {
        [
            "request_id": .string(id), "route": .string(route),
            "status": status.map { .stringConvertible($0) } ?? "cut", "ms": .stringConvertible(milliseconds),
            "bytes": .stringConvertible(bytes),
            "verdicts": .dictionary(
                Dictionary(uniqueKeysWithValues: verdicts.map { ($0.verdict.rawValue, .stringConvertible($0.count)) })),
        ]
    }

    /// By name.
    private var verdicts: [(verdict: Verdict, count: Int)] {
        guard let outcome else { return [] }
        if outcome.deadLetters.isEmpty, outcome.signals.count == 1 { return [(outcome.signals[0].verdict, 1)] }
        var counts: [Verdict: Int] = [:]
        for signal in outcome.signals { counts[signal.verdict, default: 0] += 1 }
        if !outcome.deadLetters.isEmpty { counts[.deadLettered] = outcome.deadLetters.count }
        return counts.map { ($0.key, $0.value) }.sorted { $0.verdict.rawValue < $1.verdict.rawValue }
    }

    /// What `JSONLogHandler.line` makes of `metadata`, without making any: there is one for every request.
    func line(label: String, now: Timestamp) -> [UInt8] {
        var out = JSONWriter(reserving: 320)
        out.beginObject()
        out.member("ts", now.description)
        out.member("level", "info")
        out.member("msg", "request")
        out.member("label", label)
        out.member("bytes", bytes)
        out.member("ms", milliseconds)
        out.member("request_id", id)
        out.member("route", route)
        if let status { out.member("status", status) } else { out.member("status", "cut") }
        out.key("verdicts")
        out.beginObject()
        for (verdict, count) in verdicts { out.member(verdict.rawValue, count) }
        out.endObject()
        out.endObject()
        out.endLine()
        return out.bytes
    }
}
