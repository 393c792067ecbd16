import TestSupport
import Testing

/// docs/operations.md says what a user of Redis's ACL must be allowed: a host gets by with it, and without nothing of it.
@Suite struct RedisUserTests {
    /// The words of the document's line that begins so.
    private static func rules(_ beginning: String) throws -> [String] {
        let lines = try Repository.text("docs/operations.md").split(whereSeparator: \.isNewline)
        let line = try #require(lines.first { $0.hasPrefix(beginning) })
        return line.split(separator: " ").map(String.init)
    }

    private static func login(_ user: String, _ files: TemporaryDirectory) throws -> String {
        try Files.write("PASSWORD", to: files.file("password"))
        return "username: \(user), password_file: '\(files.file("password"))'"
    }

    private func set(_ redis: RedisServer, _ words: [String]) async throws {
        #expect(try await redis.answer(words) == .text("OK"))
    }

    @Test func aHostNeedsWhatTheDocumentAllowsAndNothingElse() async throws {
        let redis = try await RedisServer.durable()
        let rules = try Self.rules("ACL SETUSER portcullis ")
        try await set(redis, rules)
        let files = try TemporaryDirectory()
        var plan = HostPlan.on(redis, extra: try Self.login("portcullis", files))
        plan.policies =
            "  - {use: deduplicate}\n  - {use: storm, rate: {count: 2, per: 1m}, flush: 100ms}\n"
            + "  - {use: persist, durability: fsync}"
        let host = try await HostProcess(plan)
        for place in 0..<4 {
            #expect([201, 202].contains(try await host.post(Alert("A", ("pod", "p\(place)"))).status))
        }
        #expect(try await host.post(Alert("A", ("pod", "p0"))).verdicts == ["duplicate"])
        #expect(try await host.post(Alert("A", ("pod", "p0")).resolved()).verdicts == ["resolved"])
        let bad = #"[{"labels":{"alertname":"Bad"},"startsAt":"yesterday"}]"#
        #expect(try await host.http.post(HostProcess.batchPath, bad).status == 200)
        _ = try await host.delivered(4)
        #expect(try await host.command("status").end == .exited(0))
        #expect(try await host.command("storms").end == .exited(0))
        #expect(try await host.command("dead-letters", "list").output.contains("adapter/prometheus"))

        let allowed = rules.filter { $0.hasPrefix("+") }.map { $0.dropFirst() }
        #expect(allowed.count > 30)
        for command in allowed where command != "wait" {
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

    @Test func soItIsBehindSentinelsThatHaveUsersToo() async throws {
        let group = try await RedisGroup(replicas: 1)
        for server in group.servers { try await set(server, try Self.rules("ACL SETUSER portcullis ")) }
        for port in group.sentinelPorts {
            let words = try Self.rules("ACL SETUSER portcullis-sentinel ")
            let run = try await ChildProcess.run("redis-cli", ["-e", "-p", String(port)] + words)
            #expect(run.end == .exited(0), "\(run.output)\(run.errors)")
        }
        let files = try TemporaryDirectory()
        let (server, sentinel) = (try Self.login("portcullis", files), try Self.login("portcullis-sentinel", files))
        let watched = "sentinel: {master: \(RedisGroup.name), nodes: [\(group.nodes)], \(sentinel)}"
        var plan = HostPlan(state: "  redis: {\(watched), \(server)}\n  timeout: 500ms")
        plan.policies = "  - {use: deduplicate}\n  - {use: persist, durability: {replicas: 1}}"
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
