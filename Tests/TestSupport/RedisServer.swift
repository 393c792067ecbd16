import Glibc
import Synchronization

/// A real redis-server that a test starts, stops, freezes and restarts. Nothing is kept unless `options` say so.
public final class RedisServer: Sendable {
    /// Nil when it listens on a unix socket only.
    public let port: Int?
    public let socketPath: String
    public let directory: TemporaryDirectory
    private let options: [String]
    private let child = Mutex<ChildProcess?>(nil)

    /// - Parameters:
    ///   - options: words of redis-server's command line, `["--maxmemory", "10mb"]`.
    ///   - tcp: listen on a free loopback port too.
    public init(_ options: [String] = [], tcp: Bool = true) async throws {
        directory = try TemporaryDirectory()
        socketPath = directory.file("redis.sock")
        port = tcp ? try freePort() : nil
        self.options = options
        try await start()
    }

    /// AOF with an fsync before each answer, as `durability: fsync` asks for.
    public static func durable(_ options: [String] = [], tcp: Bool = true) async throws -> RedisServer {
        try await RedisServer(["--appendonly", "yes", "--appendfsync", "always"] + options, tcp: tcp)
    }

    deinit { child.withLock { $0?.kill() } }

    public var pid: Int32? { child.withLock { $0?.pid } }
    public var isRunning: Bool { child.withLock { $0?.isRunning ?? false } }
    /// `redis://127.0.0.1:<port>/0`
    public var url: String { "redis://127.0.0.1:\(port ?? 0)/0" }

    /// Starts it with its options, its directory and its role as the last run left them, and waits until it answers anything.
    public func start() async throws {
        let file = directory.file("redis.conf")
        if Files.text(file) == nil { try Files.write(configuration, to: file) }
        let started = try ChildProcess("redis-server", [file], in: directory, name: "redis")
        child.withLock { $0 = started }
        try await eventually("an answer from redis-server") {
            guard started.isRunning else { throw TestFailure("redis-server ended: \(started.output)") }
            guard let answer = try? await answer(["PING"], timeout: .seconds(1)) else { return false }
            if case .error(let text) = answer { return !text.hasPrefix("LOADING") }
            return true
        }
    }

    /// A file, because a Sentinel has the server write its role there: a restart is to find it.
    private var configuration: String {
        let words = [
            "--bind", "127.0.0.1", "--port", String(port ?? 0), "--unixsocket", socketPath, "--dir", directory.path,
            "--save", "",
        ]
        var lines: [String] = []
        for word in words + options {
            if word.hasPrefix("--") {
                lines.append(String(word.dropFirst(2)))
            } else {
                lines[lines.count - 1] += " " + (word.isEmpty ? "\"\"" : word)
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Ends it in order, as `systemctl stop` would.
    public func stop() async throws {
        guard let running = child.withLock({ $0 }) else { return }
        running.signal(SIGTERM)
        try await running.wait()
    }

    /// kill -9.
    public func kill() { child.withLock { $0?.kill() } }

    /// Stops answering without closing anything.
    public func freeze() { child.withLock { $0?.signal(SIGSTOP) } }
    public func thaw() { child.withLock { $0?.signal(SIGCONT) } }

    /// kill -9 and start again; `empty` removes what it had kept.
    public func restart(empty: Bool = false) async throws {
        kill()
        if empty {
            for name in Files.names(in: directory.path) where name.hasPrefix("appendonlydir") || name.hasSuffix(".rdb")
            {
                Files.remove(directory.file(name))
            }
        }
        try await start()
    }

    /// - Throws: `TestFailure` with Redis's own words when the reply is an error.
    @discardableResult
    public func command(_ words: String..., password: String? = nil) async throws -> RedisReply {
        let reply = try await answer(words, password: password)
        if case .error(let text) = reply { throw TestFailure("\(words.first ?? ""): \(text)") }
        return reply
    }

    /// The reply, whatever it is, over a connection of its own.
    public func answer(_ words: [String], password: String? = nil, timeout: Duration = .seconds(5)) async throws
        -> RedisReply
    {
        try await RedisReply.ask(socketPath, words, password: password, timeout: timeout)
    }
}

/// What Redis answers (RESP2).
public indirect enum RedisReply: Sendable, Equatable {
    case null
    case integer(Int64)
    case text(String)
    case bytes([UInt8])
    case list([RedisReply])
    case error(String)

    public var integer: Int64? { if case .integer(let value) = self { value } else { nil } }
    public var list: [RedisReply] { if case .list(let items) = self { items } else { [] } }
    public var string: String? {
        switch self {
        case .text(let text): text
        case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
        case .integer(let value): String(value)
        default: nil
        }
    }

    /// One command over one connection to a unix socket.
    public static func ask(
        _ socketPath: String, _ words: [String], password: String? = nil, timeout: Duration = .seconds(5)
    ) async throws -> RedisReply {
        try await ask(.unix(path: socketPath), words, password: password, timeout: timeout)
    }

    /// One command over one connection.
    static func ask(
        _ place: Socket.Address, _ words: [String], password: String? = nil, timeout: Duration = .seconds(5)
    ) async throws -> RedisReply {
        try await onThread {
            let socket = try Socket(to: place, timeout: timeout)
            var reader = ReplyReader(socket: socket)
            if let password {
                try socket.write(encode(["AUTH", password]))
                _ = try reader.reply()
            }
            try socket.write(encode(words))
            return try reader.reply()
        }
    }

    private static func encode(_ words: [String]) -> [UInt8] {
        var out = Array("*\(words.count)\r\n".utf8)
        for word in words { out += "$\(word.utf8.count)\r\n\(word)\r\n".utf8 }
        return out
    }
}

private struct ReplyReader {
    let socket: Socket
    var waiting: ArraySlice<UInt8> = []

    init(socket: Socket) { self.socket = socket }

    mutating func reply() throws -> RedisReply {
        let line = try line()
        let rest = String(line.dropFirst())
        switch line.first {
        case "+": return .text(rest)
        case "-": return .error(rest)
        case ":": return .integer(Int64(rest) ?? 0)
        case "$":
            guard let count = Int(rest), count >= 0 else { return .null }
            let bytes = try take(count)
            _ = try take(2)
            return .bytes(bytes)
        case "*":
            guard let count = Int(rest), count >= 0 else { return .null }
            var items: [RedisReply] = []
            for _ in 0..<count { items.append(try reply()) }
            return .list(items)
        default: throw TestFailure("not a reply of Redis: \(line)")
        }
    }

    private mutating func line() throws -> String {
        while true {
            if let end = waiting.firstIndex(of: UInt8(ascii: "\r")), end + 1 < waiting.endIndex {
                let line = String(decoding: waiting[..<end], as: UTF8.self)
                waiting = waiting[(end + 2)...]
                return line
            }
            try more()
        }
    }

    private mutating func take(_ count: Int) throws -> [UInt8] {
        while waiting.count < count { try more() }
        defer { waiting = waiting.dropFirst(count) }
        return Array(waiting.prefix(count))
    }

    private mutating func more() throws {
        let bytes = try socket.read()
        guard !bytes.isEmpty else { throw TestFailure("Redis closed the connection") }
        waiting = ArraySlice(Array(waiting) + bytes)
    }
}
