import TestSupport
import Testing

/// What a host does when the world around it does not play along: readers that do not read, clients that never end.
@Suite(.serialized) struct HostileClientTests {
    private func residentKiB(_ host: HostProcess) throws -> Int {
        let status = try #require(host.pid.flatMap { Files.text("/proc/\($0)/status") })
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
        return try #require(line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) })
    }

    @Test func aHostWhoseLogIsNeverReadAnswersAndStops() async throws {
        var plan = HostPlan.embedded()
        plan.hasLogReader = false
        let host = try await HostProcess(plan)
        // A line of a request has some 250 bytes, and the pipe one page.
        for _ in 0..<200 {
            let answer = try await host.http.post(
                HostProcess.webhookPath, Alert.webhook([Alert("A")]), timeout: .seconds(10))
            #expect(answer.status == 201 || answer.status == 202)
        }
        #expect(try await host.admin.get("/livez").status == 200)
        #expect(try await host.metric("portcullis_log_lines_dropped_total") == 0)
        #expect(try await host.stop() == .exited(0))
    }

    /// Both listeners: each request has 18 bytes, and was 2.5 kB of memory.
    @Test func pipelinedRequestsWithoutAReaderCostLittleMemory() async throws {
        let host = try await HostProcess(.embedded())
        for port in [host.port, host.adminPort] {
            let before = try residentKiB(host)
            let connections = try (0..<200).map { _ in try HTTPConnection(port: port, timeout: .seconds(90)) }
            let bytes = Array(String(repeating: "GET / HTTP/1.0\r\n\r\n", count: 4_000).utf8)
            let kept = Array(String(repeating: "GET / HTTP/1.1\r\nHost:\r\n\r\n", count: 4_000).utf8)
            var open = connections
            var most = 0
            // The kernel takes megabytes of answers for each, so that some make progress for long: SlowClientTests has the end of one.
            for _ in 0..<40 {
                open = try open.enumerated().filter { place, connection in
                    try connection.push(place % 2 == 0 ? bytes : kept) != nil
                }.map(\.element)
                most = max(most, try residentKiB(host) - before)
            }
            // Before, each connection cost 9 MiB: 1.8 GiB.
            #expect(most < 120 << 10, "\(most) KiB for 200 connections")
            #expect(try await host.http.post(HostProcess.webhookPath, Alert.webhook([Alert("A")])).status < 300)
        }
    }

    @Test func silentConnectionsLockNeitherSendersNorProbesOut() async throws {
        var plan = HostPlan.embedded()
        plan.limits = "connections: 100"
        let host = try await HostProcess(plan)
        let silent = try (0..<150).flatMap { _ in
            [try HTTPConnection(port: host.port), try HTTPConnection(port: host.adminPort)]
        }
        for _ in 0..<20 {
            let answer = try await host.http.post(HostProcess.webhookPath, Alert.webhook([Alert("A")]))
            #expect(answer.status < 300)
            #expect(try await host.admin.get("/livez").status == 200)
        }
        #expect(!silent.isEmpty)
    }

    @Test func halfBodiesTakeNoPlaceOfAGoodSender() async throws {
        var plan = HostPlan.embedded()
        plan.limits = "in_flight: 16"
        let host = try await HostProcess(plan)
        let head = "POST \(HostProcess.webhookPath) HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n["
        let held = try (0..<300).map { _ in
            let connection = try HTTPConnection(port: host.port)
            _ = try connection.push(Array(head.utf8))
            return connection
        }
        for _ in 0..<50 {
            let answer = try await host.http.post(HostProcess.webhookPath, Alert.webhook([Alert("A")]))
            #expect(answer.status < 300)
        }
        #expect(!held.isEmpty)
    }
}
