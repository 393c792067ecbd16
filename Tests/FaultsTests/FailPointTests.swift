import TestSupport
import Testing

/// A host that dies at the worst instants: what it acknowledged is in the file, and no id is there twice.
@Suite struct FailPointTests {
    static let points = ["gate-replied", "answered", "claimed", "sink-written", "sink-synced"]

    @Test(arguments: points, [1, 3])
    func whatWasAcknowledgedIsDeliveredOnce(_ point: String, _ hit: Int) async throws {
        let marks = try TemporaryDirectory()
        let hits = marks.file("hits")
        var plan = HostPlan.embedded()
        // Only the first start dies: a start's own environment goes over the plan's.
        plan.environment = ["PORTCULLIS_FAILPOINT": "\(point):\(hit)", "PORTCULLIS_FAILPOINT_LOG": hits]
        let host = try await HostProcess(plan)

        var acknowledged: [String] = []
        var refused: [String] = []
        for place in 0..<200 where host.isRunning {
            let name = "Alert\(place)"
            if let answer = try? await host.post(Alert(name)), answer.status == 201 {
                acknowledged.append(name)
            } else {
                refused.append(name)
                break
            }
        }
        #expect(try await host.awaitEnd(within: .seconds(30)) == .signalled(9))
        #expect(Files.text(hits)?.contains(point) == true, "\(point) was never reached")

        try await host.start(["PORTCULLIS_FAILPOINT": "", "PORTCULLIS_FAILPOINT_LOG": ""])
        try await host.awaitOpen()
        for name in refused {
            // As the sender would: it had no answer, or none that was a success.
            #expect([201, 202].contains(try await host.post(Alert(name)).status))
        }
        let expected = Set(acknowledged + refused)
        // With a store of its own a host has at once what the one before it had in flight.
        try await eventually("every acknowledged alert in the file", within: .seconds(10), every: .milliseconds(200)) {
            Set(try host.deliveries().map(\.name)).isSuperset(of: expected)
        }
        let delivered = try host.deliveries()
        #expect(Set(delivered.map(\.id)).count == delivered.count, "an id is there twice")
        #expect(delivered.count == expected.count)
    }
}
