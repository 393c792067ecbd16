/// How long a failed delivery waits for its next attempt.
struct BackOff: Sendable {
    let first: Duration
    let most: Duration

    /// As DESIGN has it: exponential, with jitter, five minutes at most.
    static let standard = BackOff(first: .seconds(1), most: .seconds(300))

    /// - Parameters:
    ///   - attempt: the one that failed, from 1.
    ///   - random: 0 to 1; half of the delay is jitter, so that what failed together does not come back together.
    func delay(after attempt: Int, random: Double) -> Duration {
        let doubled = first * Double(1 << min(max(attempt - 1, 0), 30))
        let bounded = min(doubled, most)
        return bounded * (0.5 + 0.5 * random)
    }
}
