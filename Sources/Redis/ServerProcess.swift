internal import CHiredis
internal import Glibc

/// A redis-server process: started here, or left behind by an earlier host and so not a child of ours.
struct ServerProcess: Sendable, Hashable {
    let pid: Int32
    /// Clock ticks since boot when it started: with the pid it names one process for good.
    private let started: String
    private let isChild: Bool

    /// A process that runs already.
    /// - Returns: nil when there is none of that id.
    init?(adopting pid: Int32) {
        guard let status = Self.status(pid) else { return nil }
        (self.pid, started, isChild) = (pid, status.started, false)
    }

    /// Starts `arguments[0]`, looked for on the path, in a process group of its own: a Ctrl-C at the terminal goes
    /// to the host, which stops the server last.
    /// - Parameter inherited: a descriptor that the new process keeps open, as number 3.
    init(starting arguments: [String], output: String, inherited: Int32) throws(EmbeddedRedisError) {
        // SAFETY: both are initialised before use and destroyed on the way out.
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        posix_spawn_file_actions_adddup2(&actions, inherited, 3)
        posix_spawn_file_actions_addclosefrom_np(&actions, 4)
        // The host may block or ignore signals; its child should not inherit that.
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        // SAFETY: the copies live until the spawn has returned, which reads them before.
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var child: pid_t = 0
        // What the server writes is nobody else's to read. The mask is the whole process's: a file that another thread makes in this
        // moment is private too, and no looser.
        let mask = umask(0o077)
        let code = posix_spawnp(&child, arguments[0], &actions, &attributes, words, environ)
        umask(mask)
        guard code == 0 else {
            if code == ENOENT {
                throw EmbeddedRedisError(
                    .missing,
                    "no \(arguments[0]) on the PATH; on Debian and Ubuntu it is in the package redis-server "
                        + "(apt-get install redis-server)")
            }
            throw EmbeddedRedisError(.failed, "can't start \(arguments[0]): \(reason(code))")
        }
        (pid, started, isChild) = (child, Self.status(child)?.started ?? "", true)
    }

    /// A process that has ended counts as gone before anyone has waited for it: whoever adopts an orphan may never.
    var isAlive: Bool {
        // The first thread of a child may be a zombie while others still end; only then can it be waited for.
        if isChild {
            var end = siginfo_t()
            guard waitid(P_PID, id_t(pid), &end, WEXITED | WNOHANG | WNOWAIT) == 0 else { return false }
            return end._sifields._sigchld.si_pid == 0
        }
        guard let status = Self.status(pid) else { return false }
        return status.started == started && status.state != "Z" && status.state != "X"
    }

    /// Forgets a child that has ended.
    /// - Returns: how it ended, in words, when it was ours to know.
    @discardableResult
    func reap() -> String {
        var status: Int32 = 0
        guard isChild, waitpid(pid, &status, WNOHANG) == pid else { return "ended" }
        let signal = status & 0x7f
        return signal == 0 ? "exited with status \((status >> 8) & 0xff)" : "was killed by signal \(signal)"
    }

    func send(_ signal: Int32) {
        guard isAlive else { return }
        kill(pid, signal)
    }

    /// From `/proc/<pid>/stat`: the state letter and the start time, fields 3 and 22. The name, field 2, may hold
    /// anything, so the fields are counted from its closing bracket.
    private static func status(_ pid: Int32) -> (state: String, started: String)? {
        guard pid > 0, let file = fopen("/proc/\(pid)/stat", "re") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1024)
        let count = fread(&bytes, 1, bytes.count, file)
        let text = String(decoding: bytes.prefix(count), as: UTF8.self)
        guard let bracket = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: bracket)...].split(separator: " ")
        guard fields.count > 19 else { return nil }
        return (String(fields[0]), String(fields[19]))
    }
}
