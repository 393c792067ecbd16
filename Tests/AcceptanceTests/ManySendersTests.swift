import TestSupport
import Testing

/// Many at once: senders, hosts, and a host that stops among them.
@Suite(.serialized) struct ManySendersTests {
    @Test func ofFiftySendersOfOneNewProblemOneIsAccepted() async throws {
        let host = try await HostProcess(.embedded())
        let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
            for _ in 0..<50 { group.addTask { try await host.post(Alert("Same")) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.filter { $0.status == 201 }.count == 1)
        #expect(answers.filter { $0.status == 202 }.count == 49)
        #expect(answers.flatMap(\.verdicts).filter { $0 == "duplicate" }.count == 49)
        #expect(try await host.deliveries(1).count == 1)
    }

    @Test func anItemThatIsTwiceInARequestIsADuplicateOfItself() async throws {
        let host = try await HostProcess(.embedded())
        let answer = try await host.post(Alert("Twice"), Alert("Other"), Alert("Twice"))
        #expect(answer.verdicts == ["accepted", "accepted", "duplicate"])
        #expect(try await host.deliveries(2).count == 2)
    }

    @Test func twoHostsOnOneStoreShareTheWork() async throws {
        let redis = try await RedisServer.durable()
        let one = try await HostProcess(.on(redis))
        let two = try await HostProcess(.on(redis))
        for place in 0..<100 {
            let (first, second) = place.isMultiple(of: 2) ? (one, two) : (two, one)
            #expect(try await first.post(Alert("Shared\(place)")).status == 201)
            #expect(try await second.post(Alert("Shared\(place)")).status == 202)
        }
        try await eventually("100 deliveries between two hosts") { one.delivered.count + two.delivered.count >= 100 }
        let all = try one.deliveries() + two.deliveries()
        #expect(all.count == 100)
        #expect(Set(all.map(\.id)).count == 100)

        one.kill()
        #expect(try await two.post(Alert("Shared0")).status == 202)
        #expect(try await two.post(Alert("After")).status == 201)
        try await eventually("the other host delivering") { try two.deliveries().contains { $0.name == "After" } }
    }

    @Test func aStoppingHostFinishesWhatItHasBegun() async throws {
        var plan = HostPlan.embedded()
        plan.limits = "deadline: 30s"  // what was begun must not end by itself on a busy machine
        let host = try await HostProcess(plan)
        let redis = try #require(host.redisPID)
        let body = Array(Alert.webhook([Alert("InFlight")]).utf8)
        let head = "POST \(HostProcess.webhookPath) HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.count)\r\n\r\n"
        let connection = try HTTPConnection(port: host.port)
        let kept = try HTTPConnection(port: host.port)
        try await kept.send(Array("GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
        #expect(try await kept.response().status == 200)
        try await connection.send(Array(head.utf8) + body.dropLast(10))
        try await eventually("a request in work") { try await host.metric("portcullis_requests_in_flight") == 1 }
        #expect(try await host.post(Alert("Before")).status == 201)

        host.signal(15)
        try await eventually("readiness gone", within: .seconds(5)) {
            (try? await host.admin.get("/readyz", timeout: .seconds(2)))?.status != 200
        }
        try await kept.send(Array(head.utf8) + body)
        let refused = try await kept.response()
        #expect(refused.status == 503 && refused.headers["connection"] == "close", "\(refused.text)")
        try await connection.send(Array(body.suffix(10)))
        #expect(try await connection.response().status == 201)
        #expect(try await host.awaitEnd() == .exited(0))
        #expect(!Files.exists("/proc/\(redis)"), "its redis-server is still there")

        try await host.start()
        try await host.awaitOpen()
        #expect(try await host.post(Alert("InFlight")).status == 202)
        let delivered = try await host.deliveries(2)
        #expect(Set(delivered.map(\.name)) == ["Before", "InFlight"])
        #expect(delivered.count == 2)
    }
}
