import JSON
import TestAPIServer
import TestSupport
import Testing

/// Real hosts between a cluster's events and its objects.
@Suite struct KubernetesTests {
    private let server: TestAPIServer
    private let directory: TemporaryDirectory

    init() async throws {
        server = try await TestAPIServer(token: "letmein")
        directory = try TemporaryDirectory()
        try writeKubeconfig(server.port)
    }

    private func writeKubeconfig(_ port: Int) throws {
        try Files.write(
            """
            current-context: here
            contexts: [{name: here, context: {cluster: c, user: u, namespace: gate}}]
            clusters: [{name: c, cluster: {server: 'http://127.0.0.1:\(port)'}}]
            users: [{name: u, user: {token: letmein}}]
            """, to: directory.file("kubeconfig"))
    }

    private func plan(_ base: HostPlan, watching: Bool = false) -> HostPlan {
        var plan = base
        let file = directory.file("kubeconfig")
        plan.adapters += "\n  - {use: kubernetes-events, path: /events, authenticate: none}"
        if watching {
            plan.sources = "  - {use: kubernetes-events-watch, feeds: kubernetes-events, kubeconfig: '\(file)'}"
        }
        plan.sinks = "  - {use: kubernetes, name: cluster, when_full: refuse, kubeconfig: '\(file)', timeout: 1s}"
        return plan
    }

    private var objects: [String: JSONTree] { server.objects("signals") }

    /// `name state`, sorted.
    private var states: [String] {
        objects.values.map { "\($0["spec"]?["name"]?.text ?? "-") \($0["status"]?["state"]?.text ?? "-")" }.sorted()
    }

    private func become(_ expected: [String], within bound: Duration = .seconds(30)) async throws {
        try await eventually("\(expected); there are \(states)", within: bound) { states == expected }
    }

    private func event(_ name: String, count: Int64 = 1) {
        server.create(
            "/api/v1/namespaces/shop/events",
            [
                "kind": "Event", "apiVersion": "v1",
                "metadata": ["name": .string(name), "uid": .string("uid of \(name)")],
                "involvedObject": ["kind": "Pod", "name": .string(name), "namespace": "shop"],
                "reason": .string(name), "type": "Warning", "message": "x", "count": .integer(count),
            ])
    }

    @Test func anAlertIsAnObjectThatEndsWithIt() async throws {
        let host = try await HostProcess(plan(.embedded()))
        #expect(try await host.post(Alert("Full")).status == 201)
        try await become(["Full firing"])
        #expect(try await host.post(Alert("Full")).status == 202)
        #expect(try await host.post(Alert("Full").resolved()).status == 202)
        try await become(["Full resolved"])
        #expect(try await host.post(Alert("Full", startsAt: "2026-08-01T13:00:00Z")).status == 201)
        try await become(["Full firing", "Full resolved"])
    }

