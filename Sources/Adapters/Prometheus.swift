import JSON
public import SignalKit

/// What Prometheus posts to an Alertmanager: an array of alerts without a status, `POST /api/v2/alerts`.
///
/// Read as Alertmanager reads it: an absent `endsAt` is five minutes from now, an absent `startsAt` is now (or
/// `endsAt`, when that is earlier), and Go's zero time is absent. Firing means that `endsAt` is in the future by the host's
/// clock: a firing alert of a sender whose clock is a little ahead ends by itself.
public struct PrometheusAdapter: SignalAdapter {
    public static let id: PluginID = "prometheus"
    private let reading: AlertReading

    /// Alertmanager's `resolve_timeout`.
    private static let resolveTimeout = Duration.minutes(5)

    public init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        reading = try AlertReading(&config)
        config.removed("skew", "an endsAt in the future is firing, as in Alertmanager. Delete the key.")
    }

    /// - Throws: `AdapterError`: `malformed` for what is not JSON, `tooLarge` past 64 levels of nesting and past `Decoded.Bounds`,
    ///   `unexpected` for anything but an array.
    public func decode(_ request: InboundRequest) throws(AdapterError) -> Decoded {
        let document = try JSONDocument.read(request.body)
        guard let alerts = document.root.array else {
            throw AdapterError(.unexpected, "expected an array of alerts")
        }
        return try decodeAlerts(alerts, in: request.body.count, replay: Self.write) { alert throws(AlertFault) in
            try signal(alert, request.receivedAt)
        }
    }

    private static func write(_ alert: JSONValue, to body: inout JSONWriter) {
        body.beginArray()
        alert.write(to: &body)
        body.endArray()
    }

    private func signal(_ value: JSONValue, _ receivedAt: Timestamp) throws(AlertFault) -> Signal {
        let alert = try AlertFields(value, by: .api)
        guard let endsAt = alert.endsAt else {
            let startsAt = alert.startsAt ?? receivedAt
            let endsAt = receivedAt.advanced(by: Self.resolveTimeout)
            guard startsAt <= endsAt else { throw AlertFault("startsAt", "after endsAt") }
            return try reading.signal(alert, .firing, startsAt: startsAt, endsAt: endsAt)
        }
        let status: Signal.Status = endsAt > receivedAt ? .firing : .resolved
        return try reading.signal(alert, status, startsAt: alert.startsAt ?? min(receivedAt, endsAt), endsAt: endsAt)
    }
}
