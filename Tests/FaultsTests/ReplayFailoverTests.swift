import JSON
import Synchronization
import TestSupport
import Testing

/// New problems from many senders at once, without a pause; and what each was told.
private final class Flood: Sendable {
    private struct State: Sendable {
        var next = 0
        var episodes: [String: String] = [:]
        var refused = 0
        var stopped = false
    }
    private let state = Mutex(State())

    /// What was accepted, with the episode that was answered.
    var episodes: [String: String] { state.withLock { $0.episodes } }
    var refused: Int { state.withLock { $0.refused } }
    func stop() { state.withLock { $0.stopped = true } }

    /// 16 problems a request, from `senders` at once to the hosts in turn, until stopped.
    func run(_ hosts: [HostProcess], senders: Int = 8) async {
        await withTaskGroup(of: Void.self) { tasks in
            for sender in 0..<senders {
                let host = hosts[sender % hosts.count]
                tasks.addTask { await self.send(to: host) }
            }
        }
    }

    private func send(to host: HostProcess) async {
        while let first = state.withLock({ state -> Int? in
            defer { state.next += 16 }
            return state.stopped ? nil : state.next
        }) {
            let names = (first..<(first + 16)).map { "Flood\($0)" }
            let body = Alert.webhook(names.map { Alert($0) })
            let answer = (try? await host.http.post(HostProcess.webhookPath, body, timeout: .seconds(5))).map(
                Answer.init)
            guard let answer, answer.status == 201 else {
                state.withLock { $0.refused += 1 }
                try? await Task.sleep(for: .milliseconds(20))
                continue
            }
            let episodes = Self.episodes(answer)
            state.withLock { state in
                for (name, episode) in zip(names, episodes) { state.episodes[name] = episode }
            }
        }
    }

    static func episodes(_ answer: Answer) -> [String] {
        (answer.document?["signals"]?.array.map { Array($0) } ?? []).map { $0["episode"]?.string ?? "none" }
    }

    /// Tells each again and compares: those that the store does not know by the episode that was answered.
    func forgotten(by host: HostProcess) async throws -> [String] {
        let told = episodes.sorted { $0.key < $1.key }
        var forgotten: [String] = []
        for start in stride(from: 0, to: told.count, by: 256) {
            let chunk = told[start..<min(start + 256, told.count)]
            var answer: Answer?
            try await eventually("an answer to the repeats") {
                let body = Alert.webhook(chunk.map { Alert($0.key) })
                answer = Answer(try await host.http.post(HostProcess.webhookPath, body))
                return answer.map { (200..<300).contains($0.status) } ?? false
            }
            guard let answer else { continue }
            for ((name, episode), found) in zip(chunk, Self.episodes(answer)) where episode != found {
                forgotten.append(name)
            }
        }
        return forgotten
    }
}

/// What was answered before a failover is known after it, by the same episode, whoever was promoted.
@Suite(.serialized) struct ReplayFailoverTests {
    enum Failover: String, CaseIterable, Sendable {
        case byHand, paused, killed
    }

    fileprivate func plan(_ group: RedisGroup, replay: String) -> HostPlan {
        var plan = HostPlan(
            state: "  redis: {sentinel: {master: \(RedisGroup.name), nodes: [\(group.nodes)]}}\n  timeout: 500ms")
        plan.policies = """
              - {use: deduplicate}
              - {use: storm}
              - {use: persist, durability: {replicas: 1}, replay: \(replay)}
            """
        return plan
    }

