import Foundation
import Glibc
import NIOCore
import Testing

@testable import Redis

@Suite struct EmbeddedRedisTests {
    private func host(
        _ path: String, server: String = "redis-server", patience: Duration = .seconds(20)
    ) -> EmbeddedRedis {
        EmbeddedRedis(directory: path, server: server, log: quiet, patience: patience)
    }

    private func ask(_ host: EmbeddedRedis, _ words: String...) async throws -> RedisValue {
        let connection = try await RedisConnection.connect(to: host.endpoint, on: loops.next(), timeout: .seconds(20))
        defer { connection.close() }
        var command = RedisCommand(words[0])
        for word in words.dropFirst() { command.add(word) }
        return try await connection.send(command)
    }

    /// A host that is gone as if killed: nothing is stopped, and its files are closed.
    private func abandonedServer(_ path: String) async throws -> Int32 {
        let host = host(path)
        try await host.start()
        return try #require(host.processID)
    }

    private func failure(_ host: EmbeddedRedis) async -> EmbeddedRedisError? {
        do {
            try await host.start()
            await host.stop()
            return nil
        } catch {
            return error
        }
    }

    @Test func itStartsAnswersStopsAndKeepsWhatItWasTold() async throws {
        let scratch = Scratch()
        let directory = scratch.path + "/a b/'var'"
        for round in 1...2 {
            let host = host(directory)
            try await host.start()
            let pid = try #require(host.processID)
            #expect(getpgid(pid) == pid)
            #expect(try await ask(host, "INCR", "n").int == Int64(round))
            await host.stop()
            #expect(kill(pid, 0) == -1)
        }
    }

    @Test func aDirectoryTooLongForASocketAddressWorksToo() async throws {
        let scratch = Scratch()
        let directory = scratch.path + "/" + String(repeating: "deep/", count: 30)
        let host = host(directory)
        try await host.start()
        #expect(try await ask(host, "PING") == .status("PONG"))
        guard case .unix(let socket) = host.endpoint.address else { return }
        #expect(socket.utf8.count <= EmbeddedDirectory.longestSocketPath)
        #expect(!socket.hasPrefix(directory))
        await host.stop()
        rmdir(String(socket.dropLast("/redis.sock".count)))
    }

    @Test func aSocketDirectoryOfSomebodyElseIsRefused() async throws {
        let scratch = Scratch()
        let host = host(scratch.path + "/" + String(repeating: "deep/", count: 30))
        guard case .unix(let socket) = host.endpoint.address else { return }
        let place = String(socket.dropLast("/redis.sock".count))
        mkdir(place, 0o700)
        chmod(place, 0o777)
        defer { rmdir(place) }
        #expect(await failure(host)?.code == .directory)
    }

    @Test func aSecondHostIsRefusedAndToldWhoHasTheDirectory() async throws {
        let scratch = Scratch()
        let first = host(scratch.path)
        try await first.start()
        let refusal = await failure(host(scratch.path + "/."))
        #expect(refusal?.code == .locked)
        #expect(refusal?.message.contains(scratch.path) == true)
        #expect(refusal?.message.contains("process \(getpid())") == true)
        #expect(try await ask(first, "PING") == .status("PONG"))
        await first.stop()
        #expect(await failure(host(scratch.path)) == nil)
    }

    @Test func aServerThatWasLeftBehindIsTakenOverAndStoppedByItsNewHost() async throws {
        let scratch = Scratch()
        let pid = try await abandonedServer(scratch.path)
        let host = host(scratch.path)
        try await host.start()
        #expect(host.processID == pid)
        #expect(try await ask(host, "PING") == .status("PONG"))
        await host.stop()
        #expect(ServerProcess(adopting: pid)?.isAlive != true)
    }

    @Test func aServerWithWeakerSettingsIsNotTakenOver() async throws {
        let scratch = Scratch()
        let pid = try await abandonedServer(scratch.path)
        let host = host(scratch.path)
        _ = try await ask(host, "CONFIG", "SET", "appendfsync", "everysec")
        let refusal = await failure(host)
        #expect(refusal?.code == .settings)
        #expect(refusal?.message.contains("appendfsync is 'everysec' and must be 'always'") == true)
        #expect(refusal?.message.contains("kill \(pid)") == true)
        _ = try await ask(host, "CONFIG", "SET", "appendfsync", "always")
        #expect(await failure(host) == nil)
    }

