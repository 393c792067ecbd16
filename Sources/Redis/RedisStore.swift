public import Logging
internal import NIOConcurrencyHelpers
public import NIOCore

/// Hears what becomes of the store, for metrics. Called from any thread; must return at once.
public protocol RedisObserver: Sendable {
    func storeOpened()
    func storeShut(_ reason: RedisError)
    /// Every failed call, error reply and probe, by its code.
    func storeFailed(_ code: RedisError.Code)
}

/// Pipelined connections for each event loop (`RedisLine`), and the decision whether they may be used.
///
/// It falls shut at the first error that puts the server in doubt, and only a verification on a fresh connection
/// opens it again. While it is shut, `send` fails at once.
public final class RedisStore: Sendable {
    public enum State: Sendable, Hashable {
        case open
        /// With the last reason.
        case shut(RedisError)
    }
    /// When a connection is verified.
    public enum Occasion: Sendable {
        /// The store is shut, and opens with this connection if it passes. Nobody else writes meanwhile.
        case opening
        /// The store is open: a further connection, or one that is looked at again.
        case open
    }
    public typealias Verification = @Sendable (RedisConnection, Occasion) async throws(RedisError) -> Void

    private let locator: any RedisLocator
    private let loops: [any EventLoop]
    private let slots: [ObjectIdentifier: Int]
    private let timeout: Duration
    private let maker: LineMaker
    private let observer: any RedisObserver
    private let log: Logger
    /// An open store's connections are verified again at least this often.
    private let interval: Duration
    private let current: NIOLockedValueBox<StoreState<RedisLine>>
    /// Wakes `run` when there may be something to do.
    private let wakes: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation
    /// Ends the pause before the next probe.
    private let hurries: AsyncStream<Void>
    private let hurry: AsyncStream<Void>.Continuation
    /// Of the last probe that found a server.
    private let located = NIOLockedValueBox<RedisEndpoint?>(nil)

    /// - Parameters:
    ///   - endpoint: where the server is, or who knows that.
    ///   - timeout: of connecting, and of each `send`.
    ///   - scripts: those that the server does not have are loaded before each verification.
    ///   - cover: a `WAIT` behind what is sent as covered. Nil: nothing is.
    ///   - verify: what a connection must pass before its first use, and every 10 s. Any error it throws keeps the
    ///     store shut, `.outOfMemory` too: a verification that must not shut a full store takes that as passed.
    public convenience init(
        endpoint: any RedisLocator, group: any EventLoopGroup, timeout: Duration, scripts: [RedisScript],
        cover: RedisCommand? = nil, verify: @escaping Verification, observer: any RedisObserver, log: Logger
    ) {
        self.init(
            endpoint: endpoint, group: group, timeout: timeout, scripts: scripts, cover: cover, verify: verify,
            observer: observer, log: log, interval: .seconds(10))
    }

