import TestSupport
import Testing
import Yams

/// deploy/monitoring, docs/runbook.md and the table of docs/operations.md against each other and against what a host exports.
@Suite(.serialized) struct MonitoringTests {
    private static let rulesFile = "deploy/monitoring/portcullis.rules.yml"

    private static func rules() throws -> [Node] {
        let groups = try Yams.compose(yaml: try Repository.text(rulesFile))?["groups"]?.sequence
        return groups?.flatMap { Array($0["rules"]?.sequence ?? []) } ?? []
    }

    private static func promtool(_ words: String...) async throws {
        let run = try await ChildProcess.run("promtool", words)
        #expect(run.end == .exited(0), "\(run.output)\(run.errors)")
    }

    @Test func promtoolTakesTheRules() async throws {
        try await Self.promtool("check", "rules", Repository.path(Self.rulesFile))
        try await Self.promtool("test", "rules", Repository.path("deploy/monitoring/rules.test.yml"))
    }

    @Test func everyRuleHasACaseInWhichItFiresAndOneInWhichItDoesNot() throws {
        let cases = try Yams.compose(yaml: try Repository.text("deploy/monitoring/rules.test.yml"))?["tests"]?.sequence
        var (firing, silent): (Set<String>, Set<String>) = ([], [])
        for test in (cases ?? []).flatMap({ Array($0["alert_rule_test"]?.sequence ?? []) }) {
            let name = test["alertname"]?.string ?? ""
            if test["exp_alerts"]?.sequence?.isEmpty ?? true { silent.insert(name) } else { firing.insert(name) }
        }
        let names = Set(try Self.rules().compactMap { $0["alert"]?.string })
        #expect(names.count >= 12)
        #expect(firing == names)
        #expect(silent == names)
    }

    @Test func everyRuleSaysHowBadItIsAndWhatToDo() throws {
        for rule in try Self.rules() {
            let name = rule["alert"]?.string ?? ""
            let annotations = rule["annotations"]
            #expect(["critical", "warning", "info"].contains(rule["labels"]?["severity"]?.string ?? ""), "\(name)")
            #expect(annotations?["summary"]?.string?.isEmpty == false, "\(name)")
            // Of nothing there is no value.
            let description = annotations?["description"]?.string ?? ""
            #expect(description.contains("{{ $") || rule["expr"]?.string?.hasPrefix("absent(") == true, "\(name)")
            let url = annotations?["runbook_url"]?.string ?? ""
            #expect(url.hasPrefix("https://") && url.hasSuffix("/docs/runbook.md#\(Self.anchor(name))"), "\(name)")
        }
    }

    @Test func everyRuleHasItsSectionInTheRunbookAndEverySectionItsRule() throws {
        let rules = try Self.rules()
        #expect(Self.sections(try Repository.text("docs/runbook.md")) == rules.compactMap { $0["alert"]?.string })
    }

