import Glibc
import Synchronization

/// A process of a test: in a group of its own, killed when its owner is done with it, however the test ends.
public final class ChildProcess: Sendable {
    /// How a process ended.
    public enum End: Sendable, Equatable {
        case exited(Int32)
        case signalled(Int32)
    }

    public let pid: Int32
    /// Files that hold what it wrote.
    public let outputFile: String
    public let errorFile: String
    private let ended = Mutex<End?>(nil)

    /// - Parameters:
    ///   - executable: a path, or a name that is looked for on the PATH.
    ///   - name: of the two output files in `directory`.
    ///   - environment: on top of this process's own.
    public init(
        _ executable: String, _ arguments: [String], in directory: TemporaryDirectory, name: String,
        environment: [String: String] = [:], input: String = "/dev/null"
    ) throws {
        let path = try Self.find(executable)
        outputFile = directory.file(name + ".out")
        errorFile = directory.file(name + ".err")
        // SAFETY: both are initialised before use and destroyed on the way out.
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        let write = O_WRONLY | O_CREAT | O_APPEND
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputFile, write, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errorFile, write, 0o600)
        // A listening socket that lived on in a child would take connections that nobody answers.
        for descriptor in 3..<Self.descriptors { posix_spawn_file_actions_addclose(&actions, descriptor) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var variables = Self.environment
        variables.merge(environment) { $1 }
        // posix_spawn itself has no portable way to change the directory; env replaces itself, so the id stays.
        let words = Self.copies(["env", "--chdir=" + directory.path, path] + arguments)
        let settings = Self.copies(variables.map { "\($0.key)=\($0.value)" })
        defer { for word in words + settings { free(word) } }
        var child: pid_t = 0
        let code = posix_spawn(&child, "/usr/bin/env", &actions, &attributes, words, settings)
        guard code == 0 else { throw TestFailure("can't start \(executable): \(reason(code))") }
        pid = child
        Orphans.expect(child)
    }

    /// One past the highest that this process can have open.
    private static let descriptors: Int32 = {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1_024 }
        return Int32(clamping: min(limit.rlim_cur, 4_096))
    }()

    deinit { kill() }

    public var isRunning: Bool { end == nil }

    /// How it ended; nil while it runs.
    public var end: End? {
        ended.withLock { ended in
            if ended == nil {
                var status: Int32 = 0
                if waitpid(pid, &status, WNOHANG) == pid { ended = Self.end(status) }
            }
            return ended
        }
    }

    /// Sends a signal to this process alone, if it still runs.
    public func signal(_ number: Int32) {
        ended.withLock { ended in
            // Not reaped before this lock is let go, so the id is still its own.
            if ended == nil { _ = Glibc.kill(pid, number) }
        }
    }

    /// Kills it with its whole group, and waits for its end.
    public func kill() {
        ended.withLock { ended in
            guard ended == nil else { return }
            _ = Glibc.kill(-pid, SIGKILL)
            _ = Glibc.kill(pid, SIGKILL)
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            ended = Self.end(status)
        }
        Orphans.forget(pid)
    }

    /// Waits for its end, with a bound.
    @discardableResult
    public func wait(within bound: Duration = .seconds(20)) async throws -> End {
        try await eventually(find: "the end of process \(pid)", within: bound) { end }
    }

    public var output: String { Files.text(outputFile) ?? "" }
    public var errors: String { Files.text(errorFile) ?? "" }

    /// Runs a command to its end.
    @discardableResult
    public static func run(
        _ executable: String, _ arguments: [String], environment: [String: String] = [:], input: String? = nil,
        within bound: Duration = .seconds(30)
    ) async throws -> (end: End, output: String, errors: String) {
        let directory = try TemporaryDirectory()
        if let input { try Files.write(input, to: directory.file("input")) }
        let child = try ChildProcess(
            executable, arguments, in: directory, name: "run", environment: environment,
            input: input == nil ? "/dev/null" : directory.file("input"))
        let end = try await child.wait(within: bound)
        return (end, child.output, child.errors)
    }

    /// - Throws: `TestFailure` that names the Debian package when `executable` is nowhere.
    public static func find(_ executable: String) throws -> String {
        if executable.contains("/") { return executable }
        let folders = (environment["PATH"] ?? "").split(separator: ":").map(String.init) + ["/usr/sbin", "/usr/bin"]
        for folder in folders where access("\(folder)/\(executable)", X_OK) == 0 { return "\(folder)/\(executable)" }
        let package = packages[executable] ?? executable
        throw TestFailure("\(executable) is missing: apt-get install \(package) (or: make test, which installs it)")
    }

    private static let packages = [
        "redis-benchmark": "redis-tools", "redis-cli": "redis-tools", "promtool": "prometheus",
        "amtool": "prometheus-alertmanager",
    ]

    private static var environment: [String: String] {
        var found: [String: String] = [:]
        for entry in Files.bytes("/proc/self/environ")?.split(separator: 0) ?? [] {
            let text = String(decoding: entry, as: UTF8.self)
            if let sign = text.firstIndex(of: "=") {
                found[String(text[..<sign])] = String(text[text.index(after: sign)...])
            }
        }
        return found
    }

    /// SAFETY: the caller frees them after the spawn, which copies them.
    private static func copies(_ words: [String]) -> [UnsafeMutablePointer<CChar>?] { words.map { strdup($0) } + [nil] }

    private static func end(_ status: Int32) -> End {
        let signal = status & 0x7f
        return signal == 0 ? .exited((status >> 8) & 0xff) : .signalled(signal)
    }
}

/// Kills at the end of the test run what no owner has ended: a failed run leaves nothing behind.
private enum Orphans {
    private static let living = Mutex<Set<Int32>>([])
    private static let atExit: Void = {
        atexit { Orphans.killAll() }
    }()

    static func expect(_ pid: Int32) {
        _ = atExit
        living.withLock { _ = $0.insert(pid) }
    }

    static func forget(_ pid: Int32) { living.withLock { _ = $0.remove(pid) } }

    private static func killAll() {
        for pid in living.withLock({ $0 }) { _ = Glibc.kill(-pid, SIGKILL) }
    }
}
