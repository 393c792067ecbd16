internal import Glibc
public import Logging
internal import NIOConcurrencyHelpers
internal import NIOPosix

/// A redis-server of the host's own, on a unix socket, with every write fsynced.
///
/// It outlives a host that is killed, and the next one takes it over. One host per directory.
public final class EmbeddedRedis: Sendable {
    /// How long a server may take until it listens, or may leave a question unanswered.
    static let patience: Duration = .seconds(10)
    /// How long it may take to load its data.
    static let loadingPatience: Duration = .seconds(600)
    /// How long it may take to stop when asked to; then it is killed, which loses nothing that was acknowledged.
    static let stopPatience: Duration = .seconds(10)

    private struct Held: Sendable {
        var process: ServerProcess?
        var lock: FileLock?
        var isStopping = false
    }

    private let directory: EmbeddedDirectory
    private let server: String
    private let memory: Int
    private let log: Logger
    private let patience: Duration
    private let held = NIOLockedValueBox(Held())

    /// - Parameters:
    ///   - directory: made when it is not there; relative to the working directory.
    ///   - memory: bytes of data that it may hold; nil for two fifths of what the machine or the container has.
    public convenience init(directory: String, memory: Int? = nil, log: Logger) {
        self.init(directory: directory, server: "redis-server", memory: memory, log: log, patience: Self.patience)
    }

    init(
        directory: String, server: String, memory: Int? = nil, log: Logger,
        patience: Duration = EmbeddedRedis.patience
    ) {
        self.memory = memory ?? EmbeddedSettings.memory(of: MachineMemory.bytes())
        self.directory = EmbeddedDirectory(directory)
        self.server = server
        self.log = log
        self.patience = patience
    }

    /// Known before `start`.
    public var endpoint: RedisEndpoint { RedisEndpoint(.unix(path: directory.socket)) }

    /// Of the server that runs or ran last.
    public var processID: Int32? { held.withLockedValue { $0.process?.pid } }

    /// Locks the directory, then takes over the server that an earlier host left there, or starts one. Returns when
    /// the server answers.
    public func start() async throws(EmbeddedRedisError) {
        try directory.make()
        let lock = try directory.lockHost()
        held.withLockedValue {
            $0.lock = lock; $0.isStopping = false
        }
        do throws(EmbeddedRedisError) {
            try await launch()
        } catch {
            await end()
            throw error
        }
    }

    /// Starts the server again whenever it ends, at growing intervals from 100 ms to 5 s. Runs until cancelled;
    /// the server goes on.
    public func run() async {
        var failures = 0
        while !Task.isCancelled, !held.withLockedValue({ $0.isStopping }) {
            guard let process = held.withLockedValue({ $0.process }) else { return }
            let began = ContinuousClock.now
            while process.isAlive {
                guard (try? await Task.sleep(for: .milliseconds(100))) != nil else { return }
            }
            guard !held.withLockedValue({ $0.isStopping }) else { return }
            if began.duration(to: .now) > .seconds(30) { failures = 0 }
            let delay = Duration.milliseconds(min(5_000, 100 << min(failures, 8)))
            failures += 1
            let end = process.reap()
            log.error(
                "redis-server \(end), starting it again",
                metadata: ["pid": "\(process.pid)", "in": "\(delay)", "directory": "\(directory.path)"])
            guard (try? await Task.sleep(for: delay)) != nil else { return }
            do throws(EmbeddedRedisError) { try await launch() } catch {
                log.error("redis-server did not start", metadata: ["reason": "\(error)"])
            }
        }
    }

    /// Stops the server and gives the directory back. To be called last, after `run` has ended.
    public func stop() async {
        await end()
    }

    /// Gives the directory back without an end of the server, as a host that is killed does.
    func abandon() {
        let lock = held.withLockedValue { held in
            defer { held = Held(isStopping: true) }
            return held.lock
        }
        lock?.release()
    }

    // MARK: Starting

    private func launch() async throws(EmbeddedRedisError) {
        let deadline = ContinuousClock.now + patience
        while true {
            if let lock = try directory.lockServer() {
                // Nobody has this directory. A server of an earlier version of the host, which did not hold the
                // lock, would still answer on the socket; nothing else may.
                if let connection = try await answer() {
                    defer { connection.close() }
                    return try await adopt(connection)
                }
                try spawn(lock)
                return try await awaitAnswer(by: deadline)
            }
            if let connection = try await answer() {
                defer { connection.close() }
                return try await adopt(connection)
            }
            guard ContinuousClock.now < deadline, await pause() else { throw unresponsive }
        }
    }

    private func spawn(_ lock: FileLock) throws(EmbeddedRedisError) {
        let arguments = EmbeddedSettings.arguments(directory, server: server, memory: memory)
        let result = held.withLockedValue { held -> Result<ServerProcess?, EmbeddedRedisError> in
            // Under the same lock that `end` takes: a server that it does not see is never started.
            guard !held.isStopping else { return .success(nil) }
            do throws(EmbeddedRedisError) {
                let process = try ServerProcess(
                    starting: arguments, output: directory.output, inherited: lock.descriptor)
                held.process = process
                return .success(process)
            } catch {
                return .failure(error)
            }
        }
        if let process = try result.get() {
            log.notice("redis-server started", metadata: ["pid": "\(process.pid)", "socket": "\(directory.socket)"])
        }
    }

