import Adapters
import JSON
import SignalKit
import TestSupport
import Testing

/// Every alert of kube-prometheus and kube-prometheus-stack, with the labels that it arrives with: the series' own, those that the scrape
/// adds, with both settings of `honor_labels`, and what the rule's expression leaves of them. Several installations, which name their
/// exporters differently. Cases/README.md has the files' form.
struct AlertTargetTests {
    struct Rule: Sendable, CustomTestStringConvertible {
        let alert, of, target: String
        let unhonored: String?
        let has: [String: String]
        let by: [String]?
        let without: [String]
        var testDescription: String { alert }
    }

    static func strings(_ value: JSONValue?) -> [String: String] {
        var found: [String: String] = [:]
        for member in value?.object.map({ Array($0) }) ?? [] { found[member.key] = member.value.string }
        return found
    }

    static let rules: [Rule] = {
        let lines = (try? Repository.text("Tests/AdaptersTests/Cases/kube-prometheus-alerts.jsonl")) ?? ""
        return lines.split(separator: "\n").compactMap { line in
            guard let root = try? JSONDocument.parse(Array(line.utf8)).root else { return nil }
            func list(_ name: String) -> [String]? { root[name]?.array.map { $0.compactMap(\.string) } }
            return Rule(
                alert: root["alert"]?.string ?? "", of: root["of"]?.string ?? "", target: root["target"]?.string ?? "",
                unhonored: root["unhonored"]?.string, has: strings(root["has"]), by: list("by"),
                without: list("without") ?? [])
        }
    }()

    static let installations: [(name: String, scrapes: [String: [String: String]])] = {
        let text = (try? Repository.text("Tests/AdaptersTests/Cases/kube-prometheus-scrapes.json")) ?? "{}"
        guard let root = try? JSONDocument.parse(Array(text.utf8)).root, let object = root.object else { return [] }
        return object.map { member in
            var scrapes: [String: [String: String]] = ["nothing": [:]]
            for scrape in member.value.object.map({ Array($0) }) ?? [] { scrapes[scrape.key] = strings(scrape.value) }
            return (member.key, scrapes)
        }
    }()

    /// As Prometheus joins a series' labels with its target's.
    private func labels(_ rule: Rule, of scrape: [String: String], honored: Bool) -> [String: String] {
        var labels = scrape
        for (name, value) in rule.has {
            labels[scrape[name] == nil || honored ? name : "exported_" + name] = value
        }
        if let by = rule.by { labels = labels.filter { by.contains($0.key) } }
        for name in rule.without { labels[name] = nil }
        labels.merge(["alertname": rule.alert, "severity": "warning", "prometheus": "monitoring/k8s"]) { $1 }
        return labels
    }

    private func described(_ target: Target?) -> String {
        target.map { "\($0.kind) \($0.namespace ?? "-")/\($0.name)" } ?? "none"
    }

    private func expected(_ rule: Rule, _ scrape: [String: String], honored: Bool) -> String {
        let text = honored ? rule.target : rule.unhonored ?? rule.target
        let namespace = scrape["namespace"] ?? "-"
        switch text {
        case "pod scrape": return "pod \(namespace)/\(scrape["pod"] ?? "")"
        case "service scrape": return "service \(namespace)/\(scrape["service"] ?? "")"
        default: return text.replacing("scrape/", with: "\(namespace)/")
        }
    }

