import Glibc
import Logging
import NIOConcurrencyHelpers
import UnixSignals

/// The signals that end the process gracefully, from before anything is started until everything has been stopped: a signal that
/// ended it at once would leave its redis-server behind.
final class StopSignals: Sendable {
    /// End the process.
    private static let ending: [UnixSignal] = [.sigterm, .sigint, .sigquit]
    /// Would end it by default, and are only logged.
    private static let logged: [UnixSignal] = [.sighup, .sigusr1, .sigusr2, .sigalrm]
    /// Would end it too, and say nothing that the failed call does not say as well, or come from no operator.
    private static let ignored = [SIGPIPE, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO]

    private enum Phase {
        /// Work that can be given up.
        case starting(Task<Void, any Error>?)
        /// Work that ends by itself when it hears of the signal.
        case serving(@Sendable () -> Void)
        case stopping(cancelled: Bool)
    }
    private let phase = NIOLockedValueBox(Phase.starting(nil))
    private let log: Logger

    private init(_ log: Logger) { self.log = log }

    /// Runs `work`. A signal that ends the process cancels it, until it calls `hear`.
    /// - Returns: false when a signal cancelled the work.
    /// - Throws: what `work` throws, unless a signal had cancelled it.
    @discardableResult
    static func heard(
        _ log: Logger, during work: @escaping @Sendable (StopSignals) async throws -> Void
    ) async throws -> Bool {
        for number in ignored { signal(number, SIG_IGN) }
        let signals = StopSignals(log)
        let trapped = await UnixSignalsSequence(trapping: ending + logged)
        let trapping = Task {
            for await signal in trapped { signals.came(signal) }
        }
        defer { trapping.cancel() }
        let task = Task { try await work(signals) }
        signals.began(task)
        do {
            try await task.value
            return true
        } catch {
            guard signals.hasCancelled else { throw error }
            log.notice("stopped")
            return false
        }
    }

    /// From now on a signal calls `end` instead of cancelling the work; at once, if one has come already.
    func hear(_ end: @escaping @Sendable () -> Void) {
        let isLate = phase.withLockedValue { phase in
            if case .stopping = phase { return true }
            phase = .serving(end)
            return false
        }
        if isLate { end() }
    }

    private var hasCancelled: Bool {
        phase.withLockedValue { if case .stopping(cancelled: true) = $0 { true } else { false } }
    }

    private func began(_ task: Task<Void, any Error>) {
        let isLate = phase.withLockedValue { phase in
            switch phase {
            case .starting: phase = .starting(task)
            case .serving: break
            case .stopping: return true
            }
            return false
        }
        if isLate { task.cancel() }
    }

    private func came(_ signal: UnixSignal) {
        guard Self.ending.contains(signal) else {
            let why =
                signal == .sighup
                ? "reloading the configuration is not supported yet: restart the host" : "it has no meaning here"
            return log.warning("signal ignored", metadata: ["signal": "\(signal)", "reason": "\(why)"])
        }
        log.notice("stopping", metadata: ["signal": "\(signal)"])
        let before = phase.withLockedValue { phase in
            let before = phase
            switch before {
            case .starting: phase = .stopping(cancelled: true)
            case .serving: phase = .stopping(cancelled: false)
            case .stopping: break
            }
            return before
        }
        switch before {
        case .starting(let task): task?.cancel()
        case .serving(let end): end()
        case .stopping: break
        }
    }
}
