import JSON
import TestSupport
import Testing

/// What an operator does with the executable, on a running host.
@Suite(.serialized) struct OperatorTests {
    @Test func aTestSignalIsSentAndSeenThrough() async throws {
        let host = try await HostProcess(.embedded())
        let run = try await host.command("send")
        #expect(run.end == .exited(0), "\(run.output)\(run.errors)")
        #expect(run.output.contains("delivered"))
        #expect(try host.deliveries().map(\.name) == ["PortcullisTest"])
    }

    @Test func aTestSignalThatNoSinkTakesFails() async throws {
        var plan = HostPlan.embedded()
        plan.sinks = "  - {use: jsonl, name: file, path: /proc/nowhere/signals.jsonl, when_full: refuse}"
        let host = try await HostProcess(plan)
        let run = try await host.command("send", "--timeout", "1s")
        #expect(run.end == .exited(1), "\(run.output)\(run.errors)")
    }

    @Test func statusSaysHowItStands() async throws {
        let host = try await HostProcess(.embedded())
        _ = try await host.post(Alert("A"))
        let run = try await host.command("status", "--output", "json")
        #expect(run.end == .exited(0), "\(run.errors)")
        let document = try JSONDocument.parse(Array(run.output.utf8)).root
        #expect(document["store"]?["state"]?.string == "open")
        #expect(document["queues"]?.array?.first { _ in true }?["sink"]?.string == "file")
        #expect(try await host.command("status").output.contains("file"))
        let redis = try #require(host.redisPID)
        try await ChildProcess.run("kill", ["-STOP", String(redis)])
        _ = try await host.post(Alert("A"))
        let degraded = try await host.command("status")
        #expect(degraded.output.contains("shut"), "\(degraded.output)\(degraded.errors)")
        try await ChildProcess.run("kill", ["-CONT", String(redis)])
    }

    @Test func aDeadLetterIsShownReplayedAndDropped() async throws {
        let host = try await HostProcess(.embedded())
        func bad(_ name: String) -> String {
            #"[{"labels":{"alertname":"\#(name)"},"startsAt":"yesterday"}]"#
        }
        _ = try await host.http.post(HostProcess.batchPath, bad("One"))
        _ = try await host.http.post(HostProcess.batchPath, bad("Two"))
        let list = try await host.command("dead-letters", "list", "--output", "json")
        let letters = try #require(try JSONDocument.parse(Array(list.output.utf8)).root["dead_letters"]?.array)
        let ids = letters.compactMap { $0["id"]?.string }
        #expect(ids.count == 2)
        let shown = try await host.command("dead-letters", "show", ids[0])
        #expect(shown.output.contains("yesterday"), "\(shown.output)\(shown.errors)")
        // What was wrong with it still is.
        let replayed = try await host.command("dead-letters", "replay", ids[0])
        #expect(replayed.end == .exited(1))
        #expect(replayed.errors.contains("startsAt"), "\(replayed.errors)")
        #expect(try await host.command("dead-letters", "drop", ids[0]).end == .exited(0))
        #expect(try await host.command("dead-letters", "drop", ids[0]).end == .exited(1))
        #expect(try await host.command("dead-letters", "drop", "--origin", "adapter/prometheus").output.contains("1"))
        #expect(try await host.command("dead-letters", "list").output.contains("no dead letters"))
    }

    @Test func stormsAreListedWithTheirMembers() async throws {
        var plan = HostPlan.embedded()
        plan.policies = """
              - {use: deduplicate}
              - {use: storm, rate: {count: 2, per: 1m}}
              - {use: persist, durability: fsync}
            """
        let host = try await HostProcess(plan)
        for place in 0..<5 { _ = try await host.post(Alert("NodeDown", ("node", "n\(place)"))) }
        let list = try await host.command("storms", "--output", "json")
        let storm = try #require(
            try JSONDocument.parse(Array(list.output.utf8)).root["storms"]?.array?.first { _ in true })
        #expect(storm["members"]?.integer == 3)
        let shown = try await host.command("storms", try #require(storm["id"]?.string))
        #expect(shown.output.contains("n4"), "\(shown.output)\(shown.errors)")
    }

    @Test func aQueueWithoutASinkStopsTheStartUntilItIsMovedOrDropped() async throws {
        let redis = try await RedisServer.durable()
        var plan = HostPlan.on(redis)
        plan.sinks = "  - {use: jsonl, name: old, path: /proc/nowhere/signals.jsonl, when_full: refuse}"
        let first = try await HostProcess(plan)
        #expect(try await first.post(Alert("Waiting")).status == 201)
        try await first.stop()

        plan = .on(redis)
        let error = await #expect(throws: TestFailure.self) {
            let host = try await HostProcess(plan)
            _ = try await host.awaitEnd()
            throw TestFailure("it started: \(host.log)")
        }
        #expect(
            error?.description.contains("portcullis queues move old --to NAME") == true, "\(error?.description ?? "")")
        let file = try TemporaryDirectory()
        let configuration = file.file("portcullis.yaml")
        try Files.write(
            """
            server: {listen: "127.0.0.1:1", admin: "127.0.0.1:2"}
            state: {redis: {url: "\(redis.url)"}}
            adapters: [{use: prometheus, path: /a, authenticate: none}]
            policies: [{use: deduplicate}, {use: persist, durability: fsync}]
            sinks: [{use: jsonl, name: file, path: "x", when_full: refuse}]

            """, to: configuration)
        let moved = try await ChildProcess.run(
            HostProcess.executable(), ["queues", "move", "old", "--to", "file", "--config", configuration])
        #expect(moved.end == .exited(0), "\(moved.output)\(moved.errors)")
        let host = try await HostProcess(plan)
        #expect(try await host.deliveries(1).map(\.name) == ["Waiting"])
    }

    @Test func aCheckReportsEverythingAtOnceWithItsPlace() async throws {
        let directory = try TemporaryDirectory()
        let file = directory.file("bad.yaml")
        try Files.write(
            """
            server: {listen: "127.0.0.1:8080"}
            state: {redis: {embedded: {directory: ./var}}}
            adapters:
              - {use: alertmanger, path: /a, authenticate: none}
              - {use: prometheus, path: /b}
            policies:
              - {use: persist, durability: fsync}
              - {use: deduplicate, retension: 8h}
            sinks:
              - {use: jsonl, name: file, path: x}

            """, to: file)
        let run = try await ChildProcess.run(HostProcess.executable(), ["check", "--config", file])
        #expect(run.end == .exited(2))
        for part in [
            "bad.yaml:4:", "did you mean alertmanager", "bad.yaml:5:", "authenticate", "persist",
            "did you mean retention",
            "bad.yaml:10:", "when_full",
        ] {
            #expect(run.errors.contains(part), "no \(part) in \(run.errors)")
        }
    }
}