    init(
        endpoint: any RedisLocator, group: any EventLoopGroup, timeout: Duration, scripts: [RedisScript],
        cover: RedisCommand? = nil, verify: @escaping Verification, observer: any RedisObserver, log: Logger,
        interval: Duration
    ) {
        locator = endpoint
        self.timeout = timeout
        maker = LineMaker(timeout: timeout, scripts: scripts, cover: cover, verify: verify)
        self.observer = observer
        self.log = log
        self.interval = interval
        loops = Array(group.makeIterator())
        slots = Dictionary(uniqueKeysWithValues: loops.enumerated().map { (ObjectIdentifier($1), $0) })
        current = NIOLockedValueBox(StoreState(slots: loops.count))
        (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (hurries, hurry) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    public var state: State {
        switch current.withLockedValue({ $0.phase }) {
        case .open: .open
        case .shut(let reason): .shut(reason)
        case .stopped: .shut(RedisError(.shut, "the store has been stopped"))
        }
    }

    /// How many of the Sentinels answer, and how many there are; nil when none is asked.
    public var sentinels: (answering: Int, known: Int)? { locator.sentinels }

    // MARK: Commands

    /// Sends all in one write on one connection, that of `eventLoop` if it has one; without one, on a connection that
    /// requests do not use. One reply per command, in
    /// order; an error reply is a value. A `NOSCRIPT` is healed: the script is loaded and the command repeated once.
    /// - Throws: `.shut` at once while the store is shut; `.timedOut`, `.reset` or `.garbage` when it is not known
    ///   what became of the commands. It always ends within `timeout`.
    public func send(
        _ commands: [RedisCommand], on eventLoop: (any EventLoop)? = nil, timeout: Duration? = nil
    ) async throws(RedisError) -> [RedisValue] {
        let deadline = NIODeadline.now() + TimeAmount(timeout ?? self.timeout)
        return try await exchange(on: eventLoop) { line throws(RedisError) in
            try await line.connection(for: eventLoop, commands).send(healing: commands, deadline: deadline)
        }.values
    }

    /// What came back, and from which opening of the store.
    public struct Exchange: Sendable {
        public let values: [RedisValue]
        public let opening: Int
    }

    /// As `send`, over connections that nothing else uses, with the reply to the cover behind those to the commands. One
    /// `WAIT` covers what came from several callers while the last one was waited for. Without a cover, as `send`.
    /// - Throws: as `send`; it ends within twice the store's time-out.
    public func sendCovered(
        _ commands: [RedisCommand], on eventLoop: (any EventLoop)?
    ) async throws(RedisError) -> Exchange {
        try await exchange(on: eventLoop) { [timeout] line throws(RedisError) in
            if let covered = line.covered { return try await covered.send(commands) }
            return try await line.connection(for: eventLoop, commands).send(
                healing: commands, deadline: .now() + TimeAmount(timeout))
        }
    }

    /// Whether the store is open, and has been since that opening: what was written is where it was written.
    public func isOpen(since opening: Int) -> Bool {
        current.withLockedValue { state in
            if case .open = state.phase { state.generation == opening } else { false }
        }
    }

    private func exchange(
        on eventLoop: (any EventLoop)?, _ send: (RedisLine) async throws(RedisError) -> [RedisValue]
    ) async throws(RedisError) -> Exchange {
        let slot = eventLoop.flatMap { slots[ObjectIdentifier($0)] }
        switch current.withLockedValue({ $0.pick(slot) }) {
        case .refuse(let error):
            observer.storeFailed(error.code)
            throw error
        case .use(let line, let generation):
            do throws(RedisError) {
                let replies = try await send(line)
                for case .error(let error) in replies { note(RedisError(error), generation) }
                return Exchange(values: replies, opening: generation)
            } catch {
                note(error, generation)
                throw error
            }
        }
    }

    /// - Throws: an error reply too.
    public func send(
        _ command: RedisCommand, on eventLoop: (any EventLoop)? = nil, timeout: Duration? = nil
    ) async throws(RedisError) -> RedisValue {
        try await send([command], on: eventLoop, timeout: timeout)[0].get()
    }

    /// For a caller that finds a reply which can't be (garbage) or that is not good enough (`WAIT`).
    /// - Parameter opening: from which the reply came; nil: from the present one.
    public func shut(because reason: RedisError, since opening: Int? = nil) {
        shut(reason, generation: opening ?? current.withLockedValue { $0.generation })
    }

    private func note(_ error: RedisError, _ generation: Int) {
        observer.storeFailed(error.code)
        if error.shutsStore { shut(error, generation: generation) }
    }

    private func shut(_ reason: RedisError, generation: Int) {
        guard let dropped = current.withLockedValue({ $0.failed(reason, generation: generation) }) else { return }
        for line in dropped { line.close() }
        observer.storeShut(reason)
        log.warning("store shut", metadata: ["reason": "\(reason)", "endpoint": "\(place)"])
        wake.yield()
    }

    private var place: String { located.withLockedValue { $0 }?.description ?? locator.description }

    // MARK: Opening

    /// Connects, verifies, and keeps doing so whenever the store is shut. Runs until cancelled, then closes
    /// everything for good. To be called once.
    public func run() async {
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask { [interval, wake] in
                while (try? await Task.sleep(for: interval / 4)) != nil { wake.yield() }
            }
            tasks.addTask { [locator, loops] in
                await locator.watch(on: loops[0]) { [weak self] in self?.found($0) }
            }
            await supervise()
            tasks.cancelAll()
        }
        for line in current.withLockedValue({ $0.stop() }) { line.close() }
    }

    private func supervise() async {
        await probe()
        var verified = ContinuousClock.now
        var wakes = wakes.makeAsyncIterator()
        while !Task.isCancelled {
            if case .open = state {
                if verified.duration(to: .now) >= interval * 0.7 {
                    await verifyAgain()
                    verified = .now
                } else {
                    await wakes.next()
                }
            } else {
                let delay = current.withLockedValue { $0.probeDelay(random: .random(in: 0...1)) }
                await pause(delay)
                if Task.isCancelled { return }
                await probe()
                verified = .now
            }
        }
    }

    /// The server that takes writes is said to be here.
    private func found(_ address: RedisEndpoint.Address) {
        let (known, generation) = (located.withLockedValue { $0 }, current.withLockedValue { $0.generation })
        guard known?.address != address else { return }
        shut(RedisError(.masterDown, "the master is at \(address) by now"), generation: generation)
        hurry.yield()
    }

    private func pause(_ delay: Duration) async {
        let timer = Task { [hurry] in
            if (try? await Task.sleep(for: delay)) != nil { hurry.yield() }
        }
        for await _ in hurries { break }
        timer.cancel()
    }

    /// One attempt to open the store; when it succeeds, the other loops get their connections.
    private func probe() async {
        do throws(RedisError) {
            let endpoint = try await locator.locate(on: loops[0])
            located.withLockedValue { $0 = endpoint }
            let line = try await maker.line(to: endpoint, on: loops[0], .opening)
            guard let generation = current.withLockedValue({ $0.opened(line, slot: 0) }) else { return line.close() }
            observer.storeOpened()
            log.notice("store open", metadata: ["endpoint": "\(endpoint)"])
            line.onClose { [weak self] in self?.shut($0, generation: generation) }
            await fill(generation, endpoint)
        } catch {
            observer.storeFailed(error.code)
            if current.withLockedValue({ $0.probeFailed(error) }) {
                log.warning("store stays shut", metadata: ["reason": "\(error)", "endpoint": "\(place)"])
            }
        }
    }

    private func fill(_ generation: Int, _ endpoint: RedisEndpoint) async {
        await withTaskGroup(of: Void.self) { tasks in
            for slot in loops.indices.dropFirst() {
                tasks.addTask {
                    do throws(RedisError) {
                        let line = try await self.maker.line(to: endpoint, on: self.loops[slot], .open)
                        let wanted = self.current.withLockedValue { $0.add(line, slot: slot, generation: generation) }
                        guard wanted else { return line.close() }
                        line.onClose { [weak self] in self?.shut($0, generation: generation) }
                    } catch {
                        self.observer.storeFailed(error.code)
                        self.shut(error, generation: generation)
                    }
                }
            }
        }
    }

    private func verifyAgain() async {
        let (lines, generation) = current.withLockedValue { ($0.connections, $0.generation) }
        await withTaskGroup(of: Void.self) { tasks in
            for connection in lines.flatMap(\.connections) {
                tasks.addTask {
                    do throws(RedisError) { try await self.maker.prepare(connection, .open) } catch {
                        self.observer.storeFailed(error.code)
                        self.shut(error, generation: generation)
                    }
                }
            }
        }
    }
}
