import NIOConcurrencyHelpers
import Redis

/// What this host has seen of its store, to find out when that has lost something: it was emptied, or it is an older copy of
/// itself. Neither is fatal: senders repeat, and sinks that arbitrate remember.
final class StoreMemory: Sendable {
    private let seen = NIOLockedValueBox<(born: Int64, clock: Int64)?>(nil)
    private let lost: @Sendable (String) -> Void

    /// - Parameter lost: told once for each loss, in words.
    init(_ lost: @escaping @Sendable (String) -> Void) { self.lost = lost }

    /// - Parameter reply: of the canary: since when the store knows what it knows, and its clock.
    /// - Throws: `.garbage`.
    func note(_ reply: RedisValue) throws(RedisError) {
        guard let words = reply.list, words.count == 2, let born = words[0].int, let clock = words[1].int else {
            throw RedisError(.garbage, "the canary answered no birth and no clock")
        }
        let loss: String? = seen.withLockedValue { seen in
            guard let before = seen else {
                seen = (born, clock)
                return nil
            }
            // Verifications of several connections may tell it out of order; a clock never goes back by itself.
            if before.born != born {
                seen = (born, clock)
                return "the store was emptied: it knows nothing of before \(born)"
            }
            if clock < before.clock - Self.disorder {
                seen = (born, clock)
                return "the store is older than before: its clock was at \(before.clock) and is at \(clock)"
            }
            seen = (born, max(clock, before.clock))
            return nil
        }
        if let loss { lost(loss) }
    }

    /// ms by which answers of several connections may be out of order
    private static let disorder: Int64 = 1_000
}
