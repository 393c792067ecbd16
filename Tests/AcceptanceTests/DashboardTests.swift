import JSON
import TestAPIServer
import TestSupport
import Testing

/// deploy/monitoring/grafana-dashboard.json at a real Prometheus.
@Suite(.serialized) struct DashboardTests {
    @Test func noQueryIsEmptyAndEveryRuleIsEvaluated() async throws {
        let scene = try await MonitoredScene()
        let prometheus = try await Prometheus(
            rules: try Repository.text("deploy/monitoring/portcullis.rules.yml"), scrapes: [scene.host.adminPort])
        try await eventually("a first scrape") { try await prometheus.query("portcullis_store_up") == [1] }
        try await scene.play()
        let queries = try Dashboard().queries
        #expect(queries.count >= 30)
        for query in queries {
            try await eventually("an answer to \(query)", within: .seconds(20), every: .milliseconds(200)) {
                try await !prometheus.query(Dashboard.expanded(query)).isEmpty
            }
        }
        try await eventually("what happened here in the rules", within: .seconds(20), every: .milliseconds(200)) {
            let pending = try await Set(Self.alerts(prometheus))
            return pending.isSuperset(of: ["PortcullisRefusing", "PortcullisDeadLetters", "PortcullisDeadLettersGrow"])
        }
        let rules = try await prometheus.http.get("/api/v1/rules").text
        #expect(rules.contains("\"health\":\"ok\"") && !rules.contains("\"health\":\"err\""), "\(rules)")
    }

    @Test func everyPanelAsksTheChosenSourceForTheChosenHosts() throws {
        let board = try Dashboard()
        #expect(Set(board.variables) == ["datasource", "job", "instance"])
        #expect(Set(board.sources) == ["${datasource}"])
        for query in board.queries {
            for metric in MetricNames.inExpression(query) {
                #expect(query.contains("\(metric){job=~\"$job\", instance=~\"$instance\""), "\(query)")
            }
            let left = Dashboard.expanded(query)
            #expect(!left.contains("$"), "\(left)")
        }
    }

    /// Names of alerts, pending or firing.
    private static func alerts(_ prometheus: Prometheus) async throws -> [String] {
        let answer = try await prometheus.http.get("/api/v1/alerts")
        let list = try JSONDocument.parse(answer.body).root["data"]?["alerts"]?.array.map { Array($0) }
        return (list ?? []).compactMap { $0["labels"]?["alertname"]?.string }
    }
}

/// What Grafana is told.
struct Dashboard {
    static let path = "deploy/monitoring/grafana-dashboard.json"
    /// Expressions of all panels.
    let queries: [String]
    let variables: [String]
    /// Of panels, their targets and variables.
    let sources: [String]

    init() throws {
        let root = try JSONDocument.parse(Array(try Repository.text(Self.path).utf8)).root
        let panels = root["panels"]?.array.map { Array($0) } ?? []
        let targets = panels.flatMap { $0["targets"]?.array.map { Array($0) } ?? [] }
        let choices = root["templating"]?["list"]?.array.map { Array($0) } ?? []
        queries = targets.compactMap { $0["expr"]?.string }
        variables = choices.compactMap { $0["name"]?.string }
        sources = (panels + targets + choices).compactMap { $0["datasource"]?["uid"]?.string }
    }

    /// As Grafana sends it with "All" chosen and a scrape each second.
    static func expanded(_ query: String) -> String {
        [("$job", ".*"), ("$instance", ".*"), ("$__rate_interval", "1m")].reduce(query) { text, variable in
            text.split(separator: variable.0, omittingEmptySubsequences: false).joined(separator: variable.1)
        }
    }
}

/// A host on three Sentinels that watches a cluster, and things happening to it.
struct MonitoredScene {
    let host: HostProcess
    private let group: RedisGroup
    private let server: TestAPIServer
    private let files: TemporaryDirectory

    init() async throws {
        group = try await RedisGroup(replicas: 2)
        server = try await TestAPIServer()
        files = try TemporaryDirectory()
        try Files.write(
            """
            current-context: here
            contexts: [{name: here, context: {cluster: c, namespace: portcullis}}]
            clusters: [{name: c, cluster: {server: 'http://127.0.0.1:\(server.port)'}}]
            """, to: files.file("kubeconfig"))
        var plan = HostPlan(
            state: "  redis: {sentinel: {master: \(RedisGroup.name), nodes: [\(group.nodes)]}}\n  timeout: 500ms")
        plan.adapters += "\n  - {use: kubernetes-events, path: /events, authenticate: none}"
        plan.sources =
            "  - {use: kubernetes-events-watch, feeds: kubernetes-events, kubeconfig: '\(files.file("kubeconfig"))'}"
        plan.policies = """
              - {use: filter, drop: ['alertname="Watchdog"']}
              - {use: deduplicate}
              - {use: storm}
              - {use: persist, durability: {replicas: 1}}
            """
        host = try await HostProcess(plan)
    }

    /// Every verdict, a dead letter, and 503s while the master is away, until another has taken over.
    func play() async throws {
        let alert = Alert("Played")
        #expect(try await host.post(alert).verdicts == ["accepted"])
        #expect(try await host.post(alert).verdicts == ["duplicate"])
        #expect(try await host.post(alert.resolved()).verdicts == ["resolved"])
        #expect(try await host.post(Alert("Watchdog")).verdicts == ["filtered"])
        #expect(try await host.post(Alert("NeverSeen").resolved()).verdicts == ["ignored"])
        let bad = try await host.http.post(HostProcess.batchPath, #"[{"labels":{"alertname":7}}]"#)
        #expect(bad.status == 200 || bad.status == 400)
        _ = try await host.delivered(2)
        group.servers[0].kill()
        try await eventually("a 503") { try await host.post(Alert("During")).status == 503 }
        try await eventually("taken again", within: .seconds(30)) {
            try await [201, 202].contains(host.post(Alert("During")).status)
        }
        _ = try await host.delivered(3)
    }

    /// Names of families, and those of their samples besides; `up` is Prometheus's own.
    func exported(_ text: String) -> (families: Set<String>, names: Set<String>) {
        var (families, names): (Set<String>, Set<String>) = ([], ["up"])
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if line.hasPrefix("# TYPE portcullis_") { families.insert(String(words[2])) }
            if !line.hasPrefix("#") { names.insert(String(line.prefix { $0 != "{" && $0 != " " })) }
        }
        return (families, names.union(families))
    }
}
