import SignalKit

/// Finds what an alert is about: the subject, never the exporter that tells of it.
///
/// Prometheus adds the scrape target's `job`, `instance`, `service`, `endpoint`, `pod`, `container` and `namespace` to each series. Of an
/// application that has metrics of its own they name the subject; of an exporter they name the exporter, or the subject, when
/// its own labels count (`honor_labels: true`). With `honor_labels: false` the subject's are `exported_pod` and the like. A series with
/// `exported_namespace` and without `exported_pod` tells of something else than a pod: of an object of Flux, cert-manager or
/// Argo CD. Its `pod` and `service` are the scrape's, in another namespace.
struct AlertTarget: Sendable {
    /// The most specific owner first: an alert about a deployment often carries the pod that reported it too.
    static let labels = [
        "deployment", "statefulset", "daemonset", "replicaset", "cronjob", "job_name", "persistentvolumeclaim",
        "horizontalpodautoscaler", "poddisruptionbudget", "persistentvolume", "resourcequota", "pod", "node", "service",
    ]
    /// What has no namespace; the one beside it is the exporter's.
    private static let ofTheCluster: Set<String> = ["node", "persistentvolume"]

    private let order: [Named]

    private struct Named: Sendable {
        let label, exported: String
    }

    init(_ order: [String]) { self.order = order.map { Named(label: $0, exported: "exported_" + $0) } }

    /// Nil when no label surely names the subject: no target is better than a wrong one.
    func target(of labels: Labels) -> Target? {
        // What a series said of itself, where the scrape had taken the label.
        if labels.entries.contains(where: { $0.name.utf8.starts(with: "exported_".utf8) }) {
            for named in order {
                if let name = labels[named.exported] { return target(named.label, name, labels["exported_namespace"]) }
            }
        }
        let namespace = labels["exported_namespace"] ?? labels["namespace"]
        var scrape: Scrape?
        var doubtful: (label: String, name: String)?
        for named in order {
            guard let name = labels[named.label] else { continue }
            guard Scrape.labels.contains(named.label) else { return target(named.label, name, namespace) }
            let here = scrape ?? Scrape(labels)
            scrape = here
            switch here.standing(of: named.label, name) {
            case .subject: return target(named.label, name, namespace)
            case .scraped: doubtful = doubtful ?? (named.label, name)
            case .exporter: continue
            }
        }
        return doubtful.map { target($0.label, $0.name, namespace) }
    }

    private func target(_ label: String, _ name: String, _ namespace: String?) -> Target {
        // kube-state-metrics calls it job_name because Prometheus has taken `job` for itself.
        let kind = label == "job_name" ? "job" : label
        return Target(kind: kind, namespace: Self.ofTheCluster.contains(label) ? nil : namespace, name: name)
    }
}

/// Where the series behind an alert were scraped, as far as its labels tell.
private struct Scrape {
    enum Standing {
        case subject
        /// The exporter's, or no part of the subject.
        case exporter
        /// The scrape target's own, and no exporter's: the subject, unless a label says more.
        case scraped
    }

    /// Labels of a subject that a scrape adds too.
    static let labels = ["pod", "node", "service"]
    /// Jobs of the `prometheus` chart, which add the node of what is scraped.
    private static let jobsWithNode = ["kubernetes-service-endpoints", "kubernetes-pods"]

    private let exporter: Exporter?
    private let job, service, pod: String?
    /// The subject is in a namespace that is not the scrape's.
    private let isElsewhere: Bool

    init(_ labels: Labels) {
        (job, service, pod) = (labels["job"], labels["service"], labels["pod"])
        isElsewhere = labels["exported_namespace"] != nil
        // A container may be an exporter beside the application in its pod, so only some containers tell.
        exporter =
            job.flatMap { Exporter($0) } ?? service.flatMap { Exporter($0) }
            ?? labels["container"].flatMap { Exporter($0) }.flatMap { $0.isAlone ? $0 : nil }
    }

    func standing(of label: String, _ name: String) -> Standing {
        switch label {
        case "pod": return standing(ofPod: name)
        case "service": return standing(ofService: name)
        default:
            // Of an exporter the node is what it tells of, or what it runs on, as with node-exporter and kubelet.
            let isAdded = exporter == nil && Self.jobsWithNode.contains { job?.hasPrefix($0) ?? false }
            return isAdded ? .exporter : .subject
        }
    }

    private func standing(ofPod name: String) -> Standing {
        let isScraped = job != nil || service != nil
        guard isScraped || isElsewhere else {
            // Of `sum by (namespace, pod)` over kube-state-metrics without honor_labels this is all that is left.
            return Exporter(name) == .kubeStateMetrics ? .exporter : .subject
        }
        switch exporter {
        case nil: return isElsewhere ? .exporter : .scraped
        // Nothing that it tells has a pod.
        case .nodeExporter?: return .exporter
        // It is scraped at its node, and tells of all pods there.
        case .kubelet?: return .subject
        case .kubeStateMetrics?:
            let isItsOwn = Exporter(name) == .kubeStateMetrics || [service, job].contains { belongs(name, to: $0) }
            return isItsOwn ? .exporter : .subject
        // It may run beside the application that it tells of.
        case .other?: return isElsewhere || Exporter(name) == .other ? .exporter : .subject
        }
    }

    private func standing(ofService name: String) -> Standing {
        guard exporter != nil else { return isElsewhere || Exporter(name) != nil ? .exporter : .scraped }
        // Of an exporter's series only one that took the place of the exporter's own.
        guard Exporter(name) == nil, let pod, Exporter(pod) == exporter, !belongs(pod, to: name) else {
            return .exporter
        }
        return .subject
    }

    /// Pods are called after what owns them, which is mostly called as its service is.
    private func belongs(_ pod: String, to owner: String?) -> Bool {
        guard let owner, !owner.isEmpty, pod.utf8.starts(with: owner.utf8) else { return false }
        return pod.utf8.count == owner.utf8.count || pod.utf8.dropFirst(owner.utf8.count).first == UInt8(ascii: "-")
    }
}
