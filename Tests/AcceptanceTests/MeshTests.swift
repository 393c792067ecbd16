import JSON
import TestAPIServer
import TestSupport
import Testing

/// A real Prometheus and a mesh of three real Alertmanagers, two hosts, and a master that is killed twice.
@Suite(.serialized) struct MeshTests {
    private static func rules(firing: Range<Int>) -> String {
        // An alert that no longer fires is still a rule, so that it resolves.
        let rules = (0..<30).map { number in
            let expression = firing.contains(number) ? "vector(1)" : "vector(1) > 2"
            return "{alert: Mesh\(number), expr: '\(expression)', labels: {namespace: 'shop\(number)', severity: page}}"
        }
        return "groups:\n  - name: mesh\n    rules: [\(rules.joined(separator: ", "))]\n"
    }

    @Test func eachAlertIsOneObjectThoughTheMasterIsKilledTwice() async throws {
        let cluster = try await TestAPIServer(token: "letmein")
        let directory = try TemporaryDirectory()
        let file = directory.file("kubeconfig")
        try Files.write(
            """
            current-context: here
            contexts: [{name: here, context: {cluster: c, user: u, namespace: gate}}]
            clusters: [{name: c, cluster: {server: 'http://127.0.0.1:\(cluster.port)'}}]
            users: [{name: u, user: {token: letmein}}]
            """, to: file)
        let group = try await RedisGroup(replicas: 2)
        var plan = HostPlan(
            state: "  redis: {sentinel: {master: \(RedisGroup.name), nodes: [\(group.nodes)]}}\n  timeout: 500ms")
        plan.policies =
            "  - {use: deduplicate}\n  - {use: storm}\n  - {use: persist, durability: {replicas: 1}}"
        plan.sinks =
            "  - {use: kubernetes, name: cluster, when_full: refuse, kubeconfig: '\(file)'}\n"
            + "  - {use: jsonl, name: file, path: '%', when_full: refuse}"
        let hosts = [try await HostProcess(plan), try await HostProcess(plan)]
        let mesh = try await AlertmanagerMesh(
            webhooks: hosts.map { "http://127.0.0.1:\($0.port)\(HostProcess.webhookPath)" })
        let prometheus = try await Prometheus(
            rules: Self.rules(firing: 0..<10), alertmanagers: hosts.map(\.port) + mesh.ports)

        /// `name state`
        func objects() -> [String] {
            cluster.objects("signals").values.map {
                "\($0["spec"]?["name"]?.text ?? "-") \($0["status"]?["state"]?.text ?? "-")"
            }.sorted()
        }
        func become(_ firing: Range<Int>, resolved: Range<Int>) async throws {
            let expected =
                (firing.map { "Mesh\($0) firing" } + resolved.map { "Mesh\($0) resolved" }).sorted()
            try await eventually(
                "\(expected.count) objects; there are \(objects())", within: .seconds(120), every: .milliseconds(200)
            ) { objects() == expected }
        }
        func kill() async throws {
            let old = try await group.masterPort()
            let master = try #require(group.servers.first { $0.port == old })
            master.kill()
            try await eventually("another master", within: .seconds(60)) { try await group.masterPort() != old }
            try await master.start()
        }
        func together() async throws {
            let port = try await group.masterPort()
            let master = try #require(group.servers.first { $0.port == port })
            try await eventually("two replicas again", within: .seconds(60), every: .milliseconds(200)) {
                let info = try await master.command("INFO", "replication").string ?? ""
                return info.split(whereSeparator: \.isNewline).filter { $0.contains("state=online") }.count == 2
            }
        }

        try await become(0..<10, resolved: 0..<0)
        // New ones begin while the first master dies, and some of the old ones end while the second does.
        try await prometheus.replaceRules(Self.rules(firing: 0..<20))
        try await kill()
        try await become(0..<20, resolved: 0..<0)
        try await together()
        try await prometheus.replaceRules(Self.rules(firing: 10..<30))
        try await kill()
        try await become(10..<30, resolved: 0..<10)

        // All of them have told it more than once, by either road.
        for host in hosts {
            #expect(try await host.total("received", "adapter=\"prometheus\"") > 0)
            #expect(try await host.total("received", "adapter=\"alertmanager\"") > 0)
        }
        // And to a sink that can't arbitrate, no alert had two episodes.
        var episodes: [String: Set<String>] = [:]
        for delivery in try hosts.flatMap({ try $0.deliveries() }) {
            episodes[delivery.name, default: []].insert(delivery.episode)
        }
        #expect(episodes.count == 30)
        for (name, found) in episodes { #expect(found.count == 1, "\(name): \(found)") }
    }
}
