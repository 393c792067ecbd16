import TestSupport
import Testing

/// deploy/redis-ha, run as it is: its scripts start its own files, three members on loopback.
@Suite(.serialized) struct RedisHAFilesTests {
    private func plan(_ group: RedisGroup, replicas: Int = 1) -> HostPlan {
        var plan = HostPlan(state: group.hostState)
        plan.policies =
            "  - {use: deduplicate}\n  - {use: storm, rate: {count: 3, per: 1m}, flush: 100ms}\n"
            + "  - {use: persist, durability: {replicas: \(replicas)}}"
        return plan
    }

    private func master(_ group: RedisGroup) async throws -> DeployedMember {
        try await eventually(find: "one master", within: .seconds(30)) { try await group.masterMember() }
    }

    /// Runs redis-cli as a user of the secret, at a Redis or a Sentinel.
    private func asked(_ group: RedisGroup, _ port: Int, _ user: String, _ words: String...) async throws -> String {
        let password = Files.text(group.secret("\(user)-password")) ?? ""
        return try await ChildProcess.run(
            "redis-cli", ["-p", String(port), "--user", user] + words, environment: ["REDISCLI_AUTH": password]
        ).output
    }

    @Test func theMembersAreAsDurableAsTheHostAsksAndNobodyMayMoreThanHeMust() async throws {
        let group = try await RedisGroup.deployed()
        for member in group.members {
            for (name, value) in [
                ("appendonly", "yes"), ("appendfsync", "always"), ("no-appendfsync-on-rewrite", "no"), ("save", ""),
                ("maxmemory-policy", "noeviction"), ("maxmemory", "671088640"), ("min-replicas-to-write", "1"),
                ("min-replicas-max-lag", "10"), ("replica-serve-stale-data", "no"), ("replica-read-only", "yes"),
            ] {
                #expect(try await member.redis("CONFIG", "GET", name).dropFirst().joined() == value, "\(name)")
            }
            let port = member.port ?? 0
            #expect(try await member.script("probe", "ready", String(port)).end == .exited(0))
            #expect(try await member.script("probe", "ready", String(member.sentinelPort)).end == .exited(0))
            for open in [port, member.sentinelPort] {
                let run = try await ChildProcess.run("redis-cli", ["-p", String(open), "PING"])
                #expect(run.output.hasPrefix("NOAUTH"))
            }
            #expect(try await asked(group, port, "monitoring", "INFO", "replication").contains("role:"))
            #expect(try await asked(group, port, "monitoring", "FLUSHALL").hasPrefix("NOPERM"))
            #expect(try await asked(group, port, "replication", "FLUSHALL").hasPrefix("NOPERM"))
            #expect(try await asked(group, port, "sentinel", "FLUSHALL").hasPrefix("NOPERM"))
            #expect(
                try await asked(group, member.sentinelPort, "monitoring", "SENTINEL", "MASTERS").contains("mymaster"))
            #expect(
                try await asked(group, member.sentinelPort, "portcullis-sentinel", "SENTINEL", "FAILOVER", "mymaster")
                    .hasPrefix("NOPERM"))
            #expect(try await member.sentinel("SENTINEL", "CKQUORUM", "mymaster").first?.hasPrefix("OK 3") == true)
        }
        let clients = try await master(group).redis("CLIENT", "LIST")
        #expect(clients.filter { $0.contains("user=replication ") }.count == 2)
        #expect(clients.filter { $0.contains("user=sentinel ") }.count >= 3)

        let host = try await HostProcess(plan(group))
        for pod in 0..<6 {
            #expect([201, 202].contains(try await host.post(Alert("A", ("pod", "p\(pod)"))).status))
        }
        #expect(try await host.post(Alert("A", ("pod", "p0")).resolved()).verdicts == ["resolved"])
        let bad = #"[{"labels":{"alertname":"Bad"},"startsAt":"yesterday"}]"#
        #expect(try await host.http.post(HostProcess.batchPath, bad).status == 200)
        _ = try await host.delivered(4)
        #expect(try await host.command("status").end == .exited(0))
        #expect(try await host.command("dead-letters", "list").output.contains("adapter/prometheus"))
        // Nobody was refused what he needs: a connection's name and database 0 are what the host asks for and can do without.
        let asked = ["FLUSHALL", "SENTINEL", "client|setname", "select"]
        for member in group.members {
            let refused = try await member.refusals().filter { line in
                !asked.contains { line.lowercased().hasSuffix(" " + $0.lowercased()) } && !line.contains("failover")
            }
            #expect(refused == [])
        }
    }

    @Test func aLostMemberIsReplacedAndComesBackAsAReplica() async throws {
        let group = try await RedisGroup.deployed()
        let host = try await HostProcess(plan(group))
        #expect(try await host.post(Alert("Before")).status == 201)
        #expect(try await master(group).place == 0)
        group.members[0].killPod()
        try await eventually("a 503") { try await host.post(Alert("During")).status == 503 }
        try await eventually("taken again, without a restart", within: .seconds(30)) {
            [201, 202].contains(try await host.post(Alert("During")).status)
        }
        #expect(try await host.post(Alert("Before")).verdicts == ["duplicate"])
        #expect(try await master(group).place != 0)

        try group.members[0].launch()
        try await group.awaitPromotable()
        #expect(try await group.members[0].redis("ROLE").first == "slave")
        #expect(group.members[0].log.contains("starting; the master is localhost"))
    }

    /// It would empty its replicas. Sentinels that are slow here show that it waits for them.
    @Test func aMasterThatLostItsVolumeWaitsUntilAReplicaIsPromoted() async throws {
        let group = try await RedisGroup.deployed(down: 60_000)
        let host = try await HostProcess(plan(group))
        #expect(try await host.post(Alert("Before")).status == 201)
        let lost = group.members[0]
        lost.killPod()
        lost.erase()
        try lost.launch()
        try await eventually("a wait", within: .seconds(30)) { lost.log.contains("its volume is empty") }
        try await group.members[1].sentinel("SENTINEL", "FAILOVER", RedisGroup.name)
        try await group.awaitPromotable()
        #expect(try await lost.redis("ROLE").first == "slave")
        try await host.awaitOpen(within: .seconds(30))
        #expect(try await host.post(Alert("Before")).verdicts == ["duplicate"])
    }

    /// From the promotion until the last replica follows, Sentinel goes on naming the old master, with the new epoch.
    @Test func aMemberThatComesBackInTheMiddleOfAFailoverBelievesThePromotion() async throws {
        let group = try await RedisGroup.deployed()
        let (old, slow, promoted) = (group.members[0], group.members[1], group.members[2])
        #expect(try await master(group) === old)
        // One that is not promoted and never follows: the failover goes on until it is given up.
        try await slow.redis("CONFIG", "SET", "replica-priority", "0")
        try await slow.redis("CONFIG", "SET", "masterauth", "wrong")
        // A Sentinel asks every 10 s.
        try await eventually("its priority at the Sentinel", within: .seconds(30)) {
            let words = try await promoted.sentinel("SENTINEL", "REPLICAS", RedisGroup.name)
            return zip(words, words.dropFirst()).contains { $0 == ("slave-priority", "0") }
        }
        old.killPod()
        slow.sentinel?.kill()
        old.erase()
        #expect(try await promoted.sentinel("SENTINEL", "FAILOVER", RedisGroup.name) == ["OK"])
        try await eventually("the middle of a failover", within: .seconds(30)) {
            guard try await promoted.redis("ROLE").first == "master" else { return false }
            return try await promoted.sentinel("SENTINEL", "GET-MASTER-ADDR-BY-NAME", RedisGroup.name).last
                == String(promoted.port ?? 0)
        }
        let seen = try await promoted.sentinel("SENTINEL", "MASTER", RedisGroup.name)
        #expect(seen.contains { $0.contains("failover_in_progress") } && seen.contains(String(old.port ?? 0)))
        try old.launchSentinel()
        try await eventually("its Sentinel's answer", within: .seconds(30)) {
            try await old.sentinel("SENTINEL", "GET-MASTER-ADDR-BY-NAME", RedisGroup.name).last
                == String(promoted.port ?? 0)
        }
    }

    @Test func allAtOnceComeBackWithTheSameMaster() async throws {
        let group = try await RedisGroup.deployed()
        // Not the first, which is what a new group begins with.
        #expect(try await group.members[0].script("hand-over").end == .exited(0))
        try await group.awaitPromotable()
        let before = try await master(group)
        #expect(before.place != 0)
        let host = try await HostProcess(plan(group))
        for place in 0..<20 { #expect(try await host.post(Alert("A\(place)")).status == 201) }
        // What scripts write is a transaction in the log.
        let transaction = "MULTI\nSET {portcullis}:x 1\nSET {portcullis}:y 2\nEXEC\n"
        #expect(try await before.script("ask", "redis", input: transaction).output.contains("OK"))
        for member in group.members { member.killPod() }
        try await eventually("a 503") { try await host.post(Alert("During")).status == 503 }

        // Sentinel writes this when it can't resolve names, as when all pods are gone.
        let state = group.members[0].data + "/sentinel/sentinel.conf"
        let own = "sentinel known-replica mymaster localhost \(before.port ?? 0)\n"
        try Files.write((Files.text(state) ?? "") + own, to: state)
        // The replicas first: one of them must not be promoted because the master is late.
        for member in group.members where member !== before { try member.launch() }
        try before.launchSentinel()
        for member in group.members where member !== before {
            try await eventually("a replica that waits") { member.log.contains("does not answer") }
        }
        try before.launchRedis()
        try await group.awaitPromotable()
        #expect(try await master(group) === before)
        #expect(try await before.redis("EXISTS", "{portcullis}:x", "{portcullis}:y") == ["2"])
        try await host.awaitOpen(within: .seconds(30))
        for place in 0..<20 { #expect(try await host.post(Alert("A\(place)")).verdicts == ["duplicate"]) }
        #expect([201, 202].contains(try await host.post(Alert("During")).status))
    }

    /// Promoted, it would be an empty master, and the others would follow it.
    @Test func aReplicaThatDoesNotHaveEverythingYetIsNotPromoted() async throws {
        let group = try await RedisGroup.deployed()
        // The new one gets nothing as long as the test wants.
        try await group.members[0].redis("CONFIG", "SET", "repl-diskless-sync-delay", "600")
        let empty = group.members[2]
        empty.killPod()
        empty.erase()
        try empty.launch()
        try await eventually("one that waits for its data", within: .seconds(30)) {
            try await empty.redis("PING").first?.hasPrefix("MASTERDOWN") == true
        }
        try await eventually("Sentinels that know") {
            for member in group.members {
                let words = try await member.sentinel("SENTINEL", "REPLICAS", RedisGroup.name)
                if !zip(words, words.dropFirst()).contains(where: { $0 == ("slave-priority", "0") }) { return false }
            }
            return true
        }
        for place in [0, 1] { group.members[place].kill() }
        try await eventually("a failover that finds nobody") {
            group.members.contains { $0.sentinel?.output.contains("-failover-abort-no-good-slave") == true }
        }
        #expect(try await empty.redis("ROLE").first == "slave")
        for place in [0, 1] { try await group.members[place].start() }
        try await group.awaitPromotable(within: .seconds(90))
        #expect(try await group.masterMember()?.place == 0)
    }

    @Test func withTwoMembersDownNothingIsTaken() async throws {
        let group = try await RedisGroup.deployed()
        let host = try await HostProcess(plan(group))
        group.members[1].killPod()
        for place in 0..<10 { #expect(try await host.post(Alert("A\(place)")).status == 201) }
        group.members[2].killPod()
        try await eventually("a 503") { try await host.post(Alert("B")).status == 503 }
        try await eventually("a master that takes no writes", within: .seconds(30)) {
            try await group.members[0].redis("SET", "{portcullis}:x", "1").first?.hasPrefix("NOREPLICAS") == true
        }
        try group.members[2].launch()
        try await eventually("taken again", within: .seconds(60)) {
            [201, 202].contains(try await host.post(Alert("B")).status)
        }
        #expect(try await host.post(Alert("A3")).verdicts == ["duplicate"])
    }

    /// Loading for as long as the test wants: a liveness probe that fails then would start it over and over.
    @Test func aRedisThatReadsItsLogIsAliveAndNotReady() async throws {
        let redis = try await RedisServer.durable(["--rdbcompression", "no"])
        // Redis looks at its clients once a kilobyte.
        let value = String(repeating: "x", count: 2_000)
        for place in 0..<500 { try await redis.command("SET", "k\(place)", value) }
        try await redis.command("BGREWRITEAOF")
        try await eventually("a log that begins with a snapshot") {
            try await redis.command("INFO", "persistence").string?.contains("aof_rewrite_in_progress:0") == true
        }
        try await redis.stop()
        let (files, port) = (try TemporaryDirectory(), try freePort())
        try Files.write("secret", to: files.file("operator-password"))
        let loading = try ChildProcess(
            "redis-server",
            [
                "--port", String(port), "--bind", "127.0.0.1", "--dir", redis.directory.path, "--appendonly", "yes",
                "--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024",
                "--user", "operator", "on", ">secret", "~*", "&*", "+@all",
            ], in: files, name: "loading")
        let settings = ["MEMBERS": "a:1:2", "SELF": "a-0", "SECRETS": files.path]
        func probe(_ words: String...) async throws -> ChildProcess.End {
            let script = RedisGroup.folder + "/probe.sh"
            return try await ChildProcess.run("sh", [script] + words, environment: settings).end
        }
        try await eventually("a Redis that loads; \(loading.output)") {
            let info = try await ChildProcess.run("redis-cli", ["-p", String(port), "INFO", "persistence"])
            return info.output.contains("loading:1")
        }
        #expect(try await probe("alive", String(port)) == .exited(0))
        #expect(try await probe("ready", String(port)) == .exited(1))
        loading.kill()
        #expect(try await probe("alive", String(port)) == .exited(1))
        _ = redis
    }
}
