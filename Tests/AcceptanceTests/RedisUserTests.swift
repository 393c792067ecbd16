import JSON
import TestAPIServer
import TestSupport
import Testing

/// `portcullis plugins --acl` says what a user of Redis must be allowed: a host gets by with it, and without nothing of it.
@Suite struct RedisUserTests {
    private let files: TemporaryDirectory

    init() throws { files = try TemporaryDirectory() }

    /// The words of each user that is printed for a plan.
    private func users(_ plan: HostPlan) async throws -> [[String]] {
        let text = """
            server: {listen: '127.0.0.1:8080'}
            state:
            \(plan.state)
            adapters:
            \(plan.adapters)
            policies:
            \(plan.policies)
            sinks:
              - {use: jsonl, name: file, path: ./signals.jsonl, when_full: refuse}

            """
        let file = files.file("portcullis.yaml")
        try Files.write(text, to: file)
        let run = try await ChildProcess.run(
            HostProcess.executable(), ["plugins", "--acl", "--config", file], within: .seconds(30))
        guard run.end == .exited(0), run.errors.isEmpty else { throw TestFailure("\(run.output)\(run.errors)") }
        return run.output.split(whereSeparator: \.isNewline).map { $0.split(separator: " ").map(String.init) }
    }

    private func login(_ user: String) throws -> String {
        try Files.write("PASSWORD", to: files.file("password"))
        return "username: \(user), password_file: '\(files.file("password"))'"
    }

    private func set(_ redis: RedisServer, _ words: [String]) async throws {
        #expect(try await redis.answer(words) == .text("OK"))
    }

    /// What a user was refused.
    private func refused(_ user: String, _ redis: RedisServer) async throws -> Set<String> {
        var found: Set<String> = []
        for entry in try await redis.command("ACL", "LOG").list {
            let words = entry.list.compactMap(\.string)
            let fields = Dictionary(
                zip(words, words.dropFirst()).map { ($0, $1) }, uniquingKeysWith: { first, _ in first })
            if fields["username"] == user, let what = fields["object"] { found.insert(what) }
        }
        return found
    }

    private func event(_ name: String, _ cluster: TestAPIServer) {
        cluster.create(
            "/api/v1/namespaces/shop/events",
            [
                "kind": "Event", "apiVersion": "v1",
                "metadata": ["name": .string(name), "uid": .string("uid of \(name)")],
                "involvedObject": ["kind": "Pod", "name": .string(name), "namespace": "shop"],
                "reason": .string(name), "type": "Warning", "message": "x", "count": 1,
            ])
    }

    /// A plan with every adapter, source, gate policy and sink that there is.
    private func everything(_ redis: RedisServer, _ cluster: TestAPIServer) throws -> HostPlan {
        let kubeconfig = files.file("kubeconfig")
        try Files.write(
            """
            current-context: here
            contexts: [{name: here, context: {cluster: c, user: u, namespace: gate}}]
            clusters: [{name: c, cluster: {server: 'http://127.0.0.1:\(cluster.port)'}}]
            users: [{name: u, user: {token: letmein}}]
            """, to: kubeconfig)
        var plan = HostPlan.on(redis, extra: try login("portcullis"))
        plan.adapters += "\n  - {use: kubernetes-events, path: /events, authenticate: none}"
        plan.sources = "  - {use: kubernetes-events-watch, feeds: kubernetes-events, kubeconfig: '\(kubeconfig)'}"
        plan.policies =
            "  - {use: deduplicate}\n  - {use: storm, rate: {count: 2, per: 1m}, flush: 100ms}\n"
            + "  - {use: persist, durability: fsync}"
        plan.sinks +=
            "\n  - {use: kubernetes, name: cluster, when_full: refuse, kubeconfig: '\(kubeconfig)', timeout: 1s}"
        return plan
    }

