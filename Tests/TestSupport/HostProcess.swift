import Glibc
import Synchronization

/// A host's configuration, section by section, so that a test names only what it is about.
public struct HostPlan: Sendable {
    public var limits = ""
    public var server = ""
    public var state: String
    public var adapters = """
          - {use: alertmanager, path: /api/v1/signals/alertmanager, authenticate: none}
          - {use: prometheus,   path: /api/v2/alerts,               authenticate: none}
        """
    /// Items of the list; none if empty.
    public var sources = ""
    public var policies = """
          - {use: deduplicate}
          - {use: storm}
          - {use: persist, durability: fsync}
        """
    /// `%` is the sink's file.
    public var sinks = "  - {use: jsonl, name: file, path: '%', when_full: refuse}"
    public var environment: [String: String] = [:]
    /// Shell commands before the host in its own process, such as `ulimit -n 256`.
    public var shell = ""
    /// Without one its standard error is a pipe that is never read.
    public var hasLogReader = true

    /// - Parameter state: what stands below `state:`.
    public init(state: String) { self.state = state }

    /// How long a store may take where no test takes it away: a machine whose disk stands still is no outage.
    public static let patience = "5s"

    /// The host's own redis-server.
    public static func embedded() -> HostPlan {
        HostPlan(state: "  redis: {embedded: {directory: './var'}}\n  timeout: \(patience)")
    }

    /// A Redis that the test holds. It must be as durable as the plan says.
    /// - Parameters:
    ///   - timeout: short for one that the test takes away.
    ///   - peerWait: longer where a test empties the store of several hosts.
    public static func on(
        _ redis: RedisServer, timeout: String = patience, peerWait: String = "500ms", extra: String = ""
    ) -> HostPlan {
        let keys = "  timeout: \(timeout)\n  peer_wait: \(peerWait)"
        return HostPlan(state: "  redis: {url: '\(redis.url)'\(extra.isEmpty ? "" : ", " + extra)}\n\(keys)")
    }
}

/// A running `portcullis` executable. It is ended with its owner, and so is the redis-server that it may have started.
public final class HostProcess: Sendable {
    public let directory: TemporaryDirectory
    public let plan: HostPlan
    public let port: Int
    public let adminPort: Int
    /// The intake's listener.
    public let http: HTTP
    /// `/metrics`, `/livez`, `/readyz`.
    public let admin: HTTP
    public let sinkFile: String
    public let configurationFile: String
    private let child = Mutex<ChildProcess?>(nil)
    private let unreadLog: UnreadPipe?

    /// Starts it and waits until both listeners answer and its store is open. Two hosts share a store when their plans name the same one.
    public init(_ plan: HostPlan) async throws {
        directory = try TemporaryDirectory()
        self.plan = plan
        port = try freePort()
        adminPort = try freePort()
        http = HTTP(port: port)
        admin = HTTP(port: adminPort)
        sinkFile = directory.file("signals.jsonl")
        configurationFile = directory.file("portcullis.yaml")
        let text = """
            server:
              listen: 127.0.0.1:\(port)
              admin: 127.0.0.1:\(adminPort)
            \(plan.limits.isEmpty ? "" : "  limits: {\(plan.limits)}")
            \(plan.server)
            state:
            \(plan.state.replacing("./var", with: directory.file("var")))
            adapters:
            \(plan.adapters)
            \(plan.sources.isEmpty ? "" : "sources:\n" + plan.sources)
            policies:
            \(plan.policies)
            sinks:
            \(plan.sinks.replacing("%", with: sinkFile))

            """
        try Files.write(text, to: configurationFile)
        unreadLog = plan.hasLogReader ? nil : try UnreadPipe(directory.file("host.err"))
        try await start()
        try await awaitOpen()
    }

    deinit { endEverything() }

    /// Empty without a reader.
    public var log: String { plan.hasLogReader ? child.withLock { $0?.errors } ?? "" : "" }
    public var isRunning: Bool { child.withLock { $0?.isRunning } ?? false }
    public var pid: Int32? { child.withLock { $0?.pid } }
    /// Of the redis-server that this host started.
    public var redisPID: Int32? {
        Files.text(directory.file("var/redis.pid"))?.split(whereSeparator: \.isWhitespace).first.flatMap { Int32($0) }
    }