    @Test func whenRedisIsEmptiedTheObjectIsAdopted() async throws {
        let redis = try await RedisServer.durable()
        var plan = plan(.on(redis))
        // The host does not remember either.
        plan.policies = "  - {use: deduplicate}\n  - {use: persist, durability: fsync, replay: 0}"
        let host = try await HostProcess(plan)
        for name in ["A", "B"] { #expect(try await host.post(Alert(name)).status == 201) }
        try await become(["A firing", "B firing"])
        let names = Set(objects.keys)
        try await redis.restart(empty: true)
        try await eventually("the store open again") { try await host.post(Alert("A")).status == 201 }
        // Nobody but the cluster knows by now that there was a B.
        #expect(try await host.post(Alert("B").resolved()).status == 200)
        try await become(["A firing", "B resolved"])
        #expect(Set(objects.keys) == names)
        let adopted = try #require(objects.values.first { $0["spec"]?["name"]?.text == "A" })
        #expect(adopted["status"]?["episode"] != adopted["spec"]?["episode"])
    }

    @Test func whenRedisIsEmptiedAStormIsAdoptedToo() async throws {
        let redis = try await RedisServer.durable()
        var plan = plan(.on(redis))
        plan.policies =
            "  - {use: deduplicate}\n  - {use: storm, rate: {count: 2, per: 1m}, flush: 100ms}\n"
            + "  - {use: persist, durability: fsync, replay: 0}"
        let host = try await HostProcess(plan)
        let alerts = (0..<5).map { Alert("A", ("namespace", "shop"), ("pod", "p\($0)")) }
        for alert in alerts { #expect([201, 202].contains(try await host.post(alert).status)) }
        try await become(["A firing", "A firing", "A open"])
        // The column Count of kubectl.
        try await eventually("a storm of three") {
            objects.values.contains { $0["spec"]?["kind"]?.text == "storm" && $0["status"]?["count"] == 3 }
        }
        let names = Set(objects.keys)
        try await redis.restart(empty: true)
        try await eventually("the store open again") { [201, 202].contains(try await host.post(alerts[0]).status) }
        for alert in alerts { #expect([201, 202].contains(try await host.post(alert).status)) }
        try await eventually("each adopted") {
            objects.values.allSatisfy { $0["status"]?["episode"] != $0["spec"]?["episode"] }
        }
        #expect(Set(objects.keys) == names)
        #expect(states == ["A firing", "A firing", "A open"])
        #expect(try await host.metric("portcullis_store_rollback_total") == 1)
    }

    @Test func twoHostsMakeOneObjectEach() async throws {
        let redis = try await RedisServer.durable()
        let hosts = [try await HostProcess(plan(.on(redis))), try await HostProcess(plan(.on(redis)))]
        let answers = try await withThrowingTaskGroup(of: Int.self) { tasks in
            for place in 0..<60 {
                tasks.addTask {
                    try await hosts[place % 2].post(Alert("P\(place / 6)", ("namespace", "n\(place / 6)")))
                        .status
                }
            }
            return try await tasks.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
        #expect(answers == [201: 10, 202: 50])
        try await become((0..<10).map { "P\($0) firing" })
    }

    @Test func aHostThatDiesBetweenAnObjectAndItsStateMakesNoSecond() async throws {
        let marks = try TemporaryDirectory()
        var plan = plan(.embedded())
        plan.environment = ["PORTCULLIS_FAILPOINT": "object-created", "PORTCULLIS_FAILPOINT_LOG": marks.file("hits")]
        let host = try await HostProcess(plan)
        // It delivers what it has stored at once, and may be dead before it has answered.
        if let answer = try? await host.post(Alert("Full")) { #expect(answer.status == 201) }
        #expect(try await host.awaitEnd() == .signalled(9))
        #expect(Files.text(marks.file("hits")) == "object-created\n")
        #expect(states == ["Full -"])
        try await host.start(["PORTCULLIS_FAILPOINT": ""])
        // With a store of its own a host has at once what the one before it had in flight.
        try await become(["Full firing"], within: .seconds(20))
    }

    @Test func whileTheApiServerIsAwayTheQueueHolds() async throws {
        let host = try await HostProcess(plan(.embedded()))
        server.fail("GET", "signals", .reset, count: 1_000_000)
        server.fail("POST", "signals", .answer(.failure(403, "Forbidden", "exceeded quota: objects")), count: 3)
        for name in ["A", "B"] { #expect(try await host.post(Alert(name)).status == 201) }
        try await eventually("a retry") {
            try await host.metric(#"portcullis_deliveries_total{sink="cluster",result="retried"}"#) ?? 0 >= 2
        }
        #expect(try await host.post(Alert("A").resolved()).status == 202)
        #expect(objects.isEmpty)
        server.heal()
        server.fail("POST", "signals", .answer(.failure(403, "Forbidden", "exceeded quota: objects")), count: 3)
        // The latest state, and nothing of what lay before it.
        try await become(["A resolved", "B firing"], within: .seconds(60))
        #expect(try await host.post(Alert("B").resolved()).status == 202)
        try await become(["A resolved", "B resolved"])
    }

    @Test func eventsAreWatchedByOneHostAndByAnotherWhenThatDies() async throws {
        let redis = try await RedisServer.durable()
        event("Early")
        let hosts = [
            try await HostProcess(plan(.on(redis), watching: true)),
            try await HostProcess(plan(.on(redis), watching: true)),
        ]
        try await become(["Early firing"])
        try await eventually("one watch") { server.watching == 1 }
        event("Second")
        try await become(["Early firing", "Second firing"])
        let holder = try #require(hosts.first { $0.log.contains("this host runs the source") })
        let other = try #require(hosts.first { $0 !== holder })
        #expect(!other.log.contains("this host runs the source"))
        holder.kill()
        event("Between")
        try await become(["Between firing", "Early firing", "Second firing"])
        #expect(other.log.contains("this host runs the source"))
        #expect(try await other.metric(#"portcullis_watch_gap_seconds{source="kubernetes-events-watch"}"#) != nil)
        // It went on from where the other was.
        #expect(server.requests.filter { $0.path == "/api/v1/events" && $0.query["watch"] == nil }.count == 1)
        // One that stops gives the lease back at once.
        try await holder.start()
        #expect(try await other.stop() == .exited(0))
        event("Late")
        try await become(["Between firing", "Early firing", "Late firing", "Second firing"])
    }

    @Test func whileRedisIsAwayNoEventIsPassedOver() async throws {
        let redis = try await RedisServer.durable()
        let host = try await HostProcess(plan(.on(redis, timeout: "500ms"), watching: true))
        event("First")
        try await become(["First firing"])
        redis.freeze()
        event("Meanwhile")
        try await eventually("the store shut") { try await host.metric("portcullis_store_up") == 0 }
        #expect(states == ["First firing"])
        redis.thaw()
        try await become(["First firing", "Meanwhile firing"])
        let replies = objects.values.compactMap { $0["status"]?["count"] }
        #expect(replies == [1, 1])
    }

    @Test func anEventThatNobodyCanReadIsADeadLetterAndTheRestGoesOn() async throws {
        let host = try await HostProcess(plan(.embedded(), watching: true))
        server.create(
            "/api/v1/namespaces/shop/events",
            [
                "kind": "Event", "apiVersion": "v1", "metadata": ["name": "odd", "uid": "odd"], "reason": "Odd",
                "type": "Warning",
            ])
        server.create(
            "/api/v1/namespaces/shop/events",
            [
                "kind": "Event", "apiVersion": "v1", "metadata": ["name": "big", "uid": "big"], "reason": "Big",
                "type": "Warning", "involvedObject": ["kind": "Pod", "name": "p", "namespace": "shop"],
                "message": .string(String(repeating: "m", count: 2 << 20)),
            ])
        event("Fine")
        try await become(["Big firing", "Fine firing"])
        let letters = try await host.command("dead-letters", "list")
        #expect(letters.output.contains("involvedObject: missing"), "\(letters)")
    }
}
