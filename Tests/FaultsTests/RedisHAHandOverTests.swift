import TestSupport
import Testing

/// Pods of deploy/redis-ha that are stopped in order: what Kubernetes runs before it, and what it is good for.
@Suite(.serialized) struct RedisHAHandOverTests {
    /// Writes 1 to 30 000, one after the other, each followed by WAIT, until the connection's Redis is no master any more.
    private func written(at member: DeployedMember) async throws -> [Int] {
        let lines = (1...30_000).map { "SET {portcullis}:w\($0) \($0)\nWAIT 1 1000\nECHO \($0)\n" }
        let run = try await member.script("ask", "redis", input: lines.joined())
        let words = run.output.split(whereSeparator: \.isNewline).map(String.init)
        var acknowledged: [Int] = []
        for (place, word) in words.enumerated() where word == "OK" && place + 2 < words.count {
            if let replicas = Int(words[place + 1]), replicas > 0, let number = Int(words[place + 2]) {
                acknowledged.append(number)
            }
        }
        return acknowledged
    }

    @Test func whatTheOldMasterAcknowledgedTheNewOneHas() async throws {
        let group = try await RedisGroup.deployed()
        for _ in 0..<2 {
            try await group.awaitPromotable()
            let old = try #require(try await group.masterMember())
            try await old.redis("FLUSHALL")
            async let acknowledged = written(at: old)
            try await eventually("some written") {
                (try await old.redis("DBSIZE").first.flatMap { Int($0) } ?? 0) > 1_000
            }
            let run = try await old.script("hand-over")
            let logs = group.sentinels.map { $0.output.suffix(3_000) }
            #expect(run.end == .exited(0), "\(run.errors); the Sentinels: \(logs)")
            let numbers = try await acknowledged
            let new = try #require(try await group.masterMember())
            #expect(new !== old)
            let keys = numbers.map { "{portcullis}:w\($0)" }
            // In the middle of it, or nothing was tried.
            #expect(numbers.count > 1_000 && numbers.count < 30_000)
            let lines = keys.map { "EXISTS \($0)\n" }.joined()
            let found = try await new.script("ask", "redis", input: lines).output.filter { $0 == "1" }
            #expect(found.count == numbers.count, "lost \(numbers.count - found.count) of \(numbers.count)")
        }
    }