    private func expectAllOfIt(_ host: HostProcess, _ cluster: TestAPIServer) async throws {
        for place in 0..<4 {
            #expect([201, 202].contains(try await host.post(Alert("A", ("pod", "p\(place)"))).status))
        }
        #expect(try await host.post(Alert("A", ("pod", "p0"))).verdicts == ["duplicate"])
        #expect(try await host.post(Alert("A", ("pod", "p0")).resolved()).verdicts == ["resolved"])
        let bad = #"[{"labels":{"alertname":"Bad"},"startsAt":"yesterday"}]"#
        #expect(try await host.http.post(HostProcess.batchPath, bad).status == 200)
        _ = try await host.delivered(4)
        event("Evicted", cluster)
        try await eventually("objects of the storm and of the event") {
            let names = cluster.objects("signals").values.map { $0["spec"]?["name"]?.text ?? "" }
            return names.contains("Evicted") && names.filter { $0 == "A" }.count == 3
        }
        #expect(try await host.command("status").end == .exited(0))
        #expect(try await host.command("storms").end == .exited(0))
        #expect(try await host.command("dead-letters", "list").output.contains("adapter/prometheus"))
        // It still can't be read.
        _ = try await host.command("dead-letters", "replay", "--origin", "adapter/prometheus")
        #expect(try await host.command("dead-letters", "drop", "--origin", "adapter/prometheus").end == .exited(0))
    }

    @Test func aHostNeedsWhatIsPrintedAndNothingElse() async throws {
        let redis = try await RedisServer.durable()
        let cluster = try await TestAPIServer(token: "letmein")
        let plan = try everything(redis, cluster)
        let rules = try #require(try await users(plan).first)
        try await set(redis, rules)
        let host = try await HostProcess(plan)
        try await expectAllOfIt(host, cluster)
        // Database 0 is asked for, and needs no asking.
        #expect(try await refused("portcullis", redis) == ["select"])

        let allowed = rules.filter { $0.hasPrefix("+") }.map { $0.dropFirst() }
        #expect(allowed.count > 30)
        for command in allowed where command != "client|setname" {
            let before = host.log.count
            try await set(redis, ["ACL", "SETUSER", "portcullis", "-\(command)"])
            _ = try await redis.answer(["CLIENT", "KILL", "USER", "portcullis"])
            try await eventually("a store that is shut without \(command), and a line that names it") {
                let told = try await host.admin.get("/readyz?verbose").text
                return (told.contains("no-permission") || told.contains("not-durable"))
                    && host.log.dropFirst(before).lowercased().contains(command.prefix { $0 != "|" })
            }
            try await set(redis, ["ACL", "SETUSER", "portcullis", "+\(command)"])
            try await host.awaitOpen()
        }
    }

    @Test func soItIsInAnotherDatabaseUnderAnotherPrefix() async throws {
        let redis = try await RedisServer.durable()
        var plan = HostPlan.on(redis, extra: try login("gate"))
        plan.state =
            plan.state.replacing(redis.url, with: "redis://127.0.0.1:\(redis.port ?? 0)/3") + "\n  prefix: shop"
        let rules = try #require(try await users(plan).first)
        #expect(rules.contains("gate") && rules.contains("~{shop}:*") && rules.contains("+select"))
        try await set(redis, rules)
        let host = try await HostProcess(plan)
        #expect(try await host.post(Alert("A")).status == 201)
        #expect(try await refused("gate", redis) == [])
    }

    @Test func soItIsBehindSentinelsThatHaveUsersToo() async throws {
        let group = try await RedisGroup(replicas: 1)
        let (server, sentinel) = (try login("portcullis"), try login("portcullis-sentinel"))
        let watched = "sentinel: {master: \(RedisGroup.name), nodes: [\(group.nodes)], \(sentinel)}"
        var plan = HostPlan(state: "  redis: {\(watched), \(server)}\n  timeout: 500ms")
        plan.policies = "  - {use: deduplicate}\n  - {use: persist, durability: {replicas: 1}}"
        let users = try await users(plan)
        #expect(users.count == 2)
        for server in group.servers { try await set(server, try #require(users.first)) }
        for port in group.sentinelPorts {
            let words = try #require(users.last)
            let run = try await ChildProcess.run("redis-cli", ["-e", "-p", String(port)] + words)
            #expect(run.end == .exited(0), "\(run.output)\(run.errors)")
        }
        let host = try await HostProcess(plan)
        #expect(try await host.post(Alert("A")).status == 201)
        try await eventually("a subscription of that user") {
            for place in group.sentinelPorts.indices {
                let clients = try await group.sentinel(place, "CLIENT", "LIST").string ?? ""
                for line in clients.split(whereSeparator: \.isNewline)
                where line.contains("user=portcullis-sentinel ") && line.contains(" sub=1 ") { return true }
            }
            return false
        }
    }
}