    @Test func noSecondServerIsStartedBesideOneThatLostItsSocket() async throws {
        let scratch = Scratch()
        let pid = try await abandonedServer(scratch.path)
        unlink(scratch.path + "/redis.sock")
        let refusal = await failure(host(scratch.path, patience: .milliseconds(100)))
        #expect(refusal?.code == .unresponsive)
        #expect(refusal?.message.contains("\(pid)") == true)
        kill(pid, SIGKILL)
        #expect(await failure(host(scratch.path)) == nil)
        waitpid(pid, nil, WNOHANG)
    }

    @Test func aServerThatDiesIsStartedAgainAlsoWhenItWasTakenOver() async throws {
        let scratch = Scratch()
        var pid = try await abandonedServer(scratch.path)
        let host = host(scratch.path)
        try await host.start()
        let running = Task { await host.run() }
        for round in 1...3 {
            #expect(try await ask(host, "INCR", "n").int == Int64(round))
            kill(pid, SIGKILL)
            let dead = pid
            try await eventually("another server answers") {
                guard let next = host.processID, next != dead else { return false }
                pid = next
                return (try? await ask(host, "PING")) == .status("PONG")
            }
        }
        running.cancel()
        await running.value
        #expect(try await ask(host, "PING") == .status("PONG"))
        await host.stop()
    }

    @Test func theServerInheritsNothingOfTheHostButItsLock() async throws {
        let scratch = Scratch()
        let careless = open(scratch.path + "/careless", O_RDWR | O_CREAT, 0o600)
        defer { close(careless) }
        let host = host(scratch.path)
        try await host.start()
        let pid = try #require(host.processID)
        let files = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").compactMap {
            try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\($0)")
        }
        #expect(files.contains(scratch.path + "/server.lock"))
        #expect(!files.contains(scratch.path + "/careless"))
        #expect(!files.contains(scratch.path + "/lock"))
        await host.stop()
    }

    @Test func aLockIsFreeWithItsOwnerUnlessItWasHandedOn() async throws {
        let scratch = Scratch()
        let path = scratch.path + "/l"
        for isHandedOn in [false, true] {
            var lock = try FileLock(path, isHandedOn: isHandedOn)
            // As a child has one: for good, or from its fork until its exec.
            let copy = dup(try #require(lock).descriptor)
            lock = nil
            #expect((try FileLock(path) == nil) == isHandedOn)
            close(copy)
            #expect(try FileLock(path) != nil)
        }
    }

    @Test func aPausedServerIsStoppedToo() async throws {
        let scratch = Scratch()
        let host = host(scratch.path)
        try await host.start()
        let pid = try #require(host.processID)
        kill(pid, SIGSTOP)
        await host.stop()
        #expect(kill(pid, 0) == -1)
    }

    @Test func aMissingServerNamesThePackage() async throws {
        let scratch = Scratch()
        let refusal = await failure(host(scratch.path, server: "no-such-redis-server"))
        #expect(refusal?.code == .missing)
        #expect(refusal?.message.contains("apt-get install redis-server") == true)
    }

    @Test func aServerThatCannotStartSaysWhy() async throws {
        let scratch = Scratch()
        mkdir(scratch.path + "/appendonlydir", 0o700)
        let manifest = open(scratch.path + "/appendonlydir/appendonly.aof.manifest", O_WRONLY | O_CREAT, 0o600)
        write(manifest, "nonsense\n", 9)
        close(manifest)
        let refusal = await failure(host(scratch.path))
        #expect(refusal?.code == .failed)
        #expect(refusal?.message.contains("manifest") == true)
    }

    @Test func aDirectoryThatCannotBeMadeSaysWhy() async throws {
        let refusal = await failure(host("/proc/nowhere"))
        #expect(refusal?.code == .directory)
        #expect(refusal?.message.contains("/proc/nowhere") == true)
    }
}