    /// Starts it (again) with its plan.
    /// - Parameter environment: on top of the plan's.
    public func start(_ environment: [String: String] = [:]) async throws {
        var words = [try Self.executable(), "serve", "--config", configurationFile]
        if !plan.shell.isEmpty { words = ["/bin/sh", "-c", plan.shell + #"; exec "$0" "$@""#] + words }
        let started = try ChildProcess(
            words[0], Array(words.dropFirst()), in: directory, name: "host",
            environment: plan.environment.merging(environment) { $1 })
        child.withLock { $0 = started }
        try await eventually("a listening host", within: .seconds(30)) {
            guard started.isRunning else { throw TestFailure("the host ended at its start: \(log)") }
            guard (try? await admin.get("/livez", timeout: .seconds(2)))?.status == 200 else { return false }
            return (try? await http.get("/", timeout: .seconds(2))) != nil
        }
    }

    /// Waits until the gate takes signals.
    public func awaitOpen(within bound: Duration = .seconds(20)) async throws {
        try await eventually("an open store; the host's log: \(log.suffix(2_000))", within: bound) {
            (try? await metric("portcullis_store_up")) == 1
        }
    }

    /// SIGTERM, and its end.
    @discardableResult
    public func stop(within bound: Duration = .seconds(20)) async throws -> ChildProcess.End {
        guard let running = child.withLock({ $0 }) else { throw TestFailure("the host was never started") }
        running.signal(SIGTERM)
        return try await running.wait(within: bound)
    }

    public func signal(_ number: Int32) { child.withLock { $0?.signal(number) } }

    /// kill -9. Its redis-server lives on.
    public func kill() { child.withLock { $0?.kill() } }

    public func awaitEnd(within bound: Duration = .seconds(20)) async throws -> ChildProcess.End {
        guard let running = child.withLock({ $0 }) else { throw TestFailure("the host was never started") }
        return try await running.wait(within: bound)
    }

    /// Lines of the sink's file that are whole.
    public var delivered: [String] { Files.lines(sinkFile) }

    /// Waits for `count` lines, and returns all there are then.
    public func delivered(_ count: Int, within bound: Duration = .seconds(20)) async throws -> [String] {
        try await eventually("\(count) deliveries; there are \(delivered.count)", within: bound) {
            delivered.count >= count
        }
        return delivered
    }

    /// A sample of `/metrics` by its name with labels, as written there; nil when there is none.
    public func metric(_ name: String) async throws -> Double? {
        for line in try await admin.get("/metrics").text.split(separator: "\n") where line.hasPrefix(name + " ") {
            return Double(line.dropFirst(name.count + 1))
        }
        return nil
    }

    /// Runs another command of the same executable on this host's configuration.
    public func command(_ words: String..., within bound: Duration = .seconds(30)) async throws
        -> (end: ChildProcess.End, output: String, errors: String)
    {
        try await ChildProcess.run(Self.executable(), words + ["--config", configurationFile], within: bound)
    }

    /// The executable under test: `PORTCULLIS_EXECUTABLE`, or the one that was built beside this test bundle.
    public static func executable() throws -> String {
        if let named = getenv("PORTCULLIS_EXECUTABLE") { return String(cString: named) }
        var path = [UInt8](repeating: 0, count: 4_096)
        // SAFETY: the array is the buffer for the duration of the call, and of this length.
        let count = path.withUnsafeMutableBytes {
            $0.withMemoryRebound(to: CChar.self) { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
        }
        let own = String(decoding: path.prefix(max(0, count)), as: UTF8.self)
        let candidates = [
            own.prefix(upTo: own.lastIndex(of: "/") ?? own.endIndex) + "/portcullis",
            "\(Repository.root)/.build/debug/portcullis",
        ]
        for candidate in candidates where access(String(candidate), X_OK) == 0 { return String(candidate) }
        throw TestFailure("there is no portcullis executable: swift build --build-tests makes one")
    }

    /// The host, and the redis-server that it may have left behind, which is no child of this process.
    private func endEverything() {
        child.withLock { $0?.kill() }
        guard let redis = redisPID, let line = Files.text("/proc/\(redis)/cmdline"),
            line.contains("redis-server"), line.contains(directory.path)
        else { return }
        _ = Glibc.kill(redis, SIGKILL)
    }
}

/// A named pipe of one page that is open for reading and never read.
private final class UnreadPipe: Sendable {
    private let descriptor: Int32

    init(_ path: String) throws {
        guard mkfifo(path, 0o600) == 0 else { throw TestFailure("can't make the pipe \(path): \(reason())") }
        descriptor = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw TestFailure("can't open the pipe \(path): \(reason())") }
        // Of Linux; the headers hide its name from Swift.
        let setPipeSize: Int32 = 1_031
        _ = fcntl(descriptor, setPipeSize, 4_096)
    }

    deinit { close(descriptor) }
}

extension String {
    fileprivate func replacing(_ word: String, with other: String) -> String {
        split(separator: word, omittingEmptySubsequences: false).joined(separator: other)
    }
}
