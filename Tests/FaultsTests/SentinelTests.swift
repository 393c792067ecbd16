import TestSupport
import Testing

/// A host on a master that fails over.
@Suite struct SentinelTests {
    private func plan(_ group: RedisGroup, replicas: Int = 1) -> HostPlan {
        var plan = HostPlan(
            state: "  redis: {sentinel: {master: \(RedisGroup.name), nodes: [\(group.nodes)]}}\n  timeout: 500ms")
        plan.policies =
            "  - {use: deduplicate}\n  - {use: storm}\n  - {use: persist, durability: {replicas: \(replicas)}}"
        return plan
    }

    @Test func aKilledMasterIsA503UntilTheFailoverEnds() async throws {
        // Two replicas: of one that becomes the master none would be left.
        let group = try await RedisGroup(replicas: 2)
        let host = try await HostProcess(plan(group))
        #expect(try await host.post(Alert("Before")).status == 201)
        _ = try await host.delivered(1)
        group.servers[0].kill()
        try await eventually("a 503", within: .seconds(10)) { try await host.post(Alert("During")).status == 503 }
        try await eventually("taken again, without a restart", within: .seconds(30)) {
            [201, 202].contains(try await host.post(Alert("During")).status)
        }
        #expect(try await group.masterPort() != group.servers[0].port)
        // The new master knows what the old one had.
        #expect(try await host.post(Alert("Before")).verdicts == ["duplicate"])
        _ = try await host.delivered(2)
        // The old one comes back as a replica, and nobody minds.
        try await group.servers[0].start()
        #expect(try await host.post(Alert("After")).status == 201)
        let names = try await host.delivered(3)
        #expect(names.count == 3)
    }

    @Test func aFailoverByHandIsFollowed() async throws {
        let group = try await RedisGroup(replicas: 2)
        let host = try await HostProcess(plan(group))
        #expect(try await host.post(Alert("Before")).status == 201)
        _ = try await group.sentinel(0, "SENTINEL", "failover", RedisGroup.name)
        try await eventually("another master", within: .seconds(30)) {
            try await group.masterPort() != group.servers[0].port
        }
        try await eventually("taken by it", within: .seconds(30)) {
            [201, 202].contains(try await host.post(Alert("After")).status)
        }
        var known: Int?
        // The replica that was the master is still finding its way; a 503 now and then is no failure.
        try await eventually("an answer about the one of before") {
            known = try await host.post(Alert("Before")).status
            return known != 503
        }
        #expect(known == 202)
    }

    @Test func withTooFewReplicasNothingIsTaken() async throws {
        let group = try await RedisGroup(replicas: 2)
        let host = try await HostProcess(plan(group, replicas: 2))
        #expect(try await host.post(Alert("Two")).status == 201)
        group.servers[2].freeze()
        try await eventually("a 503 that says why") {
            let answer = try await host.post(Alert("One"))
            return answer.status == 503
        }
        try await eventually("the reason in /readyz") {
            try await host.admin.get("/readyz?verbose").text.contains("not-durable")
        }
        group.servers[2].thaw()
        try await eventually("taken again", within: .seconds(30)) {
            [201, 202].contains(try await host.post(Alert("One")).status)
        }
    }

    @Test func oneReplicaLessThanThereAreIsNo503() async throws {
        let group = try await RedisGroup(replicas: 2)
        let host = try await HostProcess(plan(group))
        group.servers[2].kill()
        for place in 0..<50 { #expect(try await host.post(Alert("A\(place)")).status == 201) }
    }
}
