import JSON
import SignalKit

/// What Prometheus and Alertmanager say alike: one alert as a JSON object, and what follows from its labels.
struct AlertReading: Sendable {
    private let identity: IdentityRule
    private let target: AlertTarget

    /// The name of an alert without `alertname`; Alertmanager takes such alerts, so we do.
    static let unnamed = "unnamed"

    /// Reads the keys `identity` and `target`.
    init(_ config: inout ConfigReader) throws(ConfigError) {
        identity = try IdentityRule(&config)
        target = AlertTarget(try config.texts("target", default: AlertTarget.labels, count: 0...64))
    }

    /// The signal that an alert's labels and times make.
    /// - Throws: `AlertFault` when the labels identify nothing, or a bound is exceeded.
    func signal(
        _ alert: AlertFields, _ status: Signal.Status, startsAt: Timestamp?, endsAt: Timestamp?
    ) throws(AlertFault) -> Signal {
        let labels = alert.labels
        let target = target.target(of: labels)
        do {
            return try Signal(
                identity: identity.identity(of: labels, target: target), name: labels["alertname"] ?? Self.unnamed,
                status: status, severity: labels["severity"], labels: labels, annotations: alert.annotations,
                target: target, startsAt: startsAt, endsAt: endsAt, link: alert.link,
                reporter: identity.reporter(of: labels))
        } catch {
            throw AlertFault("labels", error.message)
        }
    }
}

/// Why one alert can't be read: the field and what is wrong with it, without any value from the input.
struct AlertFault: Error {
    let reason: String
    init(_ field: String, _ what: String) { reason = "\(field): \(what)" }
}

/// The fields of one alert, each looked at once.
struct AlertFields {
    private(set) var labels = Labels.empty
    private(set) var annotations = Labels.empty
    private(set) var status: String?
    /// Nil when it is absent, null, empty or Go's zero time.
    private(set) var startsAt: Timestamp?
    private(set) var endsAt: Timestamp?
    private(set) var link: String?

    /// A field that is read, as one bit of those seen. Compared without making a string of the name.
    private struct Field {
        let name: StaticString
        let bit: Int

        static let labels = Field(name: "labels", bit: 1)
        static let annotations = Field(name: "annotations", bit: 2)
        static let status = Field(name: "status", bit: 4)
        static let startsAt = Field(name: "startsAt", bit: 8)
        static let endsAt = Field(name: "endsAt", bit: 16)
        static let link = Field(name: "generatorURL", bit: 32)
        static let all = [labels, annotations, status, startsAt, endsAt, link]
    }

    init(_ alert: JSONValue) throws(AlertFault) {
        guard let members = alert.object else { throw AlertFault("alert", "expected an object") }
        var seen = 0
        for member in members {
            guard let field = Field.all.first(where: { member.isNamed($0.name) }) else { continue }
            let (name, value) = (field.name.description, member.value)
            // Readers differ in which of two they take, so neither is taken.
            guard seen & field.bit == 0 else { throw AlertFault(name, "given twice") }
            seen |= field.bit
            switch field.bit {
            case Field.labels.bit:
                labels = try Self.labels(name, value, keepingEmpty: false, longest: Signal.Bounds.labelValue)
            case Field.annotations.bit:
                annotations = try Self.labels(name, value, keepingEmpty: true, longest: Signal.Bounds.annotationValue)
            case Field.status.bit: status = try Self.text(name, value)
            case Field.startsAt.bit: startsAt = try Self.time(name, value)
            case Field.endsAt.bit: endsAt = try Self.time(name, value)
            default:
                // A query of kilobytes makes a link of kilobytes. It is no reason to hold an alert back.
                let text = try Self.text(name, value) ?? ""
                link = text.isEmpty || text.utf8.count > Signal.Bounds.link ? nil : text
            }
        }
        guard seen & Field.labels.bit != 0 else { throw AlertFault("labels", "missing") }
        guard !labels.entries.isEmpty else { throw AlertFault("labels", "none with a value") }
        if let startsAt, let endsAt, startsAt > endsAt { throw AlertFault("startsAt", "after endsAt") }
    }

    private static func text(_ field: String, _ value: JSONValue) throws(AlertFault) -> String? {
        if let text = value.string { return text }
        guard value.kind == .null else { throw AlertFault(field, "expected a string") }
        return nil
    }

    private static func time(_ field: String, _ value: JSONValue) throws(AlertFault) -> Timestamp? {
        // Two for every alert: read where they stand.
        let read = value.withUTF8 { $0.isEmpty ? .some(nil) : Timestamp(rfc3339: $0).map(Optional.some) }
        guard let read else {
            _ = try text(field, value)
            return nil
        }
        guard let time = read else { throw AlertFault(field, "not an RFC 3339 time") }
        return time == .goZero ? nil : time
    }

    /// An empty label value is the same as no label, as in Prometheus.
    private static func labels(
        _ field: String, _ value: JSONValue, keepingEmpty: Bool, longest: Int
    ) throws(AlertFault) -> Labels {
        guard value.kind != .null else { return .empty }
        guard let members = value.object else { throw AlertFault(field, "expected an object of strings") }
        var entries: [Labels.Entry] = []
        entries.reserveCapacity(members.count)
        for member in members {
            guard let text = member.value.string else { throw AlertFault(field, "a value is not a string") }
            if keepingEmpty || !text.isEmpty { entries.append(.init(member.key, text)) }
        }
        // `Labels` sees every name that is left; one that was removed can still have been the first of two.
        if entries.count < members.count, members.firstDuplicateKey() != nil {
            throw AlertFault(field, "a name occurs twice")
        }
        do {
            return try Labels(entries, longestValue: longest)
        } catch {
            throw AlertFault(field, error.code == .duplicateLabel ? "a name occurs twice" : error.message)
        }
    }
}

/// Reads the items of a batch one by one; what can't be read is set aside.
/// - Parameter replay: writes the body of one item that the same adapter reads.
func decodeAlerts(
    _ alerts: JSONArray, replay: (JSONValue, inout JSONWriter) -> Void,
    _ read: (JSONValue) throws(AlertFault) -> Signal
) -> Decoded {
    var decoded = Decoded()
    decoded.signals.reserveCapacity(alerts.count)
    for (index, alert) in alerts.enumerated() {
        do {
            decoded.signals.append(try read(alert))
        } catch {
            var body = JSONWriter()
            replay(alert, &body)
            decoded.rejected.append(RejectedItem(index: index, reason: error.reason, replay: body.bytes))
        }
    }
    return decoded
}

extension JSONDocument {
    /// The levels of nesting that an alert adapter reads; a real alert has 4.
    static let alertDepth = 64

    /// Parses a request's body, with the fault in the words of an adapter.
    static func read(_ body: [UInt8]) throws(AdapterError) -> JSONDocument {
        do {
            return try parse(body, maxDepth: alertDepth)
        } catch {
            let code: AdapterError.Code =
                switch error.code {
                case .malformed, .duplicateKey: .malformed
                case .tooDeep, .tooLarge: .tooLarge
                case .wrongType, .missing: .unexpected
                }
            throw AdapterError(code, error.message, offset: error.offset, path: error.path)
        }
    }
}
