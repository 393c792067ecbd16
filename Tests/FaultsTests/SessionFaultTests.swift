import Glibc
import TestSupport
import Testing

/// Host sessions under faults: who continues the deliveries of a host that is gone, and who is not taken for gone.
@Suite struct SessionFaultTests {
    /// Of each session, by number, the token without its counter.
    private func sessions(_ redis: RedisServer) async throws -> [String: String] {
        let words = try await redis.command("HGETALL", "{portcullis}:sessions").list.compactMap(\.string)
        var found: [String: String] = [:]
        for at in stride(from: 0, to: words.count - 1, by: 2) where Int(words[at]) != nil {
            found[words[at]] = String(words[at + 1].prefix(16))
        }
        return found
    }

    /// Posts until the host dies of its fail point, with its deliveries in flight.
    /// - Parameter redis: to wait until each delivery is acknowledged. A sink may have one that the store still has in flight, and
    ///   another host delivers it once more.
    private func postUntilItDies(
        _ host: HostProcess, acknowledgedIn redis: RedisServer? = nil
    ) async throws -> Set<String> {
        var acknowledged: Set<String> = []
        for place in 0..<200 where host.isRunning {
            guard let answer = try? await host.post(Alert("Alert\(place)")), answer.status == 201 else { break }
            acknowledged.insert("Alert\(place)")
            guard let redis else { continue }
            try await eventually("an empty queue, or the host's end") {
                if !host.isRunning { return true }
                return try await redis.command("ZCARD", "{portcullis}:q:file").integer == 0
            }
        }
        #expect(try await host.awaitEnd(within: .seconds(30)) == .signalled(9))
        return acknowledged
    }

    private func dying(_ redis: RedisServer, _ hits: String, after hit: Int) -> HostPlan {
        var plan = HostPlan.on(redis)
        plan.environment = ["PORTCULLIS_FAILPOINT": "claimed:\(hit)", "PORTCULLIS_FAILPOINT_LOG": hits]
        return plan
    }

    @Test(arguments: [1, 4]) func anotherHostContinuesWhatAKilledOneHadInFlight(_ hit: Int) async throws {
        let (redis, marks) = (try await RedisServer.durable(), try TemporaryDirectory())
        let other = try await HostProcess(.on(redis))
        let host = try await HostProcess(dying(redis, marks.file("hits"), after: hit))
        var expected = try await postUntilItDies(host, acknowledgedIn: redis)
        // As its sender would, elsewhere: it had no answer.
        let last = "Alert\(expected.count)"
        #expect([201, 202].contains(try await other.post(Alert(last)).status))
        expected.insert(last)
        try await eventually("all in the two files", within: .seconds(40), every: .milliseconds(100)) {
            Set(try host.deliveries().map(\.name) + other.deliveries().map(\.name)).isSuperset(of: expected)
        }
        let ids = try host.deliveries().map(\.id) + other.deliveries().map(\.id)
        #expect(Set(ids).count == ids.count, "an id is there twice")
        #expect(try await sessions(redis).count == 1)
    }

    @Test func aHostThatIsStartedAgainContinuesToo() async throws {
        let (redis, marks) = (try await RedisServer.durable(), try TemporaryDirectory())
        let host = try await HostProcess(dying(redis, marks.file("hits"), after: 3))
        let expected = try await postUntilItDies(host)
        try await host.start(["PORTCULLIS_FAILPOINT": "", "PORTCULLIS_FAILPOINT_LOG": ""])
        try await host.awaitOpen()
        try await eventually("all in the file", within: .seconds(40), every: .milliseconds(100)) {
            Set(try host.deliveries().map(\.name)).isSuperset(of: expected)
        }
        let ids = try host.deliveries().map(\.id)
        #expect(Set(ids).count == ids.count, "an id is there twice")
    }

    @Test func aHostThatStopsLeavesNoSession() async throws {
        let redis = try await RedisServer.durable()
        let host = try await HostProcess(.on(redis))
        #expect(try await sessions(redis).count == 1)
        #expect(try await host.stop() == .exited(0))
        #expect(try await sessions(redis).isEmpty)
    }

    /// No heartbeat comes to a store that stands still, whose ever it is.
    @Test func aStoreThatStandsStillEndsNoSession() async throws {
        let redis = try await RedisServer.durable()
        let hosts = [
            try await HostProcess(.on(redis, timeout: "500ms")), try await HostProcess(.on(redis, timeout: "500ms")),
        ]
        let before = try await sessions(redis)
        #expect(before.count == 2)
        for round in 0..<2 {
            redis.freeze()
            // The fault lasts so long.
            try await Task.sleep(for: .seconds(4))
            redis.thaw()
            for (place, host) in hosts.enumerated() {
                try await host.awaitOpen()
                #expect(try await host.post(Alert("A\(round)\(place)")).status == 201)
            }
        }
        let counters = try await redis.command("HGETALL", "{portcullis}:sessions").list.compactMap(\.string)
        try await eventually("heartbeats again") {
            try await redis.command("HGETALL", "{portcullis}:sessions").list.compactMap(\.string) != counters
        }
        #expect(try await sessions(redis) == before)
        for host in hosts { _ = try await host.delivered(2) }
        let ids = try hosts.flatMap { try $0.deliveries().map(\.id) }
        #expect(Set(ids).count == ids.count, "an id is there twice")
    }
}
