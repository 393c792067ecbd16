import Foundation
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

@testable import Redis

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
let loops: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton

struct TimedOut: Error, CustomStringConvertible {
    let description: String
}

/// Waits for something that will happen, with a bound.
func eventually(_ what: String, within bound: Duration = .seconds(20), _ condition: () async -> Bool) async throws {
    let deadline = ContinuousClock.now + bound
    while await !condition() {
        guard ContinuousClock.now < deadline else { throw TimedOut(description: "never happened: \(what)") }
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// A directory that goes away with its owner.
final class Scratch: Sendable {
    let path: String

    init(_ name: String = "") {
        path = "/tmp/portcullis-test-" + String(UInt64.random(in: 0...(.max)), radix: 36) + name
        mkdir(path, 0o700)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A real redis-server on a unix socket. Killed when it goes out of scope.
final class TestServer: @unchecked Sendable {  // SAFETY: used by one test at a time
    let scratch = Scratch()
    let arguments: [String]
    private(set) var process: ServerProcess
    var endpoint: RedisEndpoint { RedisEndpoint(.unix(path: scratch.path + "/r")) }

    init(_ further: String...) async throws {
        arguments =
            ["redis-server", "--port", "0", "--unixsocket", scratch.path + "/r", "--dir", scratch.path, "--save", ""]
            + further
        process = try Self.start(arguments, scratch)
        try await awaitAnswer()
    }

    private static func start(_ arguments: [String], _ scratch: Scratch) throws -> ServerProcess {
        let none = open("/dev/null", O_RDONLY)
        defer { close(none) }
        return try ServerProcess(starting: arguments, output: scratch.path + "/out", inherited: none)
    }

    func restart() async throws {
        process = try Self.start(arguments, scratch)
        try await awaitAnswer()
    }

    private func awaitAnswer() async throws {
        try await eventually("an answer of redis-server") { [endpoint] in
            do throws(RedisError) {
                let connection = try await RedisConnection.connect(to: endpoint, on: loops.next())
                defer { connection.close() }
                _ = try await connection.send(RedisCommand("PING"))
                return true
            } catch {
                return error.code == .noAuth
            }
        }
    }

    func connect(timeout: Duration = .seconds(20)) async throws(RedisError) -> RedisConnection {
        try await RedisConnection.connect(to: endpoint, on: loops.next(), timeout: timeout)
    }

    func kill() async throws {
        process.send(SIGKILL)
        try await eventually("the end of redis-server") { !process.isAlive }
        process.reap()
    }

    deinit {
        process.send(SIGKILL)
        process.reap()
    }
}

/// A server that answers whatever it is told to, on a unix socket.
final class FakeServer: Sendable {
    let scratch: Scratch
    let channel: any Channel
    var endpoint: RedisEndpoint { RedisEndpoint(.unix(path: scratch.path + "/r")) }

    /// - Parameter answers: the bytes for the first read, the second, …
    init(_ answers: [String]) async throws {
        let scratch = Scratch()
        channel = try await ServerBootstrap(group: loops)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Answering(answers))
                }
            }
            .bind(unixDomainSocketPath: scratch.path + "/r").get()
        self.scratch = scratch
    }

    deinit { channel.close(promise: nil) }

    private final class Answering: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private var answers: ArraySlice<String>
        init(_ answers: [String]) { self.answers = answers[...] }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard let answer = answers.popFirst() else { return }
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        }
    }
}

/// Remembers what the store said of itself.
final class Witness: RedisObserver {
    private let heard = NIOLockedValueBox<(opened: Int, shut: [RedisError.Code], failed: [RedisError.Code])>(
        (0, [], []))

    func storeOpened() { heard.withLockedValue { $0.opened += 1 } }
    func storeShut(_ reason: RedisError) { heard.withLockedValue { $0.shut.append(reason.code) } }
    func storeFailed(_ code: RedisError.Code) { heard.withLockedValue { $0.failed.append(code) } }

    var opened: Int { heard.withLockedValue { $0.opened } }
    var shut: [RedisError.Code] { heard.withLockedValue { $0.shut } }
    var failed: [RedisError.Code] { heard.withLockedValue { $0.failed } }
}
