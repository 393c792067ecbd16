import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Redis

/// Writes that are answered once a replica has them, on a master with one replica.
@Suite(.serialized) struct CoveredWritesTests {
    private struct Deaf: RedisObserver {
        func storeOpened() {}
        func storeShut(_ reason: RedisError) {}
        func storeFailed(_ code: RedisError.Code) {}
    }

    private let cover = RedisCommand("WAIT", "1", "10000")

    private func withPair(_ body: (RedisServer, RedisServer, RedisStore) async throws -> Void) async throws {
        let master = try await RedisServer(["--repl-diskless-sync-delay", "0"])
        let replica = try await RedisServer(["--replicaof", "127.0.0.1 \(master.port ?? 0)"])
        try await TestSupport.eventually("a replica in step") {
            try await master.command("INFO", "replication").string?.contains("state=online") == true
        }
        let store = RedisStore(
            endpoint: RedisEndpoint(.unix(path: master.socketPath)), group: loops.next(), timeout: .seconds(20),
            scripts: [], cover: cover, verify: { _, _ async throws(RedisError) in }, observer: Deaf(), log: quiet)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await store.run() }
            defer { tasks.cancelAll() }
            try await TestSupport.eventually("an open store") { store.state == .open }
            try await body(master, replica, store)
        }
    }

    private func waits(_ master: RedisServer) async throws -> Int {
        let info = try await master.command("INFO", "commandstats").string ?? ""
        let line = info.split(whereSeparator: \.isNewline).first { $0.hasPrefix("cmdstat_wait:") }
        return line?.split(separator: ",")[0].split(separator: "=").last.flatMap { Int($0) } ?? 0
    }

    @Test func theReplyToTheCoverComesBehindThoseToTheCommands() async throws {
        try await withPair { master, replica, store in
            let exchange = try await store.sendCovered(
                [RedisCommand("SET", "a", "1"), RedisCommand("INCR", "a"), RedisCommand("LPUSH", "a", "1")], on: nil)
            #expect(exchange.values.count == 4)
            #expect(exchange.values[1] == .integer(2))
            #expect(exchange.values[2].serverError?.code == .wrongType)
            #expect(exchange.values[3] == .integer(1))
            #expect(try await replica.command("GET", "a").string == "2")
            #expect(store.isOpen(since: exchange.opening))
            #expect(!store.isOpen(since: exchange.opening - 1))
        }
    }

    @Test func callersThatComeWhileOneIsWaitedForShareTheNext() async throws {
        try await withPair { master, replica, store in
            replica.freeze()
            let first = Task { try await store.sendCovered([RedisCommand("INCR", "n")], on: nil) }
            try await TestSupport.eventually("the first write") { try await master.command("GET", "n").string == "1" }
            // The connection is blocked by now; fifty more wait behind it.
            let others = (0..<50).map { _ in
                Task { try await store.sendCovered([RedisCommand("INCR", "n")], on: nil) }
            }
            // What needs no replica is not held up.
            #expect(try await store.send(RedisCommand("PING")).string == "PONG")
            #expect(try await master.command("GET", "n").string == "1")
            replica.thaw()
            _ = try await first.value
            var numbers: Set<Int64> = []
            for task in others {
                let values = try await task.value.values
                #expect(values.count == 2 && values[1] == .integer(1))
                if case .integer(let number) = values[0] { numbers.insert(number) }
            }
            #expect(numbers == Set(2...51))
            // One for the first, one for those that were there when it was done, and few for stragglers.
            let count = try await waits(master)
            #expect(count < 10, "\(count) for 51 callers")
        }
    }

    @Test func whenTheConnectionEndsNobodyIsToldYes() async throws {
        try await withPair { master, replica, store in
            replica.freeze()
            let tasks = (0..<5).map { _ in Task { try await store.sendCovered([RedisCommand("INCR", "n")], on: nil) } }
            try await TestSupport.eventually("a write") { try await master.command("GET", "n").string != nil }
            master.kill()
            for task in tasks {
                await #expect(throws: RedisError.self) { try await task.value }
            }
            replica.thaw()
        }
    }

    @Test func aForgottenScriptIsHealedWithItsCover() async throws {
        let script = RedisScript(name: "count", text: "return redis.call('INCR', KEYS[1])")
        try await withPair { master, replica, store in
            try await master.command("SCRIPT", "FLUSH")
            let exchange = try await store.sendCovered([.evalsha(script, keys: ["n"])], on: nil)
            #expect(exchange.values == [.integer(1), .integer(1)])
            #expect(try await replica.command("GET", "n").string == "1")
        }
    }
}