    /// - Returns: how many were accepted, and those that were forgotten.
    private func run(
        _ failover: Failover, hosts count: Int, replay: String
    ) async throws -> (accepted: Int, forgotten: [String]) {
        let group = try await RedisGroup(replicas: 2, down: 500)
        var hosts: [HostProcess] = []
        for _ in 0..<count { hosts.append(try await HostProcess(plan(group, replay: replay))) }
        let flood = Flood()
        let flooding = Task { [hosts] in await flood.run(hosts) }
        try await eventually("a flood", within: .seconds(30)) { flood.episodes.count > 1_000 }

        let old = try await group.masterPort()
        let master = try #require(group.servers.first { $0.port == old })
        switch failover {
        case .byHand: _ = try await group.sentinel(0, "SENTINEL", "failover", RedisGroup.name)
        case .paused: master.freeze()
        case .killed: master.kill()
        }
        try await eventually("another master", within: .seconds(30)) { try await group.masterPort() != old }
        if failover == .paused { master.thaw() }
        let before = flood.episodes.count
        try await eventually("the flood goes on", within: .seconds(30)) { flood.episodes.count > before + 500 }
        flood.stop()
        await flooding.value

        let forgotten = try await flood.forgotten(by: hosts[0])
        guard forgotten.isEmpty else { return (flood.episodes.count, forgotten) }
        // Every one is in a sink, by no other episode than the one that was answered.
        let told = flood.episodes
        var found: [String: Set<String>] = [:]
        try await eventually("all that was accepted in the sinks", within: .seconds(150), every: .milliseconds(200)) {
            guard hosts.reduce(0, { $0 + $1.delivered.count }) >= told.count else { return false }
            found = [:]
            for host in hosts {
                for delivery in try host.deliveries() { found[delivery.name, default: []].insert(delivery.episode) }
            }
            // What was told again after the failover is there twice, and no sign that the rest has come.
            return told.keys.allSatisfy { found[$0] != nil }
        }
        for (name, episode) in told { #expect(found[name] == [episode], "\(name)") }
        if failover == .byHand, count == 1 {
            let again = try await hosts[0].total("portcullis_replayed_total")
            #expect(again > 0, "nothing had to be written again: the failover did not show what it should")
        }
        return (told.count, forgotten)
    }

    @Test(arguments: Failover.allCases, [1, 2])
    func nothingThatWasAnsweredIsForgotten(_ failover: Failover, _ hosts: Int) async throws {
        let (accepted, forgotten) = try await run(failover, hosts: hosts, replay: "64MiB")
        print("\(failover) with \(hosts) hosts: \(accepted) accepted, \(forgotten.count) forgotten")
        #expect(forgotten.isEmpty, "\(forgotten.count) of \(accepted)")
    }

    /// The proof that the others could fail.
    @Test func withoutTheReplayItIs() async throws {
        let (accepted, forgotten) = try await run(.byHand, hosts: 1, replay: "0")
        print("by hand without a replay: \(accepted) accepted, \(forgotten.count) forgotten")
        #expect(!forgotten.isEmpty)
    }
}

extension ReplayFailoverTests {
    @Test func whatCanNotBeKeptIsNotAnswered() async throws {
        let group = try await RedisGroup(replicas: 2)
        let host = try await HostProcess(plan(group, replay: "64KiB"))
        // It still takes part as far as the master knows, but has nothing of what is written from now on.
        group.servers[2].freeze()
        var (taken, refused) = (0, Answer?.none)
        for place in 0..<200 where refused == nil {
            let answer = try await host.post(Alert("Kept\(place)"))
            if answer.status == 201 { taken += 1 } else { refused = answer }
        }
        #expect(taken > 20, "\(taken)")
        #expect(refused?.status == 503)
        #expect(
            refused?.detail
                == "persistence service unavailable: not every replica has what was answered before",
            "\(refused?.text ?? "")"
        )
        #expect(try await host.metric("portcullis_replay_refused_total") ?? 0 > 0)
        group.servers[2].thaw()
        try await eventually("taken again") { try await host.post(Alert("After")).status == 201 }
        // None of those that were refused left anything.
        let names = Set(try await host.deliveries(taken + 1).map(\.name))
        #expect(names == Set((0..<taken).map { "Kept\($0)" } + ["After"]))
    }
}
