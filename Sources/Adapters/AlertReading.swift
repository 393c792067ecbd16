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
