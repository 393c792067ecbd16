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

    /// The labels that are `wanted`: what a label set has checked and sorted is not checked and sorted again.
    /// - Throws: `SignalError` when there is none.
    package init(family: String, of labels: Labels, where wanted: (String) -> Bool) throws(SignalError) {
        var fields: [Field] = []
        fields.reserveCapacity(labels.entries.count)
        for entry in labels.entries where wanted(entry.name) { fields.append(Field(entry.name, entry.value)) }
        guard !fields.isEmpty else { throw SignalError(.noIdentity, "nothing identifies the problem") }
        (self.family, self.fields) = (family, fields)
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
        var place = 1
        while place < elements.count {
            guard precedes(elements[place - 1], elements[place]) else { return false }
            place += 1
        }
        return true
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

    /// Bytes of all names and values.
    fileprivate var size: Int { entries.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count } }

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

    /// What a signal holds, shared by its copies: one is handed from stage to stage, and a copy costs one reference.
    private final class Content: Sendable {
        let identity: Identity
        let name: String
        let status: Status
        let severity: String?
        let labels: Labels
        let annotations: Labels
        let target: Target?
        let startsAt: Timestamp?
        let endsAt: Timestamp?
        let link: String?
        let reporter: [Identity.Field]

        init(
            _ identity: Identity, _ name: String, _ status: Status, _ severity: String?, _ labels: Labels,
            _ annotations: Labels, _ target: Target?, _ startsAt: Timestamp?, _ endsAt: Timestamp?, _ link: String?,
            _ reporter: [Identity.Field]
        ) {
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
            self.reporter = reporter
        }
    }
    private let content: Content

    public var identity: Identity { content.identity }
    /// What the problem is called: `HighMemoryUsage`.
    public var name: String { content.name }
    public var status: Status { content.status }
    /// As the source spells it; nil when it does not say.
    public var severity: String? { content.severity }
    public var labels: Labels { content.labels }
    public var annotations: Labels { content.annotations }
    public var target: Target? { content.target }
    /// When the source says the problem began; nil when it does not say.
    public var startsAt: Timestamp? { content.startsAt }
    /// Resolved: when it ended. Firing: until when the source vouches for it, nil when it gives no such time.
    public var endsAt: Timestamp? { content.endsAt }
    /// Where the source shows more: a URL, unchecked.
    public var link: String? { content.link }
    /// Which of several senders of one adapter says so, when the source tells: the labels that the identity leaves out, sorted by
    /// name. A problem is over when the last of its reporters says so; empty for a source that has no such labels.
    public var reporter: [Identity.Field] { content.reporter }

    public static func == (left: Signal, right: Signal) -> Bool {
        left.content === right.content
            || (left.identity == right.identity && left.name == right.name && left.status == right.status
                && left.severity == right.severity && left.labels == right.labels
                && left.annotations == right.annotations && left.target == right.target
                && left.startsAt == right.startsAt && left.endsAt == right.endsAt && left.link == right.link
                && left.reporter == right.reporter)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(identity)
        hasher.combine(status)
        hasher.combine(startsAt)
    }

    /// - Throws: `SignalError` when a bound is exceeded.
    public init(
        identity: Identity, name: String, status: Status, severity: String? = nil, labels: Labels = .empty,
        annotations: Labels = .empty, target: Target? = nil, startsAt: Timestamp? = nil, endsAt: Timestamp? = nil,
        link: String? = nil, reporter: [Identity.Field] = []
    ) throws(SignalError) {
        guard (1...Bounds.name).contains(name.utf8.count) else {
            throw SignalError(.badName, "a name of \(name.utf8.count) bytes, 1 to \(Bounds.name) allowed")
        }
        if let link, link.utf8.count > Bounds.link {
            throw SignalError(.tooLarge, "a link of \(link.utf8.count) bytes, \(Bounds.link) at most")
        }
        func check(_ text: String?) throws(SignalError) {
            guard let text, text.utf8.count > Bounds.labelValue else { return }
            throw SignalError(
                .tooLarge, "severity or target of \(text.utf8.count) bytes, \(Bounds.labelValue) at most")
        }
        try check(severity)
        try check(target?.kind)
        try check(target?.namespace)
        try check(target?.name)
        let whole = labels.size + annotations.size
        guard whole <= Bounds.whole else {
            throw SignalError(.tooLarge, "\(whole) bytes of labels and annotations, \(Bounds.whole) at most")
        }
        content = Content(
            identity, name, status, severity, labels, annotations, target, startsAt, endsAt, link, reporter)
    }

    /// The same signal with one label added or replaced; the host marks a signal `degraded` this way.
    /// - Throws: `SignalError` when the label set would exceed its bounds.
    public func labelled(_ name: String, _ value: String) throws(SignalError) -> Signal {
        var entries = labels.entries.filter { $0.name != name }
        entries.append(.init(name, value))
        return try Signal(
            identity: identity, name: self.name, status: status, severity: severity, labels: Labels(entries),
            annotations: annotations, target: target, startsAt: startsAt, endsAt: endsAt, link: link,
            reporter: reporter)
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
