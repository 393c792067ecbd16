internal import NIOCore

/// The connections of one event loop to one server: what must not wait for replicas has its own.
struct RedisLine: Sendable {
    let plain: RedisConnection
    /// Nil when no replica is waited for.
    let covered: CoveredWrites?

    var connections: [RedisConnection] { [plain] + (covered.map { [$0.connection] } ?? []) }

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
        guard let cover else { return RedisLine(plain: plain, covered: nil) }
        do throws(RedisError) {
            // The first has done what an opening asks for.
            let second = try await connection(to: endpoint, on: loop, .open)
            return RedisLine(plain: plain, covered: CoveredWrites(over: second, cover: cover))
        } catch {
            plain.close()
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
