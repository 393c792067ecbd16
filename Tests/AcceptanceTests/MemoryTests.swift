import TestSupport
import Testing

/// What the process keeps of the machine's memory.
@Suite struct MemoryTests {
    private static let events = "/events"

    /// A body of `count` items for each route.
    private static func bodies(_ item: String, _ count: Int) -> [(path: String, body: [UInt8])] {
        let items = [String](repeating: item, count: count).joined(separator: ",")
        return [
            (HostProcess.batchPath, Array("[\(items)]".utf8)),
            (HostProcess.webhookPath, Array(#"{"version":"4","alerts":[\#(items)]}"#.utf8)),
            (events, Array(#"{"kind":"EventList","apiVersion":"v1","items":[\#(items)]}"#.utf8)),
        ]
    }

    /// Bytes at the highest since the last call, or the process's start.
    private func peak(_ pid: Int32) throws -> Int {
        let status = try #require(Files.text("/proc/\(pid)/status"))
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        try Files.write("5", to: "/proc/\(pid)/clear_refs")
        return try #require(line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }) << 10
    }

    /// Benchmarks/hostile.py has more of them, and longer ones.
    @Test func aHostileBodyTakesAtMost12TimesItsLengthAnd32MiB() async throws {
        var plan = HostPlan.embedded()
        plan.adapters += "\n  - {use: kubernetes-events, path: \(Self.events), authenticate: none}"
        let host = try await HostProcess(plan)
        let pid = try #require(host.pid)
        let version = String(repeating: "v", count: 64 << 10)
        let zeros = [String](repeating: "0", count: 32 << 10).joined(separator: ",")
        let list = #"{"kind":"EventList","apiVersion":"\#(version)","items":[\#(zeros)]}"#
        #expect(try await host.http.post(Self.events, list).status == 400)
        for (path, body) in Self.bodies("{}", 1_800_000) + Self.bodies("0", 2_700_000) + Self.bodies("[0]", 60_000)
            + Self.bodies(#"{"labels":{}}"#, 20_000)
            + [(HostProcess.batchPath, Array(#"[{"labels":{"a":"\#(String(repeating: "x", count: 5 << 20))"}}]"#.utf8))]
        {
            _ = try peak(pid)
            let before = try peak(pid)
            _ = try await host.http.post(path, body, timeout: .seconds(60))
            let taken = try peak(pid) - before
            #expect(taken < 12 * body.count + 32 << 20, "\(path): \(taken >> 20) MiB for \(body.count) bytes")
        }
        #expect(try await host.post(Alert("After")).status == 201)
    }

    /// As many as a short body may hold. What the host remembers of them to write them again is `persist.replay`, 16 MiB, on top.
    @Test(arguments: ["firing", "resolved"])
    func twentyThousandTinyAlertsTakeNoMoreThanTheReplayBufferOnTop(_ status: String) async throws {
        let host = try await HostProcess(.embedded())
        let pid = try #require(host.pid)
        for round in 0..<3 {
            let items = (0..<19_990).map { #"{"status":"\#(status)","labels":{"a":"\#(round).\#($0)"}}"# }
            let body = Array(#"{"version":"4","alerts":[\#(items.joined(separator: ","))]}"#.utf8)
            _ = try peak(pid)
            let before = try peak(pid)
            _ = try await host.http.post(HostProcess.webhookPath, body, timeout: .seconds(60))
            let taken = try peak(pid) - before
            #expect(taken < 12 * body.count + 48 << 20, "\(taken >> 20) MiB for \(body.count) bytes")
        }
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
