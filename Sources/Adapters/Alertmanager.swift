import JSON
public import SignalKit

/// Alertmanager's webhook, payload version 4.
///
/// Every alert of the group is a signal, resolved ones included; an alert's own `status` decides, whatever the
/// group's says. Fields that are not known here are ignored: later versions of Alertmanager add some.
/// An alert that can't be read is set aside with its reason. Reading is described in docs/configuration.md.
public struct AlertmanagerAdapter: SignalAdapter {
    public static let id: PluginID = "alertmanager"
    private let reading: AlertReading

    public init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        reading = try AlertReading(&config)
    }

    /// - Throws: `AdapterError`: `malformed` for what is not JSON, `tooLarge` past 64 levels of nesting and past `Decoded.Bounds`,
    ///   `unexpected` for a document without `version` "4" or without an array `alerts`.
    public func decode(_ request: InboundRequest) throws(AdapterError) -> Decoded {
        let document = try JSONDocument.read(request.body)
        let group = try Group(document.root)
        var decoded = try decodeAlerts(
            group.alerts, in: request.body.count, path: "alerts", replay: Group.write
        ) { alert throws(AlertFault) in
            try signal(alert, request.receivedAt)
        }
        decoded.truncated = group.truncated
        return decoded
    }

    private func signal(_ value: JSONValue, _ receivedAt: Timestamp) throws(AlertFault) -> Signal {
        let alert = try AlertFields(value, by: .webhook)
        switch alert.status {
        case "firing"?: return try reading.signal(alert, .firing, startsAt: alert.startsAt, endsAt: alert.endsAt)
        case "resolved"?:
            // Alertmanager always says when; whoever does not means now.
            let endsAt = alert.endsAt ?? max(receivedAt, alert.startsAt ?? receivedAt)
            return try reading.signal(alert, .resolved, startsAt: alert.startsAt, endsAt: endsAt)
        case nil: throw AlertFault("status", "missing")
        default: throw AlertFault("status", "neither firing nor resolved")
        }
    }
}

/// The fields of the payload that are read, each looked at once.
private struct Group {
    let alerts: JSONArray
    let truncated: Int

    init(_ root: JSONValue) throws(AdapterError) {
        guard let members = root.object else {
            throw AdapterError(.unexpected, "expected an object, Alertmanager's webhook payload")
        }
        var (version, alerts, truncated): (JSONValue?, JSONValue?, JSONValue?)
        func set(_ field: inout JSONValue?, _ key: String, _ value: JSONValue) throws(AdapterError) {
            guard field == nil else { throw AdapterError(.unexpected, "given twice", path: key) }
            field = value
        }
        for member in members {
            if member.isNamed(anyCase: "version") {
                try set(&version, "version", member.value)
            } else if member.isNamed(anyCase: "alerts") {
                try set(&alerts, "alerts", member.value)
            } else if member.isNamed(anyCase: "truncatedAlerts") {
                try set(&truncated, "truncatedAlerts", member.value)
            }
        }
        guard version?.equals("4") == true else {
            throw AdapterError(
                .unexpected, #"expected "4", the version of Alertmanager's webhook payload"#, path: "version")
        }
        guard let array = alerts?.array else {
            throw AdapterError(.unexpected, "expected an array of alerts", path: "alerts")
        }
        self.alerts = array
        self.truncated = max(0, Int(clamping: truncated?.integer ?? 0))
    }

    /// The smallest payload around one alert.
    static func write(_ alert: JSONValue, to body: inout JSONWriter) {
        body.beginObject()
        body.member("version", "4")
        body.key("alerts")
        body.beginArray()
        alert.write(to: &body)
        body.endArray()
        body.endObject()
    }
}
