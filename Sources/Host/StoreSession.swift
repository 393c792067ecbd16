import Logging
import NIOCore
import NIOPosix
import Redis

/// A store in use: its server when that is embedded, and the verified connections.
///
/// The start goes from the inside out, the end the other way, so that whatever was answered still finds its store.
struct StoreSession: Sendable {
    let store: RedisStore
    let group: MultiThreadedEventLoopGroup

    /// Event loops of a session.
    static var loops: Int { max(1, System.coreCount - 1) }

    /// Runs `body` with the store of a configuration.
    /// - Throws: `StartError` when the embedded server can't be started, and what `body` throws.
    static func with(
        _ configuration: HostConfiguration, gate: Gate, scripts: [RedisScript], observer: any RedisObserver,
        log: Logger,
        _ body: (StoreSession) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: loops)
        let failure = await failure {
            try await withServer(configuration, log) { endpoint in
                let store = RedisStore(
                    endpoint: endpoint, group: group, timeout: configuration.state.timeout, scripts: scripts,
                    cover: gate.cover,
                    verify: { connection, occasion throws(RedisError) in
                        try await gate.verification.verify(connection, occasion)
                    },
                    observer: observer, log: log)
                let running = Task { await store.run() }
                let failure = await self.failure { try await body(StoreSession(store: store, group: group)) }
                running.cancel()
                await running.value
                if let failure { throw failure }
            }
        }
        try? await group.shutdownGracefully()
        if let failure { throw failure }
    }

    private static func withServer(
        _ configuration: HostConfiguration, _ log: Logger, _ body: (any RedisLocator) async throws -> Void
    ) async throws {
        if let endpoint = configuration.state.store.endpoint { return try await body(endpoint) }
        guard case .embedded(let directory, let memory) = configuration.state.store else { return }
        let server = EmbeddedRedis(directory: directory, memory: memory, log: log)
        do throws(EmbeddedRedisError) {
            try await server.start()
        } catch {
            throw StartError(error.message)
        }
        let supervision = Task { await server.run() }
        let failure = await failure { try await body(server.endpoint) }
        supervision.cancel()
        await supervision.value
        await server.stop()
        if let failure { throw failure }
    }

    private static func failure(_ body: () async throws -> Void) async -> (any Error)? {
        do {
            try await body()
            return nil
        } catch {
            return error
        }
    }

    /// Waits until the first probe has said something.
    /// - Returns: nil when the store is open, or when the task was cancelled; else why not.
    func firstWord(within bound: Duration) async -> RedisError? {
        let deadline = ContinuousClock.now + bound
        while !Task.isCancelled {
            switch store.state {
            case .open: return nil
            case .shut(let reason) where reason.code != .shut || ContinuousClock.now > deadline: return reason
            case .shut: try? await Task.sleep(for: .milliseconds(10))
            }
        }
        return nil
    }
}
