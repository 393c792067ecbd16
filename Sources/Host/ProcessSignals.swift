import Glibc
import Logging
import UnixSignals

/// The signals of the system. None may end the process at once: that would leave its redis-server behind.
enum ProcessSignals {
    /// End the process gracefully: the `ServiceGroup` traps them, before it starts a part and until it has stopped the last one. It
    /// ignores a second one.
    private static let ending: [UnixSignal] = [.sigterm, .sigint, .sigquit]
    /// Would end it too, and become a SIGTERM: the limit on CPU time, a power failure, what container runtimes may be told to send
    /// (SIGRTMIN+3 stops systemd). 34 and 64 are SIGRTMIN and SIGRTMAX of glibc.
    private static let terminating = [SIGXCPU, SIGPWR, SIGSTKFLT] + Array(34...64)
    /// Would end it by default, and are only logged.
    private static let logged: [UnixSignal] = [.sighup, .sigusr1, .sigusr2, .sigalrm]
    /// Would end it too. They tell no more than the call that fails, or no operator sends them.
    private static let ignored = [SIGPIPE, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO]

    /// Runs the parts of a process until a signal ends it, one of them fails, or the last one ends all.
    /// - Throws: the error of the part that failed.
    static func run(_ parts: [HostPart], log: Logger) async throws {
        for number in ignored { signal(number, SIG_IGN) }
        for number in terminating { signal(number) { _ in kill(getpid(), SIGTERM) } }
        try await HostPart.run([tellingLogged(log)] + parts, endedBy: ending, log: log)
    }

    /// The first part: the others start when these signals are trapped.
    private static func tellingLogged(_ log: Logger) -> HostPart {
        HostPart("signals") { started in
            let trapped = await UnixSignalsSequence(trapping: logged)
            started()
            for await signal in trapped {
                let reason =
                    signal == .sighup
                    ? "reloading the configuration is not supported yet: restart the host" : "it has no meaning here"
                log.warning("signal ignored", metadata: ["signal": "\(signal)", "reason": "\(reason)"])
            }
        }
    }
}
