import JSON
public import SignalKit

/// What Prometheus posts to an Alertmanager: an array of alerts without a status, `POST /api/v2/alerts`.
///
/// Read as Alertmanager reads it: an absent `endsAt` is five minutes from now, an absent `startsAt` is now (or
/// `endsAt`, when that is earlier), and Go's zero time is absent. Resolved means that `endsAt` has come, give or take
/// `skew` between the two clocks.
public struct PrometheusAdapter: SignalAdapter {
    public static let id: PluginID = "prometheus"
    private let reading: AlertReading
    private let skew: Duration

    /// Alertmanager's `resolve_timeout`.
    private static let resolveTimeout = Duration.minutes(5)

    public init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        reading = try AlertReading(&config)
        // A firing alert's endsAt is 4 × max(evaluation interval, resend delay) ahead: 4 minutes with the default
        // delay of 1 minute, which leaves 30 s far from both. Shorter delays need a smaller skew.
        skew = try config.duration("skew", default: .seconds(30), in: .zero...(.minutes(3)))
    }

    /// - Throws: `AdapterError`: `malformed` for what is not JSON, `tooLarge` past 64 levels of nesting, `unexpected`
    ///   for anything but an array.
    public func decode(_ request: InboundRequest) throws(AdapterError) -> Decoded {
        let document = try JSONDocument.read(request.body)
        guard let alerts = document.root.array else {
            throw AdapterError(.unexpected, "expected an array of alerts")
        }
        return decodeAlerts(alerts, replay: Self.write) { alert throws(AlertFault) in
            try signal(alert, request.receivedAt)
        }
    }

    private static func write(_ alert: JSONValue, to body: inout JSONWriter) {
        body.beginArray()
        alert.write(to: &body)
        body.endArray()
    }

    private func signal(_ value: JSONValue, _ receivedAt: Timestamp) throws(AlertFault) -> Signal {
        let alert = try AlertFields(value)
        guard let endsAt = alert.endsAt else {
            let startsAt = alert.startsAt ?? receivedAt
            let endsAt = receivedAt.advanced(by: Self.resolveTimeout)
            guard startsAt <= endsAt else { throw AlertFault("startsAt", "after endsAt") }
            return try reading.signal(alert, .firing, startsAt: startsAt, endsAt: endsAt)
        }
        let status: Signal.Status = endsAt <= receivedAt.advanced(by: skew) ? .resolved : .firing
        return try reading.signal(alert, status, startsAt: alert.startsAt ?? min(receivedAt, endsAt), endsAt: endsAt)
    }
}
