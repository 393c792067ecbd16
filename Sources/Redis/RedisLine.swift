internal import NIOCore
import Synchronization

/// The connections of one event loop to one server: what must not wait for replicas has its own, and so has what is no
/// request's: behind a flood of those, delivery would have its turn once for all of them.
struct RedisLine: Sendable {
    let plain: RedisConnection
    /// Taken in turns. Redis writes 64 KiB of a reply to each in a turn of its loop, and a claim's is larger.
    let aside: [RedisConnection]
    private let turn = Turn()
    /// Nil when no replica is waited for.
    let covered: CoveredWrites?

    var connections: [RedisConnection] { [plain] + aside + (covered.map { [$0.connection] } ?? []) }

    /// - Parameter eventLoop: of the request that asks; nil when none does.
    func connection(for eventLoop: (any EventLoop)?) -> RedisConnection {
        eventLoop == nil ? aside[turn.next() % aside.count] : plain
    }

    private final class Turn: Sendable {
        private let count = Atomic<UInt>(0)
        func next() -> Int { Int(count.wrappingAdd(1, ordering: .relaxed).oldValue & 0xFFFF) }
    }

    init(plain: RedisConnection, aside: [RedisConnection], covered: CoveredWrites?) {
        (self.plain, self.aside, self.covered) = (plain, aside, covered)
    }

    func close() {
        for connection in connections { connection.close() }
    }

    /// Calls `body` when one of them has ended, once for each that does.
    func onClose(_ body: @escaping @Sendable (RedisError) -> Void) {
        for connection in connections { connection.onClose(body) }
    }
}

/// Makes connections that may be used: logged in, with every script loaded, and verified.
struct LineMaker: Sendable {
    let timeout: Duration
    let scripts: [RedisScript]
    let cover: RedisCommand?
    let verify: RedisStore.Verification

    func line(
        to endpoint: RedisEndpoint, on loop: any EventLoop, _ occasion: RedisStore.Occasion
    ) async throws(RedisError) -> RedisLine {
        let plain = try await connection(to: endpoint, on: loop, occasion)
        var made = [plain]
        // The first has done what an opening asks for.
        do throws(RedisError) {
            for _ in 0..<2 { made.append(try await connection(to: endpoint, on: loop, .open)) }
            let aside = Array(made.dropFirst())
            guard let cover else { return RedisLine(plain: plain, aside: aside, covered: nil) }
            let last = try await connection(to: endpoint, on: loop, .open)
            return RedisLine(plain: plain, aside: aside, covered: CoveredWrites(over: last, cover: cover))
        } catch {
            for connection in made { connection.close() }
            throw error
        }
    }

    private func connection(
        to endpoint: RedisEndpoint, on loop: any EventLoop, _ occasion: RedisStore.Occasion
    ) async throws(RedisError) -> RedisConnection {
        let connection = try await RedisConnection.connect(to: endpoint, on: loop, timeout: timeout)
        do throws(RedisError) {
            try await prepare(connection, occasion)
        } catch {
            connection.close()
            throw error
        }
        return connection
    }

    /// Again and again, also on connections that are in use.
    func prepare(_ connection: RedisConnection, _ occasion: RedisStore.Occasion) async throws(RedisError) {
        for reply in try await connection.send(scripts.map(RedisCommand.load)) { _ = try reply.get() }
        try await verify(connection, occasion)
    }
}

extension RedisConnection {
    /// As `send`, and heals a `NOSCRIPT`.
    func send(healing commands: [RedisCommand], deadline: NIODeadline) async throws(RedisError) -> [RedisValue] {
        var replies = try await send(commands, deadline: deadline)
        try await ScriptRepeat(of: commands, replies)?.run(on: self, until: deadline, into: &replies)
        return replies
    }
}
