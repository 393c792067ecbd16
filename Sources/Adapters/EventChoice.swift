import Glibc
import SignalKit

/// Which events become signals, and how severe they are. Patterns are those of a shell: `Failed*`, `kube-?`.
struct EventChoice: Sendable {
    private let types: [String]
    private let reasons: [String]
    private let namespaces: [String]
    /// The configured ones first: the first pattern that fits counts.
    private let severities: [Severity]

    private struct Severity: Sendable {
        let reason: String
        let severity: String
    }

    /// What kubelet, scheduler and controllers call the events that people are woken for. Any other Warning is a warning.
    private static let known = [
        ("OOMKilling", "critical"), ("SystemOOM", "critical"), ("NodeNotReady", "critical"), ("Evicted", "critical"),
        ("EvictionThresholdMet", "critical"), ("FreeDiskSpaceFailed", "critical"), ("KubeletSetupFailed", "critical"),
        ("FailedScheduling", "warning"), ("BackOff", "warning"), ("FailedMount", "warning"),
        ("FailedAttachVolume", "warning"), ("FailedCreatePodSandBox", "warning"), ("Unhealthy", "warning"),
    ].map(Severity.init)

    /// Reads the keys `types`, `reasons`, `namespaces` and `severity`.
    init(_ config: inout ConfigReader) throws(ConfigError) {
        types = try config.texts("types", default: ["Warning"], count: 1...16)
        reasons = try config.texts("reasons", default: ["*"], count: 1...256)
        namespaces = try config.texts("namespaces", default: ["*"], count: 1...256)
        severities = Self.severities(&config) + Self.known
    }

    private static func severities(_ config: inout ConfigReader) -> [Severity] {
        let node = config.node(
            "severity", kind: "mapping", fallback: "{}", bounds: "reasons, patterns too, with what their severity is")
        guard let node else { return [] }
        guard case .map(let entries) = node.content else {
            config.report("severity", "expected a mapping of reasons to severities, found \(node.described)")
            return []
        }
        return entries.compactMap { entry in
            guard case .scalar(let text, _) = entry.value.content, (1...64).contains(text.utf8.count) else {
                config.report(
                    "severity", "\(entry.key): expected a word of 1 to 64 bytes, found \(entry.value.described)")
                return nil
            }
            return Severity(reason: entry.key, severity: text)
        }
    }

    /// - Returns: nil for an event that is not asked for.
    func signal(_ event: EventFields) throws(EventFault) -> Signal? {
        let namespace = event.object.namespace ?? ""
        guard Self.fits(event.type, types), Self.fits(event.reason, reasons), Self.fits(namespace, namespaces) else {
            return nil
        }
        var identity = [
            Identity.Field("reason", event.reason), Identity.Field("kind", event.object.kind),
            Identity.Field("name", event.object.name),
        ]
        if let version = event.object.apiVersion { identity.append(.init("apiVersion", version)) }
        if let namespace = event.object.namespace { identity.append(.init("namespace", namespace)) }
        if let uid = event.object.uid { identity.append(.init("uid", uid)) }
        do throws(SignalError) {
            return try Signal(
                identity: Identity(family: "kubernetes-event", fields: identity), name: event.reason, status: .firing,
                severity: severity(event),
                labels: Self.labels([
                    ("reason", event.reason), ("type", event.type), ("kind", event.object.kind),
                    ("namespace", event.object.namespace), ("name", event.object.name), ("component", event.component),
                    ("host", event.host),
                ]),
                annotations: Self.labels(
                    [
                        ("message", event.message), ("action", event.action), ("count", String(event.count)),
                        ("last", event.last?.description),
                    ], longest: Signal.Bounds.annotationValue),
                target: Target(
                    kind: event.object.kind, namespace: event.object.namespace, name: event.object.name),
                startsAt: event.first)
        } catch {
            throw EventFault("event", error.message)
        }
    }

    private func severity(_ event: EventFields) -> String {
        severities.first { Self.fits(event.reason, [$0.reason]) }?.severity
            ?? (event.type == "Warning" ? "warning" : "info")
    }

    private static func labels(
        _ pairs: [(String, String?)], longest: Int = Signal.Bounds.labelValue
    ) throws(SignalError) -> Labels {
        try Labels(
            pairs.compactMap { name, value in
                value.flatMap { $0.isEmpty ? nil : Labels.Entry(name, $0) }
            }, longestValue: longest)
    }

    private static func fits(_ text: String, _ patterns: [String]) -> Bool {
        patterns.contains { $0 == "*" || $0 == text || fnmatch($0, text, 0) == 0 }
    }
}
