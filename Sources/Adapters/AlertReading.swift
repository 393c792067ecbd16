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

/// Reads the items of a batch one by one; what can't be read is set aside.
/// - Parameters:
///   - bytes: of the body that holds them.
///   - path: of the list in it.
///   - replay: writes the body of one item that the same adapter reads.
/// - Throws: `tooLarge` for more items, or more that can't be read, than a request may hold.
func decodeAlerts(
    _ alerts: JSONArray, in bytes: Int, path: String? = nil, replay: (JSONValue, inout JSONWriter) -> Void,
    _ read: (JSONValue) throws(AlertFault) -> Signal
) throws(AdapterError) -> Decoded {
    let count = alerts.count
    try Decoded.check(items: count, in: bytes, path: path)
    var decoded = Decoded()
    decoded.signals.reserveCapacity(count)
    for (index, alert) in alerts.enumerated() {
        do {
            decoded.signals.append(try read(alert))
        } catch {
            var body = JSONWriter(reserving: 64)
            replay(alert, &body)
            let item = RejectedItem(
                index: index, reason: error.reason, replay: body.bytes, identity: AlertFields.identity(of: alert))
            try decoded.reject(item)
        }
    }
    return decoded
}

extension AlertFields {
    /// Changes when an alert is sent again: times, and texts that show present values.
    private static let moving: [StaticString] = [
        "annotations", "startsAt", "endsAt", "updatedAt", "status", "generatorURL", "fingerprint",
    ]

    /// The parts of an alert that stay the same when it is sent again, written as JSON: its labels, or without any all that
    /// does not move. A resolve has the identity of its firing: the dead letter then holds the later word. Nil when it is
    /// no object.
    static func identity(of alert: JSONValue) -> [UInt8]? {
        guard let members = alert.object else { return nil }
        let hasLabels = members.contains { $0.isNamed("labels") }
        var out = JSONWriter(reserving: 64)
        out.beginObject()
        for member in members
        where hasLabels ? member.isNamed("labels") : !moving.contains(where: { member.isNamed($0) }) {
            member.write(to: &out)
        }
        out.endObject()
        return out.bytes
    }
}

extension JSONDocument {
    /// The levels of nesting that an alert adapter reads; a real alert has 4.
    static let alertDepth = 64

    /// Parses a request's body, with the fault in the words of an adapter.
    static func read(_ body: [UInt8]) throws(AdapterError) -> JSONDocument {
        do {
            return try lenient(body, maxDepth: alertDepth)
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
