import Glibc
import SignalKit

/// The process's limit on open files, and the connections that it leaves to each listener.
///
/// The process must never use up its descriptors: while work waits, libdispatch opens files of /proc each second to count its threads, and
/// ends the process when it can't (`_dispatch_workq_monitor_pools`). So the limit is raised as far as the system allows, and connections get
/// only what a reserve leaves.
struct OpenFiles: Sendable, Equatable {
    /// Connections that a listener accepts beyond its bound, so that it can close them at once. Without them the kernel would hold
    /// them unanswered.
    static let excess = 16
    /// The host without any connection: some 30 descriptors, and as many again for files that are opened for a moment and for a restart
    /// of redis-server.
    static let own = 64
    /// The fewest connections of a listener with which a start makes sense.
    static let fewest = 8

    /// Connections of each listener at once.
    let senders: Int
    let operators: Int
    /// Says that `limits.connections` does not fit, with the numbers; nil when it does.
    let warning: String?

    /// Shares out a limit.
    /// - Throws: `StartError` when it is too low to serve with.
    init(limit: Int, for configuration: HostConfiguration, loops: Int) throws(StartError) {
        let wanted = configuration.server.limits.connections
        let listeners = configuration.server.admin == nil ? 1 : 2
        let reserve = Self.reserve(for: configuration, loops: loops, listeners: listeners)
        let left = limit - reserve
        guard left >= listeners * Self.fewest else {
            throw StartError(
                "the limit on open files is \(limit), and the host needs \(reserve + listeners * Self.fewest) at least: "
                    + "raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd)")
        }
        if left >= wanted * listeners {
            (senders, operators, warning) = (wanted, wanted, nil)
            return
        }
        operators = listeners == 1 ? 0 : min(wanted, max(Self.fewest, left / 8))
        senders = min(wanted, left - operators)
        let shares = listeners == 1 ? "\(senders)" : "\(senders) for senders and \(operators) for operators"
        warning =
            "the limit on open files is \(limit), of which \(reserve) are kept for the host itself: "
            + "\(shares) are left of server.limits.connections (\(wanted) for each listener). "
            + "Raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd), or lower server.limits.connections"
    }

    private static func reserve(for configuration: HostConfiguration, loops: Int, listeners: Int) -> Int {
        // The pollers of a loop and of a loop of the shared group, three descriptors each, and up to five connections to the store.
        let perLoop = 2 * 3 + 5
        let sinks = configuration.sinks.map { sink in
            let most = type(of: sink.plugin).concurrency
            // A sink that takes more than the usual number at once takes them in one go: a file.
            return most <= 64 ? most : 8
        }
        let reviewers = Set(
            configuration.routes.compactMap { route -> String? in
                guard case .kubernetes(let way) = route.authentication else { return nil }
                return way.kubeconfig ?? ""
            }
        ).count
        return own + loops * perLoop + sinks.reduce(0, +) + configuration.sources.count * 16
            + reviewers * KubernetesReviewer.atOnce + listeners * excess
    }

    /// Raises the process's soft limit to its hard one.
    /// - Returns: the limit that holds then.
    static func raise() -> Int {
        var limit = rlimit()
        let which = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(which, &limit) == 0 else { return 1_024 }
        if limit.rlim_cur < limit.rlim_max {
            var raised = rlimit(rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max)
            if setrlimit(which, &raised) == 0 { limit = raised }
        }
        return Int(clamping: limit.rlim_cur)
    }
}
