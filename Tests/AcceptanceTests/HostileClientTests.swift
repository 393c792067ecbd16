import TestSupport
import Testing

/// What a host does when the world around it does not play along: readers that do not read, clients that never end.
@Suite(.serialized) struct HostileClientTests {
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
}
