import SignalKit

/// Which labels make two alerts speak of the same problem.
enum IdentityRule: Sendable, Equatable {
    /// All labels but these. The default leaves out what tells one Prometheus of a pair from the other.
    case allBut([String])
    /// These labels, as far as the alert has them.
    case only([String])
    /// The alert's name and its target: `alertname`, `namespace`, `kind`, `name`. All labels but those of `fallback` when
    /// it has no target: two problems must not become one.
    case target

    static let fallback = ["prometheus_replica", "replica"]

    /// Reads the key `identity`.
    init(_ config: inout ConfigReader) throws(ConfigError) {
        let written = config.node(
            "identity", fallback: "{exclude: [\(Self.fallback.joined(separator: ", "))]}",
            bounds: "target, {exclude: [...]} or {labels: [...]}")
        if case .scalar(let word, _)? = written?.content {
            if word != "target" {
                config.report("identity", "expected the word target, or exclude: or labels: below it")
            }
            self = .target
            return
        }
        self = try config.section("identity") { section throws(ConfigError) in
            let exclude = try section.texts("exclude", default: Self.fallback, count: 0...64)
            let labels = try section.texts("labels", default: [], count: 1...64)
            guard section.has("labels") else { return .allBut(exclude) }
            if section.has("exclude") { section.report("labels", "give either labels or exclude, not both") }
            return .only(labels)
        }
    }

    /// The labels that the identity leaves out: they tell the reporters of one problem apart.
    func reporter(of labels: Labels) -> [Identity.Field] {
        func left(_ isLeft: (String) -> Bool) -> [Identity.Field] {
            var fields: [Identity.Field] = []
            for entry in labels.entries where isLeft(entry.name) { fields.append(.init(entry.name, entry.value)) }
            return fields
        }
        switch self {
        case .allBut(let excluded): return left { excluded.contains($0) }
        case .only(let names): return left { !names.contains($0) }
        case .target: return left { $0 != "alertname" }
        }
    }

    /// - Throws: `SignalError` when nothing of the alert identifies it.
    func identity(of labels: Labels, target: Target?) throws(SignalError) -> Identity {
        // One family for both adapters: an alert is the same problem whether Prometheus posts it or Alertmanager does.
        let family = "alert"
        switch self {
        case .allBut(let excluded): return try Identity(family: family, of: labels) { !excluded.contains($0) }
        case .only(let names): return try Identity(family: family, of: labels) { names.contains($0) }
        case .target:
            guard let target else { return try Self.allBut(Self.fallback).identity(of: labels, target: nil) }
            var fields = [Identity.Field("kind", target.kind), Identity.Field("name", target.name)]
            if let name = labels["alertname"] { fields.append(.init("alertname", name)) }
            if let namespace = target.namespace { fields.append(.init("namespace", namespace)) }
            return try Identity(family: family, fields: fields)
        }
    }
}
