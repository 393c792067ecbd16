internal import NIOCore
import Synchronization

/// The connections of one event loop to one server: what must not wait for replicas has its own, and so has what is no
/// request's: behind a flood of those, delivery would have its turn once for all of them. They are taken in turns.
struct RedisLine: Sendable {
    /// The first for all that is short; what is long has both.
    let requests: [RedisConnection]
    /// Redis writes 64 KiB of a reply to each in a turn of its loop, and a claim's is larger.
    let aside: [RedisConnection]
    private let turns = (requests: Turn(), aside: Turn())
    /// Nil when no replica is waited for.
    let covered: CoveredWrites?

    var connections: [RedisConnection] { requests + aside + (covered.map { [$0.connection] } ?? []) }

    /// Redis reads as much of a connection in a turn of its loop. A longer write takes several turns, and two of these that are read side
    /// by side share an fsync. With four connections it was no faster, and what is short is best sent together.
    private static let read = 16 << 10

    /// - Parameter eventLoop: of the request that asks; nil when none does.
    func connection(for eventLoop: (any EventLoop)?, _ commands: [RedisCommand]) -> RedisConnection {
        guard eventLoop != nil else { return turns.aside.next(of: aside) }
        let isShort = commands.reduce(0) { $0 + $1.byteCount } < Self.read
        return isShort ? requests[0] : turns.requests.next(of: requests)
    }

    private final class Turn: Sendable {
        private let count = Atomic<UInt>(0)
        func next(of connections: [RedisConnection]) -> RedisConnection {
            connections[Int(count.wrappingAdd(1, ordering: .relaxed).oldValue % UInt(connections.count))]
        }
    }

    init(requests: [RedisConnection], aside: [RedisConnection], covered: CoveredWrites?) {
        (self.requests, self.aside, self.covered) = (requests, aside, covered)
    }

    func close() {
        for connection in connections { connection.close() }
    }

    /// Calls `body` when one of them has ended, once for each that does.
    func onClose(_ body: @escaping @Sendable (RedisError) -> Void) {
        for connection in connections { connection.onClose(body) }
    }
}

/// Makes connections that may be used: logged in, with every script at the server, and verified.
struct LineMaker: Sendable {
    let timeout: Duration
    let scripts: [RedisScript]
    let cover: RedisCommand?
    let verify: RedisStore.Verification

    func line(
        to endpoint: RedisEndpoint, on loop: any EventLoop, _ occasion: RedisStore.Occasion
    ) async throws(RedisError) -> RedisLine {
        // It does what an opening asks for. The others come together: each writes something, and they share an fsync.
        var made = [try await connection(to: endpoint, on: loop, occasion)]
        var failure: RedisError?
        await withTaskGroup(of: Result<RedisConnection, RedisError>.self) { tasks in
            for _ in 0..<(cover == nil ? 3 : 4) {
                tasks.addTask {
                    do throws(RedisError) {
                        return .success(try await connection(to: endpoint, on: loop, .open))
                    } catch {
                        return .failure(error)
                    }
                }
            }
            for await result in tasks {
                switch result {
                case .success(let connection): made.append(connection)
                case .failure(let error): failure = failure ?? error
                }
            }
        }
        if let failure {
            for connection in made { connection.close() }
            throw failure
        }
        let (requests, aside) = (Array(made[..<2]), Array(made[2..<4]))
        return RedisLine(
            requests: requests, aside: aside, covered: cover.map { CoveredWrites(over: made[4], cover: $0) })
    }

    private func connection(
        to endpoint: RedisEndpoint, on loop: any EventLoop, _ occasion: RedisStore.Occasion
    ) async throws(RedisError) -> RedisConnection {
        let connection = try await RedisConnection.connect(to: endpoint, on: loop, timeout: timeout)
        do throws(RedisError) {
            try await prepare(connection, occasion, isNew: true)
        } catch {
            connection.close()
            throw error
        }
        return connection
    }

    /// Again and again, also on connections that are in use.
    func prepare(
        _ connection: RedisConnection, _ occasion: RedisStore.Occasion, isNew: Bool = false
    ) async throws(RedisError) {
        let missing = try await missing(connection, triesLoading: isNew)
        for reply in try await connection.send(missing.map(RedisCommand.load)) { _ = try reply.get() }
        try await verify(connection, occasion)
    }

    /// The scripts that the server does not have. All of them are a megabyte, which the server would read and hash for
    /// each connection.
    private func missing(
        _ connection: RedisConnection, triesLoading: Bool
    ) async throws(RedisError) -> [RedisScript] {
        guard !scripts.isEmpty else { return [] }
        var commands = [RedisCommand.exists(scripts)]
        // A server that has all of them is asked for no load: this one finds a user without the right to it.
        if triesLoading { commands.append(.load(Self.smallest)) }
        let replies = try await connection.send(commands)
        for reply in replies { _ = try reply.get() }
        let found = replies[0].list ?? []
        let known = found.compactMap(\.int)
        guard found.count == scripts.count, known.count == scripts.count else {
            throw RedisError(.garbage, "SCRIPT EXISTS did not answer for each script")
        }
        return zip(scripts, known).filter { $0.1 != 1 }.map(\.0)
    }

    private static let smallest = RedisScript(name: "smallest", text: "return 1")
}

extension RedisConnection {
    /// As `send`, and heals a `NOSCRIPT`.
    func send(healing commands: [RedisCommand], deadline: NIODeadline) async throws(RedisError) -> [RedisValue] {
        var replies = try await send(commands, deadline: deadline)
        try await ScriptRepeat(of: commands, replies)?.run(on: self, until: deadline, into: &replies)
        return replies
    }
}
