import Logging
import NIOCore
import NIOPosix
import Redis

/// A store in use, as the first parts of a process: event loops, the server when it is embedded, and the verified connections.
///
/// They stop last, so that the store is there for all other parts.
struct StoreParts: Sendable {
    let store: RedisStore
    let group: MultiThreadedEventLoopGroup
    let parts: [HostPart]

    /// Event loops of a store.
    static var loops: Int { max(1, System.coreCount - 1) }

    /// - Parameters:
    ///   - patience: for the first probe. The next part starts after it.
    ///   - judge: decides what a store means that is not open after that.
    init(
        _ configuration: HostConfiguration, gate: Gate, scripts: [RedisScript], observer: any RedisObserver,
        patience: Duration, log: Logger, judge: @escaping @Sendable (RedisError) throws -> Void
    ) {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: Self.loops)
        let server = configuration.state.store.located(log)
        let store = RedisStore(
            endpoint: server.locator, group: group, timeout: configuration.state.timeout, scripts: scripts,
            cover: gate.cover,
            verify: { connection, occasion throws(RedisError) in
                try await gate.verification.verify(connection, occasion)
            },
            observer: observer, log: log)
        let loops = HostPart("event loops", stop: { try? await group.shutdownGracefully() }) {}
        let connections = HostPart("store") { started in
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { await store.run() }
                if let reason = await store.firstWord(within: patience) { try judge(reason) }
                started()
                try await tasks.waitForAll()
            }
        }
        (self.store, self.group) = (store, group)
        parts = [loops] + (server.embedded.map { [Self.part($0)] } ?? []) + [connections]
    }

    private static func part(_ server: EmbeddedRedis) -> HostPart {
        HostPart("redis-server") { started in
            do throws(EmbeddedRedisError) {
                try await server.start()
            } catch {
                throw StartError(error.message)
            }
            started()
            await server.run()
            await server.stop()
        }
    }
}

extension RedisStore {
    /// Waits for the result of the first probe.
    /// - Returns: nil when the store is open, or when the task was cancelled; else why it is shut.
    fileprivate func firstWord(within bound: Duration) async -> RedisError? {
        let deadline = ContinuousClock.now + bound
        while !Task.isCancelled {
            switch state {
            case .open: return nil
            case .shut(let reason) where reason.code != .shut || ContinuousClock.now > deadline: return reason
            case .shut: try? await Task.sleep(for: .milliseconds(10))
            }
        }
        return nil
    }
}