    /// From the last pod to the first, as a StatefulSet does it. Meanwhile the members get other passwords for each other.
    @Test func anUpgradeLosesNothingAndEndsARotation() async throws {
        let group = try await RedisGroup.deployed()
        var plan = HostPlan(state: group.hostState)
        plan.policies = "  - {use: deduplicate}\n  - {use: persist, durability: {replicas: 1}}"
        let host = try await HostProcess(plan)
        let sender = Task {
            var (accepted, refused, number) = ([String](), 0, 0)
            while !Task.isCancelled {
                number += 1
                let name = "U\(number)"
                // A sender repeats what was refused.
                while !Task.isCancelled {
                    let status = try? await host.post(Alert(name)).status
                    if status == 201 || status == 202 {
                        accepted.append(name)
                        break
                    }
                    refused += 1
                    try? await Task.sleep(for: .milliseconds(50))
                }
            }
            return (accepted, refused)
        }
        for user in ["replication", "sentinel"] {
            let file = group.secret("\(user)-password")
            let old = Files.text(file) ?? ""
            try Files.write("n3w\(user)", to: file)
            try Files.write(old, to: file + "-also")
            for member in group.members {
                try await member.redis("ACL", "SETUSER", user, ">n3w\(user)")
                if user == "sentinel" { try await member.sentinel("ACL", "SETUSER", user, ">n3w\(user)") }
            }
        }
        for place in [2, 1, 0] {
            let member = group.members[place]
            try await member.stopPod()
            try member.launch()
            try await group.awaitPromotable()
        }
        for user in ["replication", "sentinel"] {
            let old = Files.text(group.secret("\(user)-password-also")) ?? ""
            for member in group.members {
                #expect(try await member.redis("ACL", "SETUSER", user, "<\(old)") == ["OK"])
                try await member.redis("CLIENT", "KILL", "USER", user)
            }
        }
        try await group.awaitPromotable()
        for member in group.members {
            let refused = try await member.refusals().filter { !$0.hasPrefix("portcullis") }
            #expect(refused == [])
        }
        try await host.awaitOpen()
        sender.cancel()
        let (accepted, _) = await sender.value
        #expect(accepted.count > 10)
        try await eventually("all of them delivered", within: .seconds(60)) {
            Set(try host.deliveries().map(\.name)).isSuperset(of: accepted)
        }
        for name in accepted.suffix(50) { #expect(try await host.post(Alert(name)).verdicts == ["duplicate"]) }
        let episodes = Set(try host.deliveries().map { "\($0.name) \($0.episode)" })
        #expect(episodes.count == Set(try host.deliveries().map(\.name)).count, "a problem with two episodes")
    }

    @Test func aMasterThatNobodyCanReplaceStaysTheMaster() async throws {
        let group = try await RedisGroup.deployed()
        for place in [1, 2] { group.members[place].killPod() }
        let run = try await group.members[0].script("hand-over")
        #expect(run.end == .exited(1) && run.errors.contains("not handed over"), "\(run.errors)")
        #expect(try await group.members[0].redis("ROLE").first == "master")
        // Not paused any more: PUBLISH would wait.
        #expect(try await group.members[0].redis("PUBLISH", "x", "1") == ["0"])
        // And a replica has nothing to hand over.
        try group.members[1].launch()
        try await eventually("a replica in step") { try await group.members[1].redis("PING") == ["PONG"] }
        #expect(try await group.members[1].script("hand-over").end == .exited(0))
        #expect(try await group.members[0].redis("ROLE").first == "master")
    }

    /// A Sentinel whose machine stood still for 2 s is in TILT for 30 s: it answers OK to SENTINEL FAILOVER, and begins nothing.
    @Test(arguments: [[1], [0, 1, 2]]) func aSentinelThatStoodStillIsNotReliedOn(_ tilted: [Int]) async throws {
        // No other takes the paused master for down, and helps out.
        let group = try await RedisGroup.deployed(down: 120_000)
        let old = try #require(try await group.masterMember())
        #expect(old.place == 0)
        for place in tilted {
            let member = group.members[place]
            // Any time between two turns of its timer is too long now.
            try await member.sentinel("SENTINEL", "DEBUG", "tilt-trigger", "1")
            try await eventually("TILT") { try await member.sentinel("INFO", "sentinel").contains("sentinel_tilt:1") }
            try await member.sentinel("SENTINEL", "DEBUG", "tilt-trigger", "2000")
        }
        let run = try await old.script("hand-over")
        #expect(run.end == .exited(0), "\(run.errors)")
        #expect(try await group.masterMember() !== old)
    }

    /// A Redis that writes its first log, as after it was sent everything by a master, refuses SIGTERM, and hears of it only once.
    @Test(arguments: [0, 2]) func aPodIsNotStoppedWhileItsRedisWouldRefuse(_ place: Int) async throws {
        let group = try await RedisGroup.deployed()
        let member = group.members[place]
        let lines = (1...2_000).map { "SET {portcullis}:w\($0) \($0)\n" }
        try await group.members[0].script("ask", "redis", input: lines.joined())
        try await eventually("all of them") { try await member.redis("DBSIZE") == ["2000"] }
        // Four seconds for that many.
        try await member.redis("CONFIG", "SET", "rdb-key-save-delay", "2000")
        try await member.redis("CONFIG", "SET", "appendonly", "no")
        try await member.redis("CONFIG", "SET", "appendonly", "yes")
        try await member.stopPod()
        #expect(!member.log.contains("can't exit"))
    }
}
