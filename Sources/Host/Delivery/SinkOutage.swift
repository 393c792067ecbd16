/// What a worker knows of a sink that takes nothing. Errors about the whole sink pause it: its queue stays, and one delivery at a
/// time is tried until one succeeds.
struct SinkOutage: Sendable {
    /// From one try to the next; the end of an outage is seen within the second one.
    static let standard = BackOff(first: .seconds(1), most: .seconds(10))
    /// Failed deliveries that are remembered; past it all are forgotten. One that is forgotten is only tried more often.
    static let most = 1_024

    /// By member, how many other deliveries had succeeded when it failed.
    private var failed: [QueueMember: Int] = [:]
    private let pauses: BackOff
    private var succeeded = 0
    private var tries = 0
    private var until: ContinuousClock.Instant?

    init(pauses: BackOff) { self.pauses = pauses }

    func isPaused(at now: ContinuousClock.Instant) -> Bool { until.map { now < $0 } ?? false }

    mutating func succeeded(_ members: some Sequence<QueueMember>) {
        for member in members {
            succeeded += 1
            failed[member] = nil
        }
        (tries, until) = (0, nil)
    }

    /// Whether an error about the whole sink is really about this delivery: the sink has taken others since it said
    /// the same of this one.
    func isAlone(_ member: QueueMember) -> Bool { failed[member].map { $0 < succeeded } ?? false }

    mutating func note(_ member: QueueMember) {
        // Among them are some that another host has delivered since.
        if failed.count >= Self.most, failed[member] == nil { failed.removeAll() }
        failed[member] = succeeded
    }

    /// - Returns: until when nothing is tried.
    mutating func fail(
        _ members: some Sequence<QueueMember>, at now: ContinuousClock.Instant, random: Double
    ) -> ContinuousClock.Instant {
        for member in members { note(member) }
        // Many that were under way together fail together: that is one try.
        if let until, now < until { return until }
        tries += 1
        let end = now + pauses.delay(after: tries, random: random)
        until = end
        return end
    }
}
