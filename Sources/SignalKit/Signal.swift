/// What makes two signals speak of the same problem. The host hashes it, length-prefixed, into the fingerprint
/// (SHA-256); the order of `fields` does not matter, they are sorted here.
public struct Identity: Hashable, Sendable {
    public struct Field: Hashable, Sendable {
        public let name: String
        public let value: String
        public init(_ name: String, _ value: String) { (self.name, self.value) = (name, value) }
    }

    /// The family of problems, so that sources that name things alike do not collide: "alert" for Prometheus and
    /// Alertmanager, which report the same problems and so share it.
    public let family: String
    /// Sorted by name, bytewise; names are unique.
    public let fields: [Field]

    /// - Parameters:
    ///   - family: 1 to 63 bytes.
    ///   - fields: 1 to `Signal.Bounds.labels`, of the bounds of labels.
    /// - Throws: `SignalError` when there is no field, a name occurs twice, or a bound is exceeded.
    public init(family: String, fields: [Field]) throws(SignalError) {
        guard !fields.isEmpty, !family.isEmpty else {
            throw SignalError(.noIdentity, "nothing identifies the problem")
        }
        guard fields.count <= Signal.Bounds.labels, family.utf8.count <= 63 else {
            throw SignalError(.tooLarge, "\(fields.count) fields of identity, \(Signal.Bounds.labels) at most")
        }
        for field in fields {
            guard (1...Signal.Bounds.labelName).contains(field.name.utf8.count),
                field.value.utf8.count <= Signal.Bounds.labelValue
            else {
                throw SignalError(
                    .tooLarge, "a field of identity of \(field.name.utf8.count) and \(field.value.utf8.count) bytes")
            }
        }
        self.family = family
        guard let sorted = sortedUnique(fields) else {
            throw SignalError(.duplicateLabel, "identity names a field twice")
        }
        self.fields = sorted
    }
}

/// Sorted by the bytes of a name; nil when two names have the same bytes. Bytes, not `String`'s own order, which
/// takes "é" in one code point and in two for equal: a sender's label names are what they are. Senders mostly sort
/// already, so that is looked at first.
private func sortedUnique<Element: Named>(_ elements: [Element]) -> [Element]? {
    func precedes(_ left: Element, _ right: Element) -> Bool {
        left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
    }
    func ascends(_ elements: [Element]) -> Bool {
        zip(elements, elements.dropFirst()).allSatisfy(precedes)
    }
    if ascends(elements) { return elements }
    let sorted = elements.sorted(by: precedes)
    return ascends(sorted) ? sorted : nil
}

private protocol Named { var name: String { get } }
extension Identity.Field: Named {}
extension Labels.Entry: Named {}

/// What a problem is about, when its source tells.
public struct Target: Hashable, Sendable {
    /// As Kubernetes spells a kind, or the label that named it: `deployment`, `pod`, `node`.
    public let kind: String
    public let namespace: String?
    public let name: String

    public init(kind: String, namespace: String?, name: String) {
        (self.kind, self.namespace, self.name) = (kind, namespace, name)
    }
}

/// A set of names with values: unique, sorted by name (bytewise), bounded.
public struct Labels: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        public let name: String
        public let value: String
        public init(_ name: String, _ value: String) { (self.name, self.value) = (name, value) }
    }

    public let entries: [Entry]

    public static let empty = Labels(sorted: [])

    /// - Parameter longestValue: bytes that one value may hold; `Signal.Bounds` has the two in use.
    /// - Throws: `SignalError` for a name that occurs twice, an empty name, too many entries, or too long a name or value.
    public init(_ entries: [Entry], longestValue: Int = Signal.Bounds.labelValue) throws(SignalError) {
        guard entries.count <= Signal.Bounds.labels else {
            throw SignalError(.tooLarge, "\(entries.count) labels, \(Signal.Bounds.labels) at most")
        }
        for entry in entries {
            guard (1...Signal.Bounds.labelName).contains(entry.name.utf8.count) else {
                throw SignalError(
                    .badLabel, "a label name of \(entry.name.utf8.count) bytes, 1 to \(Signal.Bounds.labelName) allowed"
                )
            }
            guard entry.value.utf8.count <= longestValue else {
                throw SignalError(.tooLarge, "label value of \(entry.value.utf8.count) bytes, \(longestValue) at most")
            }
        }
        guard let sorted = sortedUnique(entries) else {
            throw SignalError(.duplicateLabel, "a label name occurs twice")
        }
        self.entries = sorted
    }

    private init(sorted: [Entry]) { entries = sorted }

    /// Lengths first: most names differ in it, and a target is looked for under a dozen names.
    public subscript(name: String) -> String? {
        let length = name.utf8.count
        return entries.first { $0.name.utf8.count == length && $0.name == name }?.value
    }
}

