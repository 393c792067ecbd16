import Adapters
import SignalKit
import TestSupport
import Testing

struct AlertIdentityTests {
    private let labels =
        #"{"alertname":"A","namespace":"shop","pod":"checkout-1","replica":"a","prometheus_replica":"p-0","team":"x"}"#

    private func signal(
        _ labels: String? = nil, _ entries: [(String, ConfigNode.Content)] = []
    ) throws -> Signal {
        try adapter(PrometheusAdapter.self, entries).one(#"[{"labels":\#(labels ?? self.labels)}]"#)
    }

    @Test func theSameLabelsAreTheSameProblemWhoeverReportsThem() throws {
        let webhook = try adapter(AlertmanagerAdapter.self).one(group(alert(labels)))
        #expect(try signal().identity == webhook.identity)
        #expect(webhook.identity.family == "alert")
    }

    @Test func replicasOfASenderReportTheSameProblem() throws {
        let other = #"{"alertname":"A","namespace":"shop","pod":"checkout-1","replica":"b","team":"x"}"#
        #expect(try signal().identity == signal(other).identity)
        #expect(try signal().identity != signal(#"{"alertname":"A","namespace":"shop"}"#).identity)
    }

    @Test func anHAPairsWebhookSpeaksOfOneProblem() throws {
        let body = try Repository.text("Tests/AdaptersTests/Cases/ha-pair-AB.json")
        let decoded = try adapter(AlertmanagerAdapter.self).decode(body)
        #expect(decoded.signals.map(\.status) == [.resolved, .firing])
        #expect(Set(decoded.signals.map(\.identity)).count == 1)
    }

    @Test func labelsCanBeExcluded() throws {
        let identity = try signal(nil, [("identity", mapping([("exclude", texts("pod", "team"))]).content)]).identity
        #expect(identity.fields.map(\.name) == ["alertname", "namespace", "prometheus_replica", "replica"])
    }

    @Test func labelsCanBeChosen() throws {
        let chosen = mapping([("labels", texts("team", "alertname", "absent"))]).content
        #expect(try signal(nil, [("identity", chosen)]).identity.fields.map(\.name) == ["alertname", "team"])
        let gate = try adapter(PrometheusAdapter.self, [("identity", chosen)])
        #expect(try gate.reason(#"[{"labels":{"pod":"p"}}]"#) == "labels: nothing identifies the problem")
    }

    @Test func theTargetCanBeTheIdentity() throws {
        let target: [(String, ConfigNode.Content)] = [("identity", .scalar("target", plain: true))]
        let identity = try signal(nil, target).identity
        #expect(identity.fields.map(\.name) == ["alertname", "kind", "name", "namespace"])
        #expect(identity.fields.map(\.value) == ["A", "pod", "checkout-1", "shop"])
        // Without a target there is nothing to tell two problems apart by but their labels.
        #expect(
            try signal(#"{"alertname":"A","team":"x","replica":"a"}"#, target).identity.fields.map(\.name)
                == ["alertname", "team"])
    }

    @Test func theFirstLabelOfTheListNamesTheTarget() throws {
        let all =
            #"{"alertname":"A","node":"n","pod":"p","deployment":"d.v2","namespace":"m","exported_namespace":"shop"}"#
        #expect(try signal(all).target == Target(kind: "deployment", namespace: "shop", name: "d.v2"))
        #expect(
            try signal(all, [("target", texts("host", "node", "pod"))]).target
                == Target(kind: "node", namespace: nil, name: "n"))
        #expect(try signal(all, [("target", texts())]).target == nil)
        #expect(
            try signal(#"{"alertname":"A","job_name":"backup-29","job":"kube-state-metrics"}"#).target
                == Target(kind: "job", namespace: nil, name: "backup-29"))
        #expect(try signal(#"{"alertname":"A","job":"node-exporter"}"#).target == nil)
    }

    @Test func anAlertWithoutANameIsCalledUnnamed() throws {
        #expect(try signal(#"{"pod":"p"}"#).name == "unnamed")
    }

    @Test func theKeysAreDeclaredWithTheirDefaults() throws {
        var config = ConfigReader.describing()
        _ = try PrometheusAdapter(&config, .silent)
        #expect(config.errors.isEmpty)
        #expect(config.keys.map(\.path) == ["identity", "identity.exclude", "identity.labels", "target"])
        #expect(config.keys.first?.fallback == "{exclude: [prometheus_replica, replica]}")
    }

    @Test func wrongKeysAreReported() throws {
        func errors(_ entries: [(String, ConfigNode.Content)]) throws -> [String] {
            var config = ConfigReader(mapping(entries), path: "adapters[0]")
            _ = try AlertmanagerAdapter(&config, .silent)
            config.finish()
            return config.errors.map { "\($0.path): \($0.message)" }
        }
        #expect(
            try errors([("identity", .scalar("labels", plain: true))]) == [
                "adapters[0].identity: expected the word target, or exclude: or labels: below it"
            ])
        #expect(
            try errors([("identity", mapping([("labels", texts("a")), ("exclude", texts("b"))]).content)]) == [
                "adapters[0].identity.labels: give either labels or exclude, not both"
            ])
        #expect(
            try errors([("identity", mapping([("labls", texts("a"))]).content)]) == [
                "adapters[0].identity.labls: unknown key labls; did you mean labels?"
            ])
        #expect(
            try errors([("identity", mapping([("labels", texts())]).content)]) == [
                "adapters[0].identity.labels: expected 1 to 64 texts, found 0"
            ])
    }
}
