import TestSupport
import Testing

/// The main job, as a user sees it.
@Suite struct StoryTests {
    @Test func anAlertIsTakenOnceAndDeliveredOnce() async throws {
        let host = try await HostProcess(.embedded())
        let first = try await host.post(Alert("HighMemoryUsage", ("namespace", "shop")))
        #expect(first.status == 201)
        #expect(first.verdicts == ["accepted"])
        let second = try await host.post(Alert("HighMemoryUsage", ("namespace", "shop")))
        #expect(second.status == 202)
        #expect(second.verdicts == ["duplicate"])
        #expect(second.fingerprints == first.fingerprints)
        let firing = try await host.deliveries(1)
        #expect(firing.map(\.state) == ["firing"])
        #expect(firing.map(\.fingerprint) == first.fingerprints)

        let end = try await host.post(Alert("HighMemoryUsage", ("namespace", "shop")).resolved())
        #expect(end.status == 202)
        #expect(end.verdicts == ["resolved"])
        let both = try await host.deliveries(2)
        #expect(both.map(\.state) == ["firing", "resolved"])
        #expect(both[0].episode == both[1].episode)

        let again = try await host.post(
            Alert("HighMemoryUsage", ("namespace", "shop"), startsAt: "2026-08-01T13:00:00Z"))
        #expect(again.status == 201)
        #expect(try await host.deliveries(3)[2].episode != both[0].episode)
    }

    @Test func bothRoadsKnowAnAlertByTheSameFingerprint() async throws {
        let host = try await HostProcess(.embedded())
        let alert = Alert("DiskFull", ("namespace", "shop"), ("pod", "db-0"))
        let byWebhook = try await host.post(alert)
        #expect(byWebhook.status == 201)
        let byBatch = try await host.postBatch(alert)
        #expect(byBatch.status == 200)
        #expect(byBatch.text.isEmpty)
        #expect(try await host.post(alert).verdicts == ["duplicate"])
        #expect(try await host.deliveries(1).map(\.fingerprint) == byWebhook.fingerprints)
    }

    @Test func theEndOfSomethingNeverSeenIsIgnored() async throws {
        let host = try await HostProcess(.embedded())
        let answer = try await host.post(Alert("Unknown").resolved())
        #expect(answer.status == 200)
        #expect(answer.verdicts == ["ignored"])
    }

    @Test func aFilteredAlertIsA200AndGoesNowhere() async throws {
        var plan = HostPlan.embedded()
        plan.policies = "  - {use: filter, drop: ['alertname=\"Watchdog\"']}\n" + plan.policies
        let host = try await HostProcess(plan)
        let answer = try await host.post(Alert("Watchdog"))
        #expect(answer.status == 200)
        #expect(answer.verdicts == ["filtered"])
        #expect(try await host.post(Alert("Watchdog"), Alert("Real")).verdicts == ["filtered", "accepted"])
        #expect(try await host.deliveries(1).map(\.name) == ["Real"])
    }

    @Test func manyNewProblemsOfOneGroupAreOneStorm() async throws {
        var plan = HostPlan.embedded()
        plan.policies = plan.policies.split(separator: "\n").map {
            $0.contains("storm")
                ? "  - {use: storm, rate: {count: 3, per: 1m}, spread: {targets: 50, per: 2m}}" : String($0)
        }.joined(separator: "\n")
        let host = try await HostProcess(plan)
        var verdicts: [String] = []
        for place in 0..<6 {
            verdicts += try await host.post(Alert("NodeDown", ("namespace", "shop"), ("node", "n\(place)"))).verdicts
        }
        #expect(verdicts == ["accepted", "accepted", "accepted", "aggregated", "aggregated", "aggregated"])
        try await eventually("the storm delivered") { try host.deliveries().contains { $0.kind == "storm" } }
    }

    @Test func theDemoTellsItsStory() async throws {
        let run = try await ChildProcess.run(
            "bash", [Repository.path("scripts/demo.sh"), HostProcess.executable()], within: .seconds(60))
        #expect(run.end == .exited(0), "\(run.errors)")
        let statuses = run.output.split(separator: "\n").filter { ["201", "202", "503"].contains($0) }
        #expect(statuses == ["201", "202", "503", "202", "202"])
    }

    @Test func theQuickstartPassesItsCheck() async throws {
        let run = try await ChildProcess.run(
            HostProcess.executable(), ["check", "--config", Repository.path("examples/quickstart.yaml")])
        #expect(run.end == .exited(0), "\(run.output)\(run.errors)")
    }
}
