import Foundation
import Glibc
import NIOCore
import Testing

@testable import Redis

/// How much the embedded server may hold, and that it never throws anything away.
@Suite struct EmbeddedMemoryTests {
    private func write(_ text: String, _ path: String) throws {
        let folder = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try text.write(toFile: path, atomically: false, encoding: .utf8)
    }

    @Test func theLeastLimitOfAllControlGroupsAboveCounts() throws {
        let root = Scratch()
        #expect(MachineMemory.bytes(root: root.path) == nil)
        try write("MemFree: 5 kB\nMemTotal:  8388608 kB\n", root.path + "/proc/meminfo")
        #expect(MachineMemory.bytes(root: root.path) == 8 << 30)
        // A group of version 2, its parent, and the top of a container.
        try write("0::/system.slice/portcullis.service\n", root.path + "/proc/self/cgroup")
        let groups = root.path + "/sys/fs/cgroup"
        try write("max\n", groups + "/system.slice/portcullis.service/memory.max")
        #expect(MachineMemory.bytes(root: root.path) == 8 << 30)
        try write("2147483648\n", groups + "/system.slice/memory.max")
        #expect(MachineMemory.bytes(root: root.path) == 2 << 30)
        try write("1073741824\n", groups + "/memory.max")
        #expect(MachineMemory.bytes(root: root.path) == 1 << 30)
    }

    @Test func aControlGroupOfVersion1CountsToo() throws {
        let root = Scratch()
        try write("MemTotal:  8388608 kB\n", root.path + "/proc/meminfo")
        try write("5:cpu,cpuacct:/a\n4:memory:/docker/abc\n", root.path + "/proc/self/cgroup")
        let groups = root.path + "/sys/fs/cgroup/memory"
        try write("9223372036854771712\n", groups + "/memory.limit_in_bytes")
        #expect(MachineMemory.bytes(root: root.path) == 8 << 30)
        try write("536870912\n", groups + "/docker/abc/memory.limit_in_bytes")
        #expect(MachineMemory.bytes(root: root.path) == 512 << 20)
        // In a container the path is the machine's.
        try write("4:memory:/docker/other\n", root.path + "/proc/self/cgroup")
        try write("268435456\n", groups + "/memory.limit_in_bytes")
        #expect(MachineMemory.bytes(root: root.path) == 256 << 20)
    }

    @Test func theServerGetsTwoFifths() {
        #expect(EmbeddedSettings.memory(of: 1 << 30) == 429_496_728)
        #expect(EmbeddedSettings.memory(of: 16 << 20) == 32 << 20)
        #expect(EmbeddedSettings.memory(of: nil) == 1 << 30)
    }

    private func host(_ path: String, memory: Int? = nil) -> EmbeddedRedis {
        EmbeddedRedis(directory: path, server: "redis-server", memory: memory, log: quiet, patience: .seconds(20))
    }

    private func ask(_ host: EmbeddedRedis, _ words: [String]) async throws -> RedisValue {
        let connection = try await RedisConnection.connect(to: host.endpoint, on: loops.next(), timeout: .seconds(20))
        defer { connection.close() }
        var command = RedisCommand(words[0])
        for word in words.dropFirst() { command.add(word) }
        return try await connection.send(command)
    }

    private func maxmemory(_ host: EmbeddedRedis) async throws -> Int {
        try await ask(host, ["CONFIG", "GET", "maxmemory"]).list?.last?.string.flatMap { Int($0) } ?? 0
    }

    @Test func theServerHasABoundThatTheConfigurationMayChange() async throws {
        let scratch = Scratch()
        let usual = host(scratch.path)
        try await usual.start()
        let machine = try #require(MachineMemory.bytes())
        #expect(try await maxmemory(usual) == EmbeddedSettings.memory(of: machine))
        #expect(try await maxmemory(usual) < machine / 2)
        await usual.stop()
        let small = host(scratch.path, memory: 64 << 20)
        try await small.start()
        #expect(try await maxmemory(small) == 64 << 20)
        // Left behind, and taken over by a host with another bound.
        let next = host(scratch.path + "/.", memory: 48 << 20)
        let pid = small.processID
        small.abandon()
        try await next.start()
        #expect(next.processID == pid)
        #expect(try await maxmemory(next) == 48 << 20)
        await next.stop()
    }

    @Test func aFullServerRefusesWhatIsNewAndKeepsWhatItHas() async throws {
        let scratch = Scratch()
        let host = host(scratch.path, memory: 32 << 20)
        try await host.start()
        let large = String(repeating: "x", count: 1 << 20)
        var kept = 0
        while kept < 64, (try? await ask(host, ["SET", "key-\(kept)", large])) == .status("OK") { kept += 1 }
        #expect((20...31).contains(kept), "\(kept)")
        #expect(try await ask(host, ["DBSIZE"]).int == Int64(kept))
        #expect(try await ask(host, ["DEL", "key-0"]).int == 1)
        await host.stop()
    }
}
