import Foundation
import Glibc
import NIOCore
import Testing

@testable import Redis

/// Who may read what the embedded store keeps, and where it is kept.
@Suite struct EmbeddedFilesTests {
    private func host(_ path: String) -> EmbeddedRedis {
        EmbeddedRedis(directory: path, server: "redis-server", log: quiet, patience: .seconds(20))
    }

    private func mode(_ path: String) -> mode_t {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & 0o777 : 0
    }

    private func failure(_ path: String) async -> EmbeddedRedisError? {
        let host = host(path)
        do {
            try await host.start()
            await host.stop()
            return nil
        } catch {
            return error
        }
    }

    private func files(_ path: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: path).map { path + "/" + $0 }
    }

    @Test(arguments: [0o700, 0o755, 0o777] as [mode_t])
    func allThatTheStoreKeepsIsPrivateInADirectoryThatExists(_ given: mode_t) async throws {
        let scratch = Scratch()
        chmod(scratch.path, given)
        // As the host's and the server's environment usually has it.
        let old = umask(0o022)
        defer { umask(old) }
        let host = host(scratch.path)
        try await host.start()
        let connection = try await RedisConnection.connect(to: host.endpoint, on: loops.next(), timeout: .seconds(20))
        _ = try await connection.send([RedisCommand("SET", "a", "b"), RedisCommand("BGREWRITEAOF")])
        connection.close()
        #expect(mode(scratch.path) == 0o700)
        let found = try files(scratch.path)
        #expect(found.contains { $0.hasSuffix(".aof") } && found.contains { $0.hasSuffix("redis.log") })
        for file in found { #expect(mode(file) & 0o077 == 0, "\(file) is \(String(mode(file), radix: 8))") }
        await host.stop()
    }

    @Test func filesThatAnEarlierHostLeftLooseAreTightened() async throws {
        let scratch = Scratch()
        await #expect(failure(scratch.path) == nil)
        for file in try files(scratch.path) { chmod(file, file.hasSuffix("appendonlydir") ? 0o755 : 0o644) }
        chmod(scratch.path, 0o755)
        await #expect(failure(scratch.path) == nil)
        for file in try files(scratch.path) { #expect(mode(file) & 0o077 == 0, "\(file)") }
    }

    @Test(arguments: [
        "lock", "server.lock", "redis.log", "redis.out", "redis.pid", "redis.sock", "appendonlydir",
        "appendonlydir/appendonly.aof.manifest", "temp-rewriteaof-bg-1.aof",
    ])
    func aSymbolicLinkIsNotFollowed(_ name: String) async throws {
        let scratch = Scratch()
        let elsewhere = Scratch()
        let state = scratch.path + "/state"
        mkdir(state, 0o700)
        mkdir(state + "/appendonlydir", 0o700)
        let target = elsewhere.path + "/victim"
        if name == "appendonlydir" { rmdir(state + "/appendonlydir") }
        if name == "appendonlydir" { mkdir(target, 0o700) } else { close(open(target, O_CREAT | O_WRONLY, 0o644)) }
        #expect(symlink(target, state + "/" + name) == 0)
        let refusal = await failure(state)
        #expect(refusal?.code == .directory)
        #expect(refusal?.message.contains("\(name) is a symbolic link") == true, "\(refusal?.message ?? "it started")")
        var status = stat()
        #expect(stat(target, &status) == 0 && (name == "appendonlydir" || status.st_size == 0))
    }

    @Test func theDirectoryItselfMayBeReachedByALink() async throws {
        let scratch = Scratch()
        mkdir(scratch.path + "/real", 0o755)
        #expect(symlink("real", scratch.path + "/state") == 0)
        await #expect(failure(scratch.path + "/state") == nil)
        #expect(mode(scratch.path + "/real") == 0o700)
    }

    @Test func aPipeInPlaceOfAFileIsRefused() async throws {
        let scratch = Scratch()
        mkfifo(scratch.path + "/redis.log", 0o600)
        #expect(await failure(scratch.path)?.message.contains("redis.log is neither a file nor a directory") == true)
    }

    @Test func aDirectoryOfAnotherUserIsRefusedWithBothUsers() async throws {
        let scratch = Scratch()
        // Anybody may write there, and it is root's.
        var (state, owner) = ("/var/tmp", uid_t(0))
        if geteuid() == 0 {
            (state, owner) = (scratch.path + "/state", 12_345)
            mkdir(state, 0o777)
            chown(state, owner, 0)
        }
        let refusal = await failure(state)
        #expect(refusal?.code == .directory)
        let words = "belongs to user \(owner), and this process runs as user \(geteuid())"
        #expect(refusal?.message.contains(words) == true, "\(refusal?.message ?? "it started")")
    }
}