    @Test func theOperatorsRulesAreTheSame() throws {
        let operated = try Yams.compose(yaml: try Repository.text("deploy/monitoring/prometheusrule.yaml"))
        let plain = try Yams.compose(yaml: try Repository.text(Self.rulesFile))
        #expect(operated?["kind"]?.string == "PrometheusRule")
        #expect(
            operated?["spec"]?["groups"] == plain?["groups"],
            "make prometheusrule.yaml again as deploy/monitoring/README.md says")
    }

    @Test func kubectlRendersTheRulesAndTheDashboard() async throws {
        let run = try await ChildProcess.run("kubectl", ["kustomize", Repository.path("deploy/monitoring")])
        #expect(run.end == .exited(0) && run.errors.isEmpty, "\(run.errors)")
        let all = Array(try Yams.compose_all(yaml: run.output))
        #expect(Set(all.compactMap { $0["kind"]?.string }) == ["PrometheusRule", "ConfigMap"])
        let board = all.first { $0["kind"]?.string == "ConfigMap" }
        #expect(board?["data"]?["portcullis.json"]?.string == (try Repository.text(Dashboard.path)))
    }

    @Test func whatIsNamedIsWhatARunningHostExports() async throws {
        let scene = try await MonitoredScene()
        try await scene.play()
        let exported = scene.exported(try await scene.host.admin.get("/metrics").text)
        for rule in try Self.rules() {
            let unknown = MetricNames.inExpression(rule["expr"]?.string ?? "").subtracting(exported.names)
            #expect(unknown == [], "\(rule["alert"]?.string ?? "")")
        }
        for query in try Dashboard().queries {
            #expect(MetricNames.inExpression(query).subtracting(exported.names) == [], "\(query)")
        }
        let table = MetricNames.inDocument(try Repository.text("docs/operations.md"))
        #expect(exported.families.subtracting(table) == [], "docs/operations.md does not name these")
        #expect(table.subtracting(exported.families) == [], "docs/operations.md names these")
        let runbook = MetricNames.inDocument(try Repository.text("docs/runbook.md"))
        #expect(runbook.subtracting(exported.names) == [], "docs/runbook.md names these")
    }

    @Test func aMetricOrASectionThatIsNotThereIsFound() {
        let names = MetricNames.inExpression(
            """
            sum by (job) (rate(portcullis_a_total{code="portcullis_x", b!~"c"}[5m])) / on (job) group_left (d)
              max_over_time(up[10m] offset 1h) > 1e3 and e unless absent(portcullis_f_bucket) * 2 > bool 0.5
            """)
        #expect(names == ["portcullis_a_total", "up", "e", "portcullis_f_bucket"])
        #expect(
            MetricNames.inDocument("`portcullis_a` and `portcullis_b{x=\"y\"}` portcullis_c 0\n")
                == ["portcullis_a", "portcullis_b", "portcullis_c"])
        #expect(Self.sections("# R\n## By alert\n### PortcullisA\n### B\n## PortcullisC\n") == ["PortcullisA"])
        #expect(Self.anchor("PortcullisStoreDown") == "portcullisstoredown")
    }

    /// Headings of the third level that are an alert's name.
    private static func sections(_ text: String) -> [String] {
        text.split(separator: "\n").filter { $0.hasPrefix("### Portcullis") }.map { String($0.dropFirst(4)) }
    }

    /// Of a heading of one word.
    private static func anchor(_ heading: String) -> String { heading.lowercased() }
}

/// Names of metrics in what people write.
enum MetricNames {
    private static let words: Set<Substring> = ["and", "or", "unless", "offset", "bool"]

    /// Those of a PromQL expression: its identifiers without functions, labels, strings, ranges and durations.
    static func inExpression(_ expression: String) -> Set<String> {
        var text = Substring(expression)
        for (open, close) in [("\"", "\""), ("{", "}"), ("[", "]")] { text = without(text, open, close)[...] }
        for word in ["by", "without", "on", "ignoring", "group_left", "group_right"] {
            text = without(text, " \(word) (", ")")[...]
        }
        var found: Set<String> = []
        var rest = text
        while let start = rest.firstIndex(where: { $0.isLetter || $0 == "_" || $0.isNumber }) {
            let tail = rest[start...]
            let name = tail.prefix { $0.isLetter || $0 == "_" || $0 == ":" || $0.isNumber || $0 == "." }
            rest = tail[name.endIndex...]
            guard name.first?.isNumber == false, !words.contains(name), rest.first(where: { $0 != " " }) != "(" else {
                continue
            }
            found.insert(String(name))
        }
        return found
    }

    private static func without(_ text: Substring, _ open: String, _ close: String) -> String {
        var out = ""
        var rest = text
        while let start = rest.firstRange(of: open) {
            out += rest[..<start.lowerBound] + " "
            let tail = rest[start.upperBound...]
            guard let end = tail.firstRange(of: close) else { return out }
            rest = tail[end.upperBound...]
        }
        return out + rest
    }

    /// Every `portcullis_…` of a document.
    static func inDocument(_ text: String) -> Set<String> {
        var found: Set<String> = []
        var rest = Substring(text)
        while let start = rest.firstRange(of: "portcullis_") {
            let name = rest[start.lowerBound...].prefix { $0.isLetter || $0 == "_" || $0.isNumber }
            found.insert(String(name))
            rest = rest[name.endIndex...]
        }
        return found
    }
}
