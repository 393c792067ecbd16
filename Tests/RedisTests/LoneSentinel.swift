import NIOCore
import TestSupport

@testable import Redis

/// A real redis-sentinel that knows of no other, of which some can be set up to disagree.
final class LoneSentinel: Sendable {
    let port: Int
    let process: ChildProcess
    private let directory: TemporaryDirectory
    private let tls: RedisTLS?

    /// - Parameters:
    ///   - masters: by name, with the port on loopback; none at all is fine.
    ///   - tls: what to speak; a host's, whose files are shown by the Sentinel too.
    ///   - quorum: more than there are, if nothing else is said: what it takes for down is not failed over.
    ///   - options: further lines of its file.
    init(
        _ masters: [(name: String, port: Int)], tls: RedisTLS? = nil, quorum: Int = 5, _ options: [String] = []
    ) async throws {
        directory = try TemporaryDirectory()
        port = try freePort()
        self.tls = tls
        var lines = [
            "bind 127.0.0.1", "dir \(directory.path)", tls == nil ? "port \(port)" : "port 0\ntls-port \(port)",
        ]
        if let tls {
            lines += ["tls-cert-file \(tls.certificate ?? "")", "tls-key-file \(tls.key ?? "")"]
            lines += ["tls-ca-cert-file \(tls.authorities ?? "")", "tls-replication yes", "tls-auth-clients yes"]
        }
        for (name, port) in masters {
            lines += ["sentinel monitor \(name) 127.0.0.1 \(port) \(quorum)"]
            lines += ["sentinel down-after-milliseconds \(name) 60000"]
        }
        try Files.write((lines + options).joined(separator: "\n") + "\n", to: directory.file("sentinel.conf"))
        process = try ChildProcess("redis-sentinel", [directory.file("sentinel.conf")], in: directory, name: "sentinel")
        try await eventually("an answer of redis-sentinel; \(process.output.suffix(500))") { [endpoint] in
            do throws(RedisError) {
                try await RedisConnection.connect(to: endpoint, on: loops.next(), timeout: .seconds(5)).close()
                return true
            } catch {
                return error.code == .noAuth
            }
        }
    }

    var endpoint: RedisEndpoint {
        var endpoint = RedisEndpoint(.tcp(host: "127.0.0.1", port: port), tls: tls)
        endpoint.isSentinel = true
        return endpoint
    }

    func command(_ words: String...) async throws(RedisError) -> RedisValue {
        let connection = try await RedisConnection.connect(to: endpoint, on: loops.next(), timeout: .seconds(20))
        defer { connection.close() }
        var command = RedisCommand(words[0])
        for word in words.dropFirst() { command.add(word) }
        return try await connection.send(command)
    }

    /// How many commands it has run.
    var commands: Int {
        get async throws {
            let info = try await command("INFO", "stats").string ?? ""
            let line = info.split(whereSeparator: \.isNewline).first { $0.hasPrefix("total_commands_processed:") }
            return line.flatMap { Int($0.dropFirst(25)) } ?? 0
        }
    }
}
