internal import NIOConcurrencyHelpers
internal import NIOCore

/// Writes that are answered once replicas have them.
///
/// `WAIT` blocks its connection. So this one is used for nothing else, and what comes while a `WAIT` is out goes together
/// behind it, with one `WAIT` for all of it: the more there is to do, the more share one.
final class CoveredWrites: Sendable {
    /// Commands of one batch: the first of them need not wait for all of a flood.
    static let most = 64

    let connection: RedisConnection
    private let cover: RedisCommand

    private typealias Outcome = Result<[RedisValue], RedisError>
    private struct Item: Sendable {
        let commands: [RedisCommand]
        /// Not sent after it.
        let deadline: NIODeadline
        let waiter: CheckedContinuation<Outcome, Never>
    }
    private struct State: Sendable {
        var waiting = CircularBuffer<Item>()
        var busy = false
    }
    private let state = NIOLockedValueBox(State())

    init(over connection: RedisConnection, cover: RedisCommand) {
        self.connection = connection
        self.cover = cover
    }

    /// One reply per command, and that to the cover behind them.
    /// - Throws: when it is not known what became of the commands: `.timedOut`, `.reset`, `.garbage`.
    func send(_ commands: [RedisCommand]) async throws(RedisError) -> [RedisValue] {
        let deadline = NIODeadline.now() + TimeAmount(connection.timeout)
        let outcome = await withCheckedContinuation { (waiter: CheckedContinuation<Outcome, Never>) in
            let idle = state.withLockedValue { state in
                state.waiting.append(Item(commands: commands, deadline: deadline, waiter: waiter))
                defer { state.busy = true }
                return !state.busy
            }
            if idle { Task { await drain() } }
        }
        return try outcome.get()
    }

    private func drain() async {
        while let items = next() {
            let now = NIODeadline.now()
            let batch = items.filter { $0.deadline > now }
            for item in items where item.deadline <= now {
                // Nothing is known against the store: there is too much to do.
                let late = RedisError(.shut, "not sent: the replicas did not answer those before it in time")
                item.waiter.resume(returning: .failure(late))
            }
            if batch.isEmpty { continue }
            let commands = batch.flatMap(\.commands) + [cover]
            let replies: [RedisValue]
            do throws(RedisError) {
                replies = try await connection.send(
                    healing: commands, deadline: .now() + TimeAmount(connection.timeout))
            } catch {
                for item in batch { item.waiter.resume(returning: .failure(error)) }
                continue
            }
            var place = 0
            for item in batch {
                let own = replies[place..<(place + item.commands.count)]
                place += item.commands.count
                item.waiter.resume(returning: .success(own + replies.suffix(1)))
            }
        }
    }

    private func next() -> [Item]? {
        state.withLockedValue { state in
            var (batch, count) = ([Item](), 0)
            while let item = state.waiting.first, batch.isEmpty || count + item.commands.count <= Self.most {
                batch.append(state.waiting.removeFirst())
                count += item.commands.count
            }
            if batch.isEmpty { state.busy = false }
            return batch.isEmpty ? nil : batch
        }
    }
}
