import Glibc
import Synchronization

/// A Redis that a test can do everything to, whichever way it was started.
public protocol RedisInstance: Sendable {
    var port: Int? { get }
    var pid: Int32? { get }
    var isRunning: Bool { get }
    /// Starts it (again) on what it had kept, and waits until it answers.
    func start() async throws
    /// Ends it in order.
    func stop() async throws
    /// kill -9.
    func kill()
    func freeze()
    func thaw()
}

extension RedisServer: RedisInstance {}

/// A member of the group of deploy/redis-ha: a Redis and a Sentinel, started by that folder's scripts on its own files. What a
/// test changes is what group.sh lists: ports, directories, names, and how long it takes for a master to be down.
public final class DeployedMember: RedisInstance {
    public let place: Int
    public let port: Int?
    public let sentinelPort: Int
    /// Of the Redis and the Sentinel, as on a pod's volume.
    public let data: String
    public let environment: [String: String]
    private let directory: TemporaryDirectory
    private let running = Mutex<(redis: ChildProcess?, sentinel: ChildProcess?)>((nil, nil))

    init(place: Int, port: Int, sentinelPort: Int, _ settings: [String: String]) throws {
        directory = try TemporaryDirectory()
        (self.place, self.port, self.sentinelPort) = (place, port, sentinelPort)
        data = directory.file("data")
        environment = settings.merging(["SELF": "redis-ha-\(place)", "DATA": data, "RUN": directory.file("run")]) { $1 }
    }

    deinit { killPod() }

    // MARK: The pod

    /// Starts both, and waits for neither: a member waits for others.
    public func launch() throws {
        try launchSentinel()
        try launchRedis()
    }

    public func launchRedis() throws {
        let started = try process("start-redis", "redis")
        running.withLock { $0.redis = started }
    }

    public func launchSentinel() throws {
        let started = try process("start-sentinel", "sentinel")
        running.withLock { $0.sentinel = started }
    }

    /// kill -9 of both, as a node's loss.
    public func killPod() {
        let (redis, sentinel) = running.withLock { $0 }
        redis?.kill()
        sentinel?.kill()
    }

    /// As the kubelet stops a pod: what runs before, then SIGTERM for Redis, and for its sidecar when it has ended.
    public func stopPod() async throws {
        _ = try await script("hand-over")
        try await stop()
        sentinel?.signal(SIGTERM)
        try await sentinel?.wait()
    }

    /// Loses its volume.
    public func erase() { Files.remove(data) }

    public var sentinel: ChildProcess? { running.withLock { $0.sentinel } }

    // MARK: Its Redis

    public var pid: Int32? { redis?.pid }
    public var isRunning: Bool { redis?.isRunning ?? false }

    public func start() async throws {
        try launchRedis()
        try await eventually("an answer from member \(place); its log: \(log.suffix(1_000))", within: .seconds(60)) {
            guard isRunning else { throw TestFailure("the Redis of member \(place) ended: \(log)") }
            return try await script("probe", "alive", String(port ?? 0)).end == .exited(0)
        }
    }

    public func stop() async throws {
        redis?.signal(SIGTERM)
        try await eventually("the end of member \(place)'s Redis; its log: \(log.suffix(2_000))", within: .seconds(30))
        {
            redis?.end != nil
        }
    }

    public func kill() { redis?.kill() }
    public func freeze() { redis?.signal(SIGSTOP) }
    public func thaw() { redis?.signal(SIGCONT) }

    /// What its Redis and the script that starts it have written.
    public var log: String { redis.map { $0.output + $0.errors } ?? "" }

    private var redis: ChildProcess? { running.withLock { $0.redis } }

    // MARK: Scripts

    /// Runs a script of the folder as in this member's pod.
    @discardableResult
    public func script(_ name: String, _ words: String..., input: String? = nil) async throws
        -> (end: ChildProcess.End, output: String, errors: String)
    {
        try await ChildProcess.run(
            "sh", [RedisGroup.folder + "/\(name).sh"] + words, environment: environment, input: input,
            within: .seconds(120))
    }

    /// What its Redis answers the operator, line by line, errors too.
    @discardableResult
    public func redis(_ words: String...) async throws -> [String] { try await ask("redis", words) }

    /// What its Sentinel answers the operator, line by line, errors too.
    @discardableResult
    public func sentinel(_ words: String...) async throws -> [String] { try await ask("sentinel", words) }

    /// What its Redis or Sentinel has refused anybody, `<user> <command>` each.
    public func refusals() async throws -> Set<String> {
        var found: Set<String> = []
        for which in ["redis", "sentinel"] {
            let words = try await ask(which, ["ACL", "LOG"])
            let pairs = zip(words, words.dropFirst())
            let (what, who) = (pairs.filter { $0.0 == "object" }, pairs.filter { $0.0 == "username" })
            found.formUnion(zip(who, what).map { "\($0.1) \($1.1)" })
        }
        return found
    }

    func ask(_ which: String, _ words: [String]) async throws -> [String] {
        let run = try await ChildProcess.run(
            "sh", [RedisGroup.folder + "/ask.sh", which] + words, environment: environment)
        return (run.output + run.errors).split(whereSeparator: \.isNewline).map(String.init)
    }

    private func process(_ script: String, _ name: String) throws -> ChildProcess {
        try ChildProcess(
            "sh", [RedisGroup.folder + "/\(script).sh"], in: directory, name: name, environment: environment)
    }
}
