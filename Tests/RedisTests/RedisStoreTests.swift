import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@testable import Redis

@Suite struct RedisStoreTests {
    /// A store that runs while `body` does.
    /// On one loop if nothing else is said: the connection of another, made after the opening, would see too what a
    /// test does to its server.
    private func withStore(
        _ endpoint: RedisEndpoint, timeout: Duration = .seconds(20), scripts: [RedisScript] = [],
        interval: Duration = .seconds(10), group: any EventLoopGroup = loops.next(), witness: Witness = Witness(),
        verify: @escaping RedisStore.Verification = { _, _ async throws(RedisError) in },
        _ body: (RedisStore) async throws -> Void
    ) async throws {
        let store = RedisStore(
            endpoint: endpoint, group: group, timeout: timeout, scripts: scripts, verify: verify, observer: witness,
            log: quiet, interval: interval)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await store.run() }
            defer { tasks.cancelAll() }
            try await body(store)
        }
        #expect(store.state != .open)
    }

    private func opened(_ store: RedisStore) async throws {
        try await eventually("the store is open") { store.state == .open }
    }

    private func code(_ body: () async throws -> Void) async -> RedisError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? RedisError)?.code
        }
    }

    @Test func aStoreThatWasNeverConnectedRefusesAtOnce() async throws {
        let scratch = Scratch()
        try await withStore(RedisEndpoint(.unix(path: scratch.path + "/r"))) { store in
            #expect(await code { _ = try await store.send(RedisCommand("PING")) } == .shut)
            try await eventually("the reason is known") {
                if case .shut(let reason) = store.state { reason.code == .refused } else { false }
            }
        }
    }

    @Test func whatIsLongHasTwoConnectionsInTurns_WhatIsShortOne() async throws {
        let server = try await TestServer()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        try await withStore(server.endpoint, group: group) { store in
            try await opened(store)
            var used: [Int: Set<Int64>] = [:]
            for length in [10, 20_000, 10, 20_000, 10, 20_000] {
                let padding = RedisCommand("ECHO", String(repeating: "x", count: length))
                let replies = try await store.send([RedisCommand("CLIENT", "ID"), padding], on: group.any())
                used[length, default: []].insert(try #require(replies[0].int))
            }
            #expect(used[10]?.count == 1)
            #expect(used[20_000]?.count == 2)
        }
        try await group.shutdownGracefully()
    }

    @Test func everyLoopGetsAVerifiedConnectionAndTheEndClosesThemAll() async throws {
        let server = try await TestServer()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 3)
        let verified = NIOLockedValueBox(Set<ObjectIdentifier>())
        try await withStore(
            server.endpoint, group: group,
            verify: { connection, _ in
                verified.withLockedValue { _ = $0.insert(ObjectIdentifier(connection.eventLoop)) }
            }
        ) { store in
            try await opened(store)
            try await eventually("three connections") {
                var ids: Set<Int64> = []
                for loop in group.makeIterator() {
                    if let id = try? await store.send(RedisCommand("CLIENT", "ID"), on: loop).int { ids.insert(id) }
                }
                return ids.count == 3
            }
            #expect(verified.withLockedValue { $0.count } == 3)
        }
        let other = try await server.connect()
        try await eventually("only the asking client is left") {
            let text = try? await other.send(RedisCommand("INFO", "clients")).string
            return text?.split(whereSeparator: \.isNewline).contains("connected_clients:1") == true
        }
        try await group.shutdownGracefully()
    }

    @Test func aKilledServerShutsTheStoreAndANewOneOpensItAgain() async throws {
        let server = try await TestServer()
        let witness = Witness()
        try await withStore(server.endpoint, witness: witness) { store in
            for round in 1...3 {
                try await opened(store)
                #expect(try await store.send(RedisCommand("PING")) == .status("PONG"))
                try await server.kill()
                try await eventually("the store is shut") { store.state != .open }
                #expect(await code { _ = try await store.send(RedisCommand("PING")) } == .shut)
                try await eventually("the witness hears of it") { witness.shut.count >= round }
                #expect(witness.shut.count == round)
                try await server.restart()
            }
            try await opened(store)
            #expect(Set(witness.shut) == [.reset])
        }
    }

    @Test func oneRequestWaitsForAPausedServerAndTheNextIsRefusedUnsent() async throws {
        let server = try await TestServer()
        try await withStore(server.endpoint, timeout: .seconds(2)) { store in
            try await opened(store)
            server.process.send(SIGSTOP)
            #expect(await code { _ = try await store.send(RedisCommand("INCR", "n")) } == .timedOut)
            for _ in 0..<20 { #expect(await code { _ = try await store.send(RedisCommand("INCR", "n")) } == .shut) }
            server.process.send(SIGCONT)
            try await opened(store)
            // The one that timed out has run; of the others, none was sent.
            #expect(try await store.send(RedisCommand("GET", "n")).int == 1)
        }
    }

    @Test func anErrorReplyThatPutsTheServerInDoubtShutsTheStoreUntilVerifiedAgain() async throws {
        let server = try await TestServer()
        let admin = try await server.connect()
        let verify: RedisStore.Verification = { connection, _ async throws(RedisError) in
            let role = try await connection.send(RedisCommand("ROLE")).list?.first?.string
            guard role == "master" else { throw RedisError(.rejected, "not a master") }
        }
        try await withStore(server.endpoint, verify: verify) { store in
            try await opened(store)
            _ = try await admin.send(RedisCommand("REPLICAOF", "127.0.0.1", "1"))
            let replies = try await store.send([RedisCommand("PING"), RedisCommand("SET", "k", "v")])
            #expect(replies[0] == .status("PONG"))
            #expect(replies[1].serverError?.code == .readOnly)
            try await eventually("the verification's word is the last reason") {
                if case .shut(let reason) = store.state { reason.code == .rejected } else { false }
            }
            #expect(await code { _ = try await store.send(RedisCommand("PING")) } == .shut)
            _ = try await admin.send(RedisCommand("REPLICAOF", "NO", "ONE"))
            try await opened(store)
            #expect(try await store.send(RedisCommand("SET", "k", "v")) == .status("OK"))
        }
    }

    @Test func aFullServerRefusesWritesAndTheStoreStaysOpen() async throws {
        let server = try await TestServer()
        let admin = try await server.connect()
        try await withStore(server.endpoint) { store in
            try await opened(store)
            _ = try await admin.send(RedisCommand("CONFIG", "SET", "maxmemory", "1"))
            #expect(await code { _ = try await store.send(RedisCommand("SET", "k", "v")) } == .outOfMemory)
            #expect(store.state == .open)
            #expect(try await store.send(RedisCommand("GET", "k")) == .null)
        }
    }

    @Test func aVerificationThatFailsKeepsTheStoreShut() async throws {
        let server = try await TestServer()
        let isFine = NIOLockedValueBox(false)
        let probes = NIOLockedValueBox(0)
        let verify: RedisStore.Verification = { _, _ async throws(RedisError) in
            probes.withLockedValue { $0 += 1 }
            guard isFine.withLockedValue({ $0 }) else { throw RedisError(.rejected, "not yet") }
        }
        try await withStore(server.endpoint, verify: verify) { store in
            try await eventually("three probes") { probes.withLockedValue { $0 } >= 3 }
            #expect(store.state == .shut(RedisError(.rejected, "not yet")))
            #expect(await code { _ = try await store.send(RedisCommand("PING")) } == .shut)
            isFine.withLockedValue { $0 = true }
            try await opened(store)
        }
    }

    @Test func anOpenStoreIsVerifiedAgain() async throws {
        let server = try await TestServer()
        let isFine = NIOLockedValueBox(true)
        let verify: RedisStore.Verification = { _, _ async throws(RedisError) in
            guard isFine.withLockedValue({ $0 }) else { throw RedisError(.rejected, "changed") }
        }
        try await withStore(server.endpoint, interval: .milliseconds(40), verify: verify) { store in
            try await opened(store)
            isFine.withLockedValue { $0 = false }
            try await eventually("the change is noticed") { store.state == .shut(RedisError(.rejected, "changed")) }
            isFine.withLockedValue { $0 = true }
            try await opened(store)
        }
    }

    @Test func aFlushedScriptIsLoadedAndItsCommandRepeated() async throws {
        let server = try await TestServer()
        let admin = try await server.connect()
        let script = RedisScript(name: "count", text: "return redis.call('INCR', KEYS[1])")
        try await withStore(server.endpoint, scripts: [script]) { store in
            try await opened(store)
            let call = RedisCommand.evalsha(script, keys: ["n"])
            #expect(try await store.send(call).int == 1)
            _ = try await admin.send(RedisCommand("SCRIPT", "FLUSH"))
            let replies = try await store.send([RedisCommand("PING"), call, call, RedisCommand("WAIT", "0", "0")])
            #expect(replies.compactMap(\.int) == [2, 3, 0])
            #expect(store.state == .open)
        }
    }

    @Test func aScriptThatCannotBeLoadedSaysWhy() async throws {
        let server = try await TestServer()
        try await withStore(server.endpoint) { store in
            try await opened(store)
            let broken = RedisCommand.evalsha(RedisScript(name: "broken", text: "return ("))
            let reply = try await store.send([broken])[0]
            #expect(reply.serverError?.code == .serverError)
            #expect(reply.serverError?.message.contains("compiling") == true)
        }
        let broken = RedisScript(name: "broken", text: "return (")
        try await withStore(server.endpoint, scripts: [broken]) { store in
            try await eventually("the reason is known") {
                if case .shut(let reason) = store.state { reason.message.contains("compiling") } else { false }
            }
        }
    }

    @Test func aCallerThatSeesNonsenseCanShutTheStore() async throws {
        let server = try await TestServer()
        let witness = Witness()
        try await withStore(server.endpoint, witness: witness) { store in
            try await opened(store)
            store.shut(because: RedisError(.garbage, "seven replies to one question"))
            try await eventually("open again") { store.state == .open && witness.opened == 2 }
            #expect(witness.shut == [.garbage])
        }
    }

    @Test func everythingInFlightEndsWhenOneCommandRunsOutOfTime() async throws {
        let server = try await TestServer()
        try await withStore(server.endpoint) { store in
            try await opened(store)
            server.process.send(SIGSTOP)
            let ends = await withTaskGroup(of: RedisError.Code?.self) { tasks in
                for number in 0..<100 {
                    tasks.addTask {
                        let timeout: Duration = number == 0 ? .milliseconds(100) : .seconds(600)
                        return await self.code { _ = try await store.send(RedisCommand("PING"), timeout: timeout) }
                    }
                }
                return await tasks.reduce(into: []) { $0.append($1) }
            }
            server.process.send(SIGCONT)
            #expect(Set(ends).isSubset(of: [.timedOut, .reset, .shut]))
            #expect(ends.contains(.timedOut))
        }
    }
}
