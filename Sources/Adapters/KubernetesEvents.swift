import JSON
public import SignalKit

/// Kubernetes events: core/v1 and events.k8s.io/v1, one, a list, or a line of a watch.
///
/// An event says that something happened to an object. Its problem is the reason together with that object, so both kinds
/// of one event, and all its repeats, have one fingerprint. Events never resolve: a signal ends `ends_after` its event's own last
/// time, and an event whose end has passed is skipped.
public struct KubernetesEventsAdapter: SignalAdapter {
    public static let id: PluginID = "kubernetes-events"
    private let choice: EventChoice

    public init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        choice = try EventChoice(&config)
    }

    /// - Throws: `AdapterError`: `malformed` for what is not JSON, `tooLarge` past 64 levels of nesting and past `Decoded.Bounds`,
    ///   `unexpected` for a document that is no event, no list of them in a version that is read, and no line of a watch.
    public func decode(_ request: InboundRequest) throws(AdapterError) -> Decoded {
        let document = try JSONDocument.read(request.body)
        guard let root = document.root.object else {
            throw AdapterError(.unexpected, "expected an object: an Event, an EventList or a line of a watch")
        }
        var decoded = Decoded()
        if root["kind"] == nil, let word = root["type"]?.string, let object = root["object"] {
            switch word {
            case "ADDED", "MODIFIED":
                guard object.object.map({ Self.isEvent($0) }) == true else {
                    throw AdapterError(.unexpected, "expected an Event", path: "object.kind")
                }
                try take(object, nil, 0, request.receivedAt, &decoded)
            case "DELETED", "BOOKMARK": decoded.skipped = 1
            case "ERROR": throw AdapterError(.unexpected, "the watch ended with an error", path: "object")
            default: throw AdapterError(.unexpected, "no type of a watch's line", path: "type")
            }
            return decoded
        }
        switch root["kind"]?.string {
        case "EventList"?, "List"?:
            guard let items = root["items"], let array = items.array else {
                throw AdapterError(.unexpected, "expected an array of events", path: "items")
            }
            let version = try Self.version(root["apiVersion"])
            try Decoded.check(items: array.count, in: request.body.count, path: "items")
            for (index, item) in array.enumerated() { try take(item, version, index, request.receivedAt, &decoded) }
        default:
            guard Self.isEvent(root) else {
                throw AdapterError(.unexpected, "expected Event, EventList or List", path: "kind")
            }
            try take(document.root, nil, 0, request.receivedAt, &decoded)
        }
        return decoded
    }

    /// An event may come without `kind` and `apiVersion`: its field about an object tells.
    private static func isEvent(_ event: JSONObject) -> Bool {
        guard let kind = event["kind"], !kind.isNull, !kind.equals("") else {
            return EventFields.version(of: event) != nil
        }
        return kind.equals("Event")
    }

    /// Of a list, whose items need none of their own then. Nil when it has none.
    private static func version(_ value: JSONValue?) throws(AdapterError) -> String? {
        guard let value, !value.isNull, !value.equals("") else { return nil }
        guard
            let known = EventFields.versions.first(where: { version in
                value.withUTF8 { $0.elementsEqual(version.utf8) } == true
            })
        else {
            throw AdapterError(.unexpected, "neither v1 nor events.k8s.io/v1", path: "apiVersion")
        }
        return known
    }

    private func take(
        _ event: JSONValue, _ version: String?, _ index: Int, _ receivedAt: Timestamp, _ decoded: inout Decoded
    ) throws(AdapterError) {
        if let object = event.object, !choice.wants(object) {
            decoded.skipped += 1
            return
        }
        let reason: String
        do throws(EventFault) {
            let fields = try EventFields(event, in: version)
            guard let signal = try choice.signal(fields, receivedAt: receivedAt) else {
                decoded.skipped += 1
                return
            }
            decoded.signals.append(signal)
            return
        } catch {
            reason = error.reason
        }
        var body = JSONWriter(reserving: 64)
        body.beginObject()
        body.member("kind", "EventList")
        // An event's own goes before it.
        body.member("apiVersion", version ?? "v1")
        body.key("items")
        body.beginArray()
        event.write(to: &body)
        body.endArray()
        body.endObject()
        try decoded.reject(
            RejectedItem(index: index, reason: reason, replay: body.bytes, identity: EventFields.identity(of: event)))
    }
}
