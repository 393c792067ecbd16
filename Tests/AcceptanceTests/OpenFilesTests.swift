import Glibc
import TestSupport
import Testing

/// The real executable under a low limit on open files, with more connections than that.
@Suite(.serialized) struct OpenFilesTests {
    /// The soft and the hard limit of a process.
    private func limits(of pid: Int32) -> [String] {
        let line = (Files.text("/proc/\(pid)/limits") ?? "").split(separator: "\n").first {
            $0.hasPrefix("Max open files")
        }
        return (line ?? "").split(separator: " ").dropFirst(3).prefix(2).map(String.init)
    }

    private func openFiles(of pid: Int32) async throws -> Int {
        try await ChildProcess.run("ls", ["/proc/\(pid)/fd"]).output.split(separator: "\n").count
    }

    /// Connections that say nothing. Those that the host does not accept wait in the kernel.
    private func flood(_ port: Int, _ count: Int) throws -> [HTTPConnection] {
        try (0..<count).map { _ in try HTTPConnection(port: port) }
    }

    @Test func theSoftLimitIsRaisedToTheHardOneForTheHostAndItsRedis() async throws {
        var plan = HostPlan.embedded()
        plan.shell = "ulimit -Sn 128; ulimit -Hn 700"
        let host = try await HostProcess(plan)
        let (pid, redis) = (try #require(host.pid), try #require(host.redisPID))
        #expect(limits(of: pid) == ["700", "700"])
        #expect(limits(of: redis) == ["700", "700"])
        let connections = try flood(host.port, 250)
        try await eventually("more open files than the soft limit was") { try await openFiles(of: pid) > 250 }
        #expect(try await host.post(Alert("BesideTheOthers")).status == 201)
        for connection in connections { connection.close() }
    }

    @Test func withMoreConnectionsThanTheLimitTheHostGoesOnAndItsRedisComesBack() async throws {
        var plan = HostPlan.embedded()
        plan.shell = "ulimit -n 256"
        let host = try await HostProcess(plan)
        #expect(host.log.contains("the limit on open files is 256"), "\(host.log)")
        let pid = try #require(host.pid)
        let connections = try flood(host.port, 400) + flood(host.adminPort, 200)
        try await eventually("connections up to the bound") { try await openFiles(of: pid) > 140 }

        let redis = try #require(host.redisPID)
        kill(redis, SIGKILL)
        try await eventually("another redis-server") {
            guard let next = host.redisPID else { return false }
            return next != redis && Files.exists("/proc/\(next)")
        }
        #expect(try await openFiles(of: pid) < 240)
        for connection in connections { connection.close() }
        try await host.awaitOpen()
        #expect(try await host.post(Alert("After")).status == 201)
        #expect(host.isRunning)
    }

    @Test func aLimitThatIsTooLowToServeWithIsSaidAtTheStart() async throws {
        var plan = HostPlan.embedded()
        plan.shell = "ulimit -n 100"
        let error = await #expect(throws: TestFailure.self) { _ = try await HostProcess(plan) }
        let words = error?.description ?? ""
        #expect(words.contains("the limit on open files is 100, and the host needs 1"), "\(words)")
    }
}