    private func awaitAnswer(by deadline: ContinuousClock.Instant) async throws(EmbeddedRedisError) {
        while true {
            if let connection = try await answer() {
                await limit(connection)
                return connection.close()
            }
            let (process, isStopping) = held.withLockedValue { ($0.process, $0.isStopping) }
            guard !isStopping else { return }
            if let process, !process.isAlive {
                throw EmbeddedRedisError(
                    .failed,
                    "redis-server \(process.reap()) at its start in \(directory.path): \(directory.lastWords())")
            }
            guard ContinuousClock.now < deadline, await pause() else { throw unresponsive }
        }
    }

    private var unresponsive: EmbeddedRedisError {
        let process = FileLock.read(directory.pidFile).map { " (process \($0), from redis.pid)" } ?? ""
        return EmbeddedRedisError(
            .unresponsive,
            "a redis-server\(process) runs on \(directory.path) but does not answer at \(directory.socket) "
                + "within \(patience); end it and start again")
    }

    /// A server that is full serves on: it takes nothing new until it is drained.
    private func limit(_ connection: RedisConnection) async {
        do throws(RedisError) {
            let used = try await EmbeddedSettings.limit(connection, memory: memory)
            guard used > memory else { return }
            log.error(
                "redis-server holds more than its maxmemory: new signals are refused until it holds less",
                metadata: [
                    "to_do": "drain the queues, or raise state.redis.embedded.max_memory", "used": "\(used)",
                    "maxmemory": "\(memory)", "directory": "\(directory.path)",
                ])
        } catch {
            log.warning("redis-server does not take its maxmemory", metadata: ["reason": "\(error)"])
        }
    }

    private func pause() async -> Bool { (try? await Task.sleep(for: .milliseconds(10))) != nil }

    private func connect() async throws(RedisError) -> RedisConnection {
        // A loop of NIO's own: the server must be there before the host has any.
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        return try await RedisConnection.connect(to: endpoint, on: loop, timeout: .seconds(1))
    }

    /// A connection to a server that serves; nil when there is none yet. Waits while the server loads its data.
    private func answer() async throws(EmbeddedRedisError) -> RedisConnection? {
        let deadline = ContinuousClock.now + Self.loadingPatience
        while !held.withLockedValue({ $0.isStopping }) {
            do throws(RedisError) {
                let connection = try await connect()
                do throws(RedisError) {
                    _ = try await connection.send(RedisCommand("PING"))
                    return connection
                } catch {
                    connection.close()
                    throw error
                }
            } catch {
                guard error.code == .loading else { return nil }
                guard ContinuousClock.now < deadline, await pause() else {
                    throw EmbeddedRedisError(
                        .unresponsive,
                        "redis-server still loads the data in \(directory.path) after \(Self.loadingPatience)")
                }
            }
        }
        return nil
    }

    // MARK: Taking over

    private func adopt(_ connection: RedisConnection) async throws(EmbeddedRedisError) {
        let faults: [String]
        let pid: Int32?
        do throws(RedisError) {
            pid = try await EmbeddedSettings.processID(of: connection)
            faults = try await EmbeddedSettings.faults(of: connection, directory)
        } catch {
            throw EmbeddedRedisError(
                .settings, "the redis-server at \(directory.socket) does not tell its settings: \(error)")
        }
        guard let pid, let process = ServerProcess(adopting: pid) else {
            throw EmbeddedRedisError(.settings, "the redis-server at \(directory.socket) is no process of this machine")
        }
        guard faults.isEmpty else {
            throw EmbeddedRedisError(
                .settings,
                "the redis-server left behind in \(directory.path) (process \(pid)) can't be taken over: "
                    + faults.joined(separator: "; ") + "; end it (kill \(pid)) and start again")
        }
        await limit(connection)
        held.withLockedValue { $0.process = process }
        log.notice(
            "took over the redis-server that was left behind",
            metadata: ["pid": "\(pid)", "socket": "\(directory.socket)"])
    }

    // MARK: Stopping

    private func end() async {
        let process = held.withLockedValue { held in
            held.isStopping = true
            return held.process
        }
        if let process { await end(process) }
        abandon()
    }

    private func end(_ process: ServerProcess) async {
        // To a server with an AOF, SIGTERM is SHUTDOWN: it finishes and syncs its file first. A paused one has to
        // be woken to hear it.
        process.send(SIGTERM)
        process.send(SIGCONT)
        let deadline = ContinuousClock.now + Self.stopPatience
        while process.isAlive, ContinuousClock.now < deadline { await Self.uncancelledPause() }
        if process.isAlive {
            log.warning("redis-server did not stop when asked, killing it", metadata: ["pid": "\(process.pid)"])
            process.send(SIGKILL)
            while process.isAlive, ContinuousClock.now < deadline + .seconds(5) { await Self.uncancelledPause() }
        }
        process.reap()
    }

    /// Stopping goes on when the task that stops is cancelled, which it is at a Ctrl-C.
    private static func uncancelledPause() async {
        await Task.detached { try? await Task.sleep(for: .milliseconds(10)) }.value
    }
}