/// One thing that a source said about one problem.
public struct Signal: Hashable, Sendable {
    public enum Status: String, Sendable { case firing, resolved }

    /// Past an adapter nothing larger exists. Label names and values follow what Prometheus servers commonly
    /// enforce (label_name_length_limit 1 KiB), with room; annotations hold prose, Kubernetes messages among it.
    public enum Bounds {
        /// bytes
        public static let name = 1_024
        /// entries in one set
        public static let labels = 256
        /// bytes
        public static let labelName = 1_024
        /// bytes
        public static let labelValue = 16_384
        /// bytes
        public static let annotationValue = 131_072
        /// bytes
        public static let link = 8_192
        /// bytes of all texts together
        public static let whole = 524_288
    }

    public let identity: Identity
    /// What the problem is called: `HighMemoryUsage`.
    public let name: String
    public let status: Status
    /// As the source spells it; nil when it does not say.
    public let severity: String?
    public let labels: Labels
    public let annotations: Labels
    public let target: Target?
    /// When the source says the problem began; nil when it does not say.
    public let startsAt: Timestamp?
    /// Resolved: when it ended. Firing: until when the source vouches for it, nil when it gives no such time.
    public let endsAt: Timestamp?
    /// Where the source shows more: a URL, unchecked.
    public let link: String?

    /// - Throws: `SignalError` when a bound is exceeded.
    public init(
        identity: Identity, name: String, status: Status, severity: String? = nil, labels: Labels = .empty,
        annotations: Labels = .empty, target: Target? = nil, startsAt: Timestamp? = nil, endsAt: Timestamp? = nil,
        link: String? = nil
    ) throws(SignalError) {
        guard (1...Bounds.name).contains(name.utf8.count) else {
            throw SignalError(.badName, "a name of \(name.utf8.count) bytes, 1 to \(Bounds.name) allowed")
        }
        if let link, link.utf8.count > Bounds.link {
            throw SignalError(.tooLarge, "a link of \(link.utf8.count) bytes, \(Bounds.link) at most")
        }
        for text in [severity, target?.kind, target?.namespace, target?.name].compactMap(\.self)
        where text.utf8.count > Bounds.labelValue {
            throw SignalError(
                .tooLarge, "severity or target of \(text.utf8.count) bytes, \(Bounds.labelValue) at most")
        }
        func size(_ labels: Labels) -> Int {
            labels.entries.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
        }
        let whole = size(labels) + size(annotations)
        guard whole <= Bounds.whole else {
            throw SignalError(.tooLarge, "\(whole) bytes of labels and annotations, \(Bounds.whole) at most")
        }
        self.identity = identity
        self.name = name
        self.status = status
        self.severity = severity
        self.labels = labels
        self.annotations = annotations
        self.target = target
        self.startsAt = startsAt
        self.endsAt = endsAt
        self.link = link
    }

    /// The same signal with one label added or replaced; the host marks a signal `degraded` this way.
    /// - Throws: `SignalError` when the label set would exceed its bounds.
    public func labelled(_ name: String, _ value: String) throws(SignalError) -> Signal {
        var entries = labels.entries.filter { $0.name != name }
        entries.append(.init(name, value))
        return try Signal(
            identity: identity, name: self.name, status: status, severity: severity, labels: Labels(entries),
            annotations: annotations, target: target, startsAt: startsAt, endsAt: endsAt, link: link)
    }
}

/// Why a signal can't exist.
public struct SignalError: Error, Hashable, Sendable {
    public enum Code: String, Sendable, CaseIterable { case noIdentity, duplicateLabel, badLabel, badName, tooLarge }
    public let code: Code
    /// For the operator. Holds sizes and names of fields, no values from the input.
    public let message: String
    public init(_ code: Code, _ message: String) { (self.code, self.message) = (code, message) }
}
