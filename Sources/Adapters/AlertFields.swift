import JSON
import SignalKit

/// Why one alert can't be read: the field and what is wrong with it, without any value from the input.
struct AlertFault: Error {
    let reason: String
    init(_ field: String, _ what: String) { reason = "\(field): \(what)" }
}

/// The fields of one alert, read as Alertmanager's API reads them (Go's encoding/json): names in any case, null as empty.
struct AlertFields {
    /// How an alert came.
    enum Road {
        /// As Alertmanager writes it: `status` says what it is, an empty time is none, and nothing comes twice. Receivers differ in
        /// which of two they take, so neither is taken.
        case webhook
        /// As it is posted to Alertmanager: `status` is not read, an empty time is 1970, of two fields the last counts, and two
        /// objects are one.
        case api
    }

    private(set) var labels = Labels.empty
    private(set) var annotations = Labels.empty
    private(set) var status: String?
    /// Nil when it is absent, null or Go's zero time.
    private(set) var startsAt: Timestamp?
    private(set) var endsAt: Timestamp?
    private(set) var link: String?

    private enum Field: Int, CaseIterable {
        case labels, annotations, status, startsAt, endsAt, link

        var name: StaticString {
            switch self {
            case .labels: "labels"
            case .annotations: "annotations"
            case .status: "status"
            case .startsAt: "startsAt"
            case .endsAt: "endsAt"
            case .link: "generatorURL"
            }
        }

        static let all = Array(allCases)

        /// Compared without making a string of the name; in any case only when no name fits as it is.
        static func of(_ member: JSONObject.Member) -> Field? {
            all.first { member.isNamed($0.name) } ?? all.first { member.isNamed(anyCase: $0.name) }
        }
    }

    init(_ alert: JSONValue, by road: Road) throws(AlertFault) {
        guard let members = alert.object else { throw AlertFault("alert", "expected an object") }
        var labels = LabelsReading(field: "labels", road, longest: nil)
        var annotations = LabelsReading(field: "annotations", road, longest: Signal.Bounds.annotationValue)
        var seen = 0
        for member in members {
            guard let field = Field.of(member) else { continue }
            let (name, value) = (field.name.description, member.value)
            guard road == .api || seen & 1 << field.rawValue == 0 else { throw AlertFault(name, "given twice") }
            seen |= 1 << field.rawValue
            switch field {
            case .labels: try labels.add(value)
            case .annotations: try annotations.add(value)
            case .status: if road == .webhook { status = try Self.text(name, value) ?? status }
            case .startsAt: try Self.time(name, value, road, &startsAt)
            case .endsAt: try Self.time(name, value, road, &endsAt)
            case .link: link = try Self.text(name, value) ?? link
            }
        }
        guard labels.isGiven else { throw AlertFault("labels", "missing") }
        self.labels = try labels.labels()
        guard !self.labels.entries.isEmpty else { throw AlertFault("labels", "none with a value") }
        self.annotations = try annotations.annotations(beside: self.labels)
        // A query of kilobytes makes a link of kilobytes. It is no reason to hold an alert back.
        if let text = link, text.isEmpty || text.utf8.count > Signal.Bounds.link { link = nil }
        if let startsAt, let endsAt, startsAt > endsAt { throw AlertFault("startsAt", "after endsAt") }
    }

    private static func text(_ field: String, _ value: JSONValue) throws(AlertFault) -> String? {
        if let text = value.string { return text }
        guard value.kind == .null else { throw AlertFault(field, "expected a string") }
        return nil
    }

    /// Null leaves what was read before.
    private static func time(
        _ field: String, _ value: JSONValue, _ road: Road, _ time: inout Timestamp?
    ) throws(AlertFault) {
        // Two for every alert: read where they stand.
        let read = value.withUTF8 { text in
            text.isEmpty ? (road == .api ? Timestamp(milliseconds: 0) : .goZero) : AlertTime.read(text)
        }
        guard let read else {
            guard value.isNull else { throw AlertFault(field, "expected a string") }
            return
        }
        guard let read else { throw AlertFault(field, "not an RFC 3339 time") }
        time = read == .goZero ? nil : read
    }
}

/// The members of `labels` or `annotations`.
private struct LabelsReading {
    /// Members of one alert that are read: empty values and repeated names among them do not count against the bound of a signal.
    private static let most = 4 * Signal.Bounds.labels

    private let field: String
    private let road: AlertFields.Road
    /// Longer values are shortened; nil when they are not.
    private let longest: Int?
    private(set) var isGiven = false
    private var entries: [Labels.Entry] = []
    /// Annotations past `most`.
    private var unread = 0
    private var isMerged = false

    init(field: String, _ road: AlertFields.Road, longest: Int?) {
        (self.field, self.road, self.longest) = (field, road, longest)
    }

    /// Null empties it, as it does with a map of Go's; a second object adds to the first.
    mutating func add(_ value: JSONValue) throws(AlertFault) {
        isGiven = true
        guard !value.isNull else {
            entries = []
            return
        }
        guard let members = value.object else { throw AlertFault(field, "expected an object of strings") }
        let count = members.count
        let room = Self.most - entries.count
        guard count <= room || longest != nil else {
            throw AlertFault(field, "\(entries.count + count) entries, \(Signal.Bounds.labels) at most")
        }
        isMerged = isMerged || !entries.isEmpty
        unread += max(0, count - room)
        entries.reserveCapacity(entries.count + min(count, room))
        for member in members.prefix(room) {
            let text = member.value.withUTF8 { text in
                longest.map { Annotations.text(text, longest: $0) } ?? String(decoding: text, as: UTF8.self)
            }
            guard text != nil || member.value.isNull else { throw AlertFault(field, "a value is not a string") }
            entries.append(.init(member.key, text ?? ""))
        }
    }

    /// An empty label value is the same as no label, as in Prometheus.
    func labels() throws(AlertFault) -> Labels {
        let hasEmpty = entries.contains { $0.value.isEmpty }
        return try once(isMerged || hasEmpty) { entries throws(SignalError) in
            try Labels(hasEmpty ? entries.filter { !$0.value.isEmpty } : entries)
        }
    }

    func annotations(beside labels: Labels) throws(AlertFault) -> Labels {
        try once(isMerged) { entries throws(SignalError) in
            try Annotations.fitting(entries, beside: labels, unread: unread)
        }
    }

    /// With each name once. Names are mostly so already: they are looked through only when that shows.
    /// - Parameter isDoubtful: `make` may not see that a name occurs twice.
    private func once(
        _ isDoubtful: Bool, _ make: ([Labels.Entry]) throws(SignalError) -> Labels
    ) throws(AlertFault) -> Labels {
        do throws(SignalError) {
            if !isDoubtful, entries.count <= Signal.Bounds.labels {
                do throws(SignalError) {
                    return try make(entries)
                } catch {
                    guard error.code == .duplicateLabel else { throw error }
                }
            }
            let last = lastOfEach()
            guard road == .api || last.count == entries.count else {
                throw SignalError(.duplicateLabel, "a name occurs twice")
            }
            return try make(last)
        } catch {
            throw AlertFault(field, error.message)
        }
    }

    /// By bytes: to a sender "é" in one code point and in two are two names.
    private func lastOfEach() -> [Labels.Entry] {
        var last: [[UInt8]: Int] = [:]
        for (place, entry) in entries.enumerated() { last[Array(entry.name.utf8)] = place }
        return last.values.sorted().map { entries[$0] }
    }
}
