/// What the Sentinels said in one round, and whether that is a reason to leave the master in use.
///
/// For a moment after a failover some still name the old master, and one that was set up wrongly names another one for ever, so a
/// single voice is none.
struct SentinelVotes: Sendable {
    private let counts: [RedisEndpoint.Address: Int]

    /// - Parameter answers: the addresses named, one for each Sentinel that named one.
    init(_ answers: [RedisEndpoint.Address]) {
        counts = answers.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }

    /// The address that more of them name than name the one in use. Of several, always the same.
    /// - Parameter used: nil when none is.
    func challenger(to used: RedisEndpoint.Address?) -> RedisEndpoint.Address? {
        let most = counts.values.max() ?? 0
        guard most > used.flatMap({ counts[$0] }) ?? 0 else { return nil }
        return counts.filter { $0.value == most }.keys.min { $0.description < $1.description }
    }

    /// Nobody names it any more.
    func haveForgotten(_ used: RedisEndpoint.Address) -> Bool { counts[used] == nil }
}
