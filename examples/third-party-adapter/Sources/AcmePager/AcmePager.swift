import JSON
public import SignalKit

/// Acme Pager's webhook:
///
///     {"incidents": [{"id": "INC-7", "title": "Checkout is slow", "state": "open", "service": "checkout"}]}
///
/// An incident is the same problem as long as its id is; any state but `open` is its end.
public struct AcmePager: SignalAdapter {
    public static let id: PluginID = "acme-pager"

    public init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {}

    public func decode(_ request: InboundRequest) throws(AdapterError) -> Decoded {
        let document: JSONDocument
        do {
            document = try JSONDocument.parse(request.body)
        } catch {
            throw AdapterError(.malformed, error.message, offset: error.offset)
        }
        guard let incidents = document.root["incidents"]?.array else {
            throw AdapterError(.unexpected, "expected an array of incidents", path: "incidents")
        }
        try Decoded.check(items: incidents.count, in: request.body.count, path: "incidents")
        var decoded = Decoded()
        for (index, incident) in incidents.enumerated() {
            if let signal = signal(incident, request.receivedAt) {
                decoded.signals.append(signal)
            } else {
                try decoded.reject(
                    RejectedItem(index: index, reason: "an incident needs id, title and state", replay: body(incident)))
            }
        }
        return decoded
    }

    private func signal(_ incident: JSONValue, _ receivedAt: Timestamp) -> Signal? {
        guard let id = incident["id"]?.string, let title = incident["title"]?.string,
            let state = incident["state"]?.string
        else { return nil }
        let service = incident["service"]?.string
        // Whatever exceeds a signal's bounds is no signal.
        return try? Signal(
            identity: Identity(family: "acme-pager", fields: [.init("id", id)]),
            name: title, status: state == "open" ? .firing : .resolved,
            labels: Labels([.init("incident", id), .init("service", service ?? "unknown")]),
            target: service.map { Target(kind: "service", namespace: nil, name: $0) },
            endsAt: state == "open" ? nil : receivedAt)
    }

    /// A body of one incident, for the dead letters.
    private func body(_ incident: JSONValue) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("incidents")
        writer.beginArray()
        incident.write(to: &writer)
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }
}
