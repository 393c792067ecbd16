import Logging
import ServiceLifecycle
import UnixSignals

/// A part of a process, run as a service of one `ServiceGroup` (decision 0029).
///
/// Parts start in their order: each when the one before it has started. The group stops them in reverse: each when the one after it
/// has ended.
struct HostPart: Sendable {
    let name: String
    /// How long the part may take to end: a sink, a source or a client that hangs must not keep the process. Nil for a part that
    /// always ends.
    let patience: Duration?
    /// Whether the process ends when this part has done its work; any other part then waits for its turn to stop. Only for the last
    /// part: when a service ends while the group stops another one, the group cancels all of them.
    let endsAll: Bool
    let stop: (@Sendable () async -> Void)?
    let work: @Sendable (_ started: @escaping @Sendable () -> Void) async throws -> Void

    /// - Parameters:
    ///   - stop: ends the work; nil cancels it.
    ///   - starting: the work. It calls its argument once, and the next part starts. An error of it stops all parts and ends the process.
    init(
        _ name: String, patience: Duration? = nil, endsAll: Bool = false, stop: (@Sendable () async -> Void)? = nil,
        starting work: @escaping @Sendable (_ started: @escaping @Sendable () -> Void) async throws -> Void
    ) {
        (self.name, self.patience, self.endsAll, self.stop, self.work) = (name, patience, endsAll, stop, work)
    }

    /// A part that has started as soon as its work begins.
    init(
        _ name: String, patience: Duration? = nil, endsAll: Bool = false, stop: (@Sendable () async -> Void)? = nil,
        work: @escaping @Sendable () async throws -> Void
    ) {
        self.init(name, patience: patience, endsAll: endsAll, stop: stop) { started in
            started()
            try await work()
        }
    }

    /// Runs the parts until one fails, until the last one ends all, or until one of the signals.
    /// - Throws: the error of the part that failed.
    static func run(_ parts: [HostPart], endedBy signals: [UnixSignal], log: Logger) async throws {
        let milestones = parts.map { _ in Milestone() }
        let services = parts.indices.map { place in
            ServiceGroupConfiguration.ServiceConfiguration(
                service: PartService(
                    part: parts[place], before: place == 0 ? nil : milestones[place - 1], started: milestones[place],
                    log: log),
                successTerminationBehavior: .gracefullyShutdownGroup,
                failureTerminationBehavior: .gracefullyShutdownGroup, serviceName: parts[place].name)
        }
        try await ServiceGroup(
            configuration: ServiceGroupConfiguration(services: services, gracefulShutdownSignals: signals, logger: log)
        ).run()
    }
}

private struct PartService: Service {
    let part: HostPart
    let before: Milestone?
    let started: Milestone
    let log: Logger

    func run() async throws {
        if let before, await !before.wait() { return }
        let over = Milestone()
        // No child task: one that hangs would keep the group for good.
        let work = Task {
            do { try await part.work { [started] in started.reach() } } catch {
                over.reach()
                throw error
            }
            if part.endsAll { over.reach() }
        }
        if await over.wait() { return try await work.value }
        let end = { @Sendable in
            if let stop = part.stop { await stop() } else { work.cancel() }
            _ = await work.result
        }
        guard let patience = part.patience else { return await end() }
        if await !bounded(by: patience, end) {
            log.warning("a part of the host did not end in time", metadata: ["part": "\(part.name)"])
        }
    }

    /// - Returns: false when `body` goes on after `bound`.
    private func bounded(by bound: Duration, _ body: @escaping @Sendable () async -> Void) async -> Bool {
        let ends = AsyncStream<Bool>.makeStream()
        let work = Task {
            await body()
            ends.continuation.yield(true)
        }
        let timer = Task {
            try? await Task.sleep(for: bound)
            ends.continuation.yield(false)
        }
        defer {
            work.cancel()
            timer.cancel()
        }
        for await hasEnded in ends.stream { return hasEnded }
        return false
    }
}

/// Reached once; one service waits for it.
private struct Milestone: Sendable {
    private let reaching = AsyncStream<Void>.makeStream()

    func reach() { reaching.continuation.finish() }

    /// - Returns: false when the turn of the waiting service to stop comes first.
    func wait() async -> Bool {
        await withTaskCancellationOrGracefulShutdownHandler {
            for await _ in reaching.stream {}
        } onCancelOrGracefulShutdown: {
            reach()
        }
        return !Task.isShuttingDownGracefully && !Task.isCancelled
    }
}