    @Test(arguments: [true, false]) func theTargetOfAnAlertIsItsSubjectAndNeverTheExporter(_ honored: Bool) throws {
        let gate = try adapter(PrometheusAdapter.self)
        #expect(Self.rules.count > 140 && Self.installations.count == 4)
        for (name, scrapes) in Self.installations {
            for rule in Self.rules {
                let scrape = try #require(scrapes[rule.of])
                let labels = labels(rule, of: scrape, honored: honored)
                let target = try gate.one(Self.body(labels)).target
                #expect(
                    described(target) == expected(rule, scrape, honored: honored), "\(rule.alert) of \(name): \(labels)"
                )
            }
        }
    }

    private func target(_ labels: KeyValuePairs<String, String>) throws -> String {
        var all = ["alertname": "A"]
        for (name, value) in labels { all[name] = value }
        return described(try adapter(PrometheusAdapter.self).one(Self.body(all)).target)
    }

    private static func body(_ labels: [String: String]) throws -> String {
        let tree: JSONTree = [["labels": .object(labels.mapValues { .string($0) })]]
        return String(decoding: try tree.text(), as: UTF8.self)
    }

    @Test func eightNodesAreEightTargets() throws {
        let body = try Repository.text("Tests/AdaptersTests/Cases/kubenodenotready-8-nodes.json")
        let decoded = try adapter(AlertmanagerAdapter.self).decode(body)
        #expect(Set(decoded.signals.compactMap(\.target)).count == 8)
        #expect(decoded.signals.first?.target == Target(kind: "node", namespace: nil, name: "worker-00"))
        let byTarget = try adapter(AlertmanagerAdapter.self, [("identity", .scalar("target", plain: true))])
        #expect(Set(try byTarget.decode(body).signals.map(\.identity)).count == 8)
        let pod = try Repository.text("Tests/AdaptersTests/Cases/kubepodcrashlooping.json")
        #expect(
            try adapter(AlertmanagerAdapter.self).one(pod).target
                == Target(kind: "pod", namespace: "shop", name: "checkout-6d9c7-x2x4q"))
    }

    /// The chart `prometheus` finds its targets by annotations, and adds the node of each.
    @Test func theNodeThatAScrapeAddsIsNoSubject() throws {
        let job = "kubernetes-service-endpoints"
        #expect(
            try target([
                "job": job, "service": "prometheus-kube-state-metrics", "node": "worker-9", "namespace": "shop",
                "pod": "checkout-1",
            ]) == "pod shop/checkout-1")
        #expect(
            try target(["job": job, "service": "checkout", "node": "worker-9", "namespace": "shop"])
                == "service shop/checkout")
        #expect(
            try target([
                "job": job, "service": "prometheus-prometheus-node-exporter", "node": "worker-1", "namespace": "m",
            ]) == "node -/worker-1")
        #expect(try target(["job": "kubelet", "node": "worker-1", "pod": "p", "namespace": "shop"]) == "pod shop/p")
    }

    /// Without `honor_labels`: objects of controllers have a namespace, and no pod or service.
    @Test func theNamespaceOfAnObjectIsNotJoinedToTheScrapesPodOrService() throws {
        let flux = [
            "job": "flux-system/kustomize-controller", "namespace": "flux-system", "pod": "kustomize-controller-5b7-x",
            "container": "manager", "exported_namespace": "apps", "kind": "Kustomization", "name": "shop",
        ]
        let certificate = [
            "job": "cert-manager", "namespace": "cert-manager", "pod": "cert-manager-77-x", "service": "cert-manager",
            "container": "cert-manager-controller", "exported_namespace": "shop", "name": "tls",
        ]
        let application = [
            "job": "argocd-metrics", "namespace": "argocd", "service": "argocd-metrics",
            "pod": "argocd-application-controller-0", "exported_namespace": "team-a", "name": "app1",
        ]
        for labels in [flux, certificate, application] {
            for without in [[], ["pod"], ["service"], ["job"], ["job", "service"], ["job", "pod"], ["namespace"]] {
                let left = labels.filter { !without.contains($0.key) }
                #expect(try described(all(left)) == "none", "\(left)")
            }
            let named = labels.merging(["deployment": "web"]) { $1 }
            #expect(try described(all(named)).hasPrefix("deployment \(labels["exported_namespace"] ?? "")/web"))
            let said = labels.merging(["exported_pod": "web-1"]) { $1 }
            #expect(try described(all(said)).hasPrefix("pod \(labels["exported_namespace"] ?? "")/web-1"))
        }
        let devices = [
            "job": "nvidia-dcgm-exporter", "namespace": "gpu", "pod": "train-0", "exported_namespace": "ml",
            "service": "nvidia-dcgm-exporter",
        ]
        #expect(try described(all(devices)) == "none")
        // Its scrape adds a namespace and no pod.
        #expect(
            try target([
                "job": "kubelet", "namespace": "kube-system", "service": "kps-kubelet", "pod": "web-1",
                "exported_namespace": "shop",
            ]) == "pod shop/web-1")
    }

    @Test func otherStateMetricsAreExporters() throws {
        for name in ["openshift-state-metrics", "crossplane-state-metrics"] {
            #expect(
                try target(["job": name, "service": name, "pod": "\(name)-6d-x2", "namespace": "shop"]) == "none")
            #expect(
                try target([
                    "job": name, "service": name, "pod": "\(name)-6d-x2", "namespace": "shop", "deployment": "web",
                ]) == "deployment shop/web")
        }
    }

    private func all(_ labels: [String: String]) throws -> Target? {
        try adapter(PrometheusAdapter.self).one(Self.body(labels.merging(["alertname": "A"]) { $1 })).target
    }

    @Test func anApplicationThatHasMetricsOfItsOwnIsTheSubject() throws {
        let shop = ["job": "checkout", "service": "checkout", "namespace": "shop"] as KeyValuePairs
        #expect(try target(shop) == "service shop/checkout")
        #expect(
            try target(["job": "checkout", "service": "checkout", "pod": "checkout-6d-x2", "namespace": "shop"])
                == "pod shop/checkout-6d-x2")
        #expect(try target(["pod": "checkout-1", "node": "worker-1", "namespace": "shop"]) == "pod shop/checkout-1")
        // An exporter beside the application in its pod, and one that runs alone.
        #expect(
            try target([
                "job": "redis-exporter", "service": "redis", "pod": "redis-0", "container": "redis-exporter",
                "namespace": "shop",
            ]) == "pod shop/redis-0")
        #expect(
            try target([
                "job": "redis-exporter", "service": "redis-exporter", "pod": "redis-exporter-6d-x2",
            ]) == "none")
        #expect(try target(["job": "blackbox-exporter", "instance": "https://example.org", "service": "bb"]) == "none")
    }

    @Test func aLabelOfTheSeriesComesBeforeTheScrapesAndWithItsOwnNamespace() throws {
        #expect(
            try target([
                "exported_pod": "checkout-1", "exported_namespace": "shop", "pod": "ksm-1", "namespace": "monitoring",
                "node": "worker-1", "service": "ksm", "job": "ksm",
            ]) == "pod shop/checkout-1")
        #expect(try target(["exported_service": "checkout", "namespace": "monitoring"]) == "service -/checkout")
    }
}
