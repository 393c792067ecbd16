import TestSupport
import Testing

/// What the process keeps of the machine's memory.
@Suite struct MemoryTests {
    /// KiB of the executable's and its libraries' pages.
    private func filePages(_ pid: Int32) throws -> Int {
        let status = try #require(Files.text("/proc/\(pid)/status"))
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("RssFile:") })
        return try #require(line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) })
    }

    @Test func theStartsPagesGoBackAndComeAgain() async throws {
        let host = try await HostProcess(.embedded())
        let pid = try #require(host.pid)
        #expect(try await host.post(Alert("Before")).status == 201)
        var most = 0
        try await eventually("pages that are given back") {
            let now = try filePages(pid)
            most = max(most, now)
            return now < most * 3 / 4
        }
        #expect(try await host.post(Alert("After")).status == 201)
        #expect(try await host.deliveries(2).count == 2)
    }

    /// By its thread, which only our settings ask for.
    @Test func theAllocatorIsJemallocWithOurSettings() async throws {
        let host = try await HostProcess(.embedded())
        let pid = try #require(host.pid)
        try await eventually("a thread of jemalloc's own") {
            Files.names(in: "/proc/\(pid)/task").contains {
                Files.text("/proc/\(pid)/task/\($0)/comm")?.hasPrefix("jemalloc_bg_thd") ?? false
            }
        }
    }
}
