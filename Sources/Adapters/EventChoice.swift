import JSON
import SignalKit

/// Which events become signals, how severe they are, and for how long. Patterns are those of a shell: `Failed*`, `kube-?`.
struct EventChoice: Sendable {
    /// An event never says that its problem is over.
    private let endsAfter: Duration
    private let types: [ShellPattern]
    private let reasons: [ShellPattern]
    private let namespaces: [ShellPattern]
    /// The configured ones first: the first pattern that fits counts.
    private let severities: [Severity]

    private struct Severity: Sendable {
        let reason: ShellPattern
        let severity: String
    }

    /// What kubelet, scheduler and controllers call the events that people are woken for. Any other Warning is a warning.
    private static let known = [
        ("OOMKilling", "critical"), ("SystemOOM", "critical"), ("NodeNotReady", "critical"), ("Evicted", "critical"),
        ("EvictionThresholdMet", "critical"), ("FreeDiskSpaceFailed", "critical"), ("KubeletSetupFailed", "critical"),
        ("FailedScheduling", "warning"), ("BackOff", "warning"), ("FailedMount", "warning"),
        ("FailedAttachVolume", "warning"), ("FailedCreatePodSandBox", "warning"), ("Unhealthy", "warning"),
    ].map { Severity(reason: ShellPattern(text: $0), severity: $1) }

    /// Reads the keys `types`, `reasons`, `namespaces`, `severity` and `ends_after`.
    init(_ config: inout ConfigReader) throws(ConfigError) {
        types = try config.patterns("types", default: ["Warning"], count: 1...16)
        reasons = try config.patterns("reasons", default: ["*"], count: 1...256)
        namespaces = try config.patterns("namespaces", default: ["*"], count: 1...256)
        severities = Self.severities(&config) + Self.known
        // Twice the 30 minutes after which a recorder refreshes a series.
        endsAfter = try config.duration("ends_after", default: .hours(1), in: .minutes(1)...(.hours(7 * 24)))
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
            guard !entry.key.utf8.contains(0) else {
                config.report("severity", "a pattern holds a NUL, which no reason does")
                return nil
            }
            return Severity(reason: ShellPattern(text: entry.key), severity: text)
        }
    }

    /// Whether an event is asked for. Reads no more of it than that takes: an event that nobody wants need not be readable.
    func wants(_ event: JSONObject) -> Bool {
        func text(_ field: String) -> String { event[field]?.string ?? "" }
        let object = event["involvedObject"]?.object ?? event["regarding"]?.object
        return Self.fits(text("type"), types) && Self.fits(text("reason"), reasons)
            && Self.fits(ClusterScope.namespace(object), namespaces)
    }

    /// - Returns: nil for an event whose end has passed.
    func signal(_ event: EventFields, receivedAt: Timestamp) throws(EventFault) -> Signal? {
        // A reporter's clock that runs ahead makes an episode no longer.
        let last = min(event.last ?? event.first ?? receivedAt, receivedAt)
        let endsAt = last.advanced(by: endsAfter)
        guard endsAt > receivedAt else { return nil }
        do throws(SignalError) {
            let labels = try Labels(
                Self.entries([
                    ("reason", event.reason), ("type", event.type), ("kind", event.object.kind),
                    ("namespace", event.object.namespace), ("name", event.object.name), ("component", event.component),
                    ("host", event.host),
                ]))
            return try Signal(
                identity: Self.identity(event), name: event.reason, status: .firing, severity: severity(event),
                labels: labels,
                annotations: Annotations.fitting(
                    Self.entries([
                        ("message", event.message), ("action", event.action), ("count", String(event.count)),
                        ("last", event.last?.description),
                    ]), beside: labels),
                target: Target(
                    kind: event.object.kind, namespace: event.object.namespace, name: event.object.name),
                startsAt: event.first, endsAt: endsAt)
        } catch {
            throw EventFault("event", error.message)
        }
    }

    /// Reason and object. Not the version of its API: reporters differ in it, or leave it out. Of a Node not the uid either: kubelet
    /// gives its name, the node controller the real one, others none. No namespace for an object that has none.
    private static func identity(_ event: EventFields) throws(SignalError) -> Identity {
        let object = event.object
        var fields = [
            Identity.Field("reason", event.reason), Identity.Field("kind", object.kind),
            Identity.Field("name", object.name),
        ]
        if let group = object.group { fields.append(.init("group", group)) }
        if let namespace = object.namespace { fields.append(.init("namespace", namespace)) }
        let isNode = object.kind == "Node" && object.group == nil
        if !isNode, let uid = object.uid { fields.append(.init("uid", uid)) }
        return try Identity(family: "kubernetes-event", fields: fields)
    }

    private func severity(_ event: EventFields) -> String {
        severities.first { $0.reason.fits(event.reason) }?.severity
            ?? (event.type == "Warning" ? "warning" : "info")
    }

    private static func entries(_ pairs: [(String, String?)]) -> [Labels.Entry] {
        pairs.compactMap { name, value in value.flatMap { $0.isEmpty ? nil : Labels.Entry(name, $0) } }
    }

    private static func fits(_ text: String, _ patterns: [ShellPattern]) -> Bool {
        patterns.contains { $0.fits(text) }
    }
}
