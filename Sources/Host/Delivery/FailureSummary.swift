import SignalKit

/// Failed deliveries of a sink, told in one line every few seconds for each kind of error: while a sink is away, each of its
/// deliveries fails again and again.
struct FailureSummary: Sendable {
    static let interval = Duration.seconds(5)

    /// The last one of its kind, and how many there were since the line before.
    struct Line: Sendable {
        let code: SinkError.Code
        var deliveries = 0
        var id = ""
        var attempt = 0
        var reason = ""
        var delay = Duration.zero
    }
    private var lines: [SinkError.Code: Line] = [:]
    private var told: [SinkError.Code: ContinuousClock.Instant] = [:]

    /// - Returns: the line to write now, if any; the first one of its kind at once.
    mutating func note(
        _ claim: Claim, _ error: SinkError, count: Int, again delay: Duration, at now: ContinuousClock.Instant
    ) -> Line? {
        var line = lines[error.code] ?? Line(code: error.code)
        line.deliveries += count
        (line.id, line.attempt) = (claim.delivery.id, claim.attempt)
        (line.reason, line.delay) = (error.message, delay)
        lines[error.code] = line
        return due(error.code, now)
    }

    /// Lines whose time has come.
    mutating func due(at now: ContinuousClock.Instant) -> [Line] { Array(lines.keys).compactMap { due($0, now) } }

    /// What was not told yet.
    mutating func rest() -> [Line] {
        defer { lines = [:] }
        return Array(lines.values)
    }

    private mutating func due(_ code: SinkError.Code, _ now: ContinuousClock.Instant) -> Line? {
        if let last = told[code], last.duration(to: now) < Self.interval { return nil }
        told[code] = now
        return lines.removeValue(forKey: code)
    }
}
