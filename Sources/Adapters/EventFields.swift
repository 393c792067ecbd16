import JSON
import SignalKit

/// Why one event can't be read: the field and what is wrong with it, without any value from the input.
struct EventFault: Error {
    let reason: String
    init(_ field: String, _ what: String) { reason = "\(field): \(what)" }
}

/// One event, whichever of the two kinds it came as. The API server shows each through both, with other names:
/// `involvedObject`, `message`, `count` in core/v1 are `regarding`, `note`, `deprecatedCount` in events.k8s.io/v1.
struct EventFields {
    static let versions = ["v1", "events.k8s.io/v1", "events.k8s.io/v1beta1"]

    struct Object {
        /// Of its API, without the version; nil for the core group.
        let group: String?
        let kind: String
        /// Nil for what has none, whatever the event says.
        let namespace: String?
        let name: String
        let uid: String?
    }

    let type: String
    let reason: String
    let object: Object
    let message: String?
    let action: String?
    /// The controller that reports it.
    let component: String?
    /// The machine it was seen on.
    let host: String?
    let count: Int64
    let first: Timestamp?
    let last: Timestamp?

    /// - Parameter list: `apiVersion` of the list that holds it: the API server leaves it out of the items.
    init(_ value: JSONValue, in list: String?) throws(EventFault) {
        guard let event = value.object else { throw EventFault("event", "expected an object") }
        try Self.check(event, "event")
        if let kind = try Self.text(event, "kind"), kind != "Event" { throw EventFault("kind", "not Event") }
        guard let version = try Self.text(event, "apiVersion") ?? Self.version(of: event) ?? list,
            Self.versions.contains(version)
        else {
            throw EventFault("apiVersion", "neither v1 nor events.k8s.io/v1")
        }
        let isNew = version != "v1"
        func name(_ old: String, _ new: String) -> String { isNew ? new : old }

        object = try Self.object(event, name("involvedObject", "regarding"))
        guard let reason = try Self.text(event, "reason"), !reason.isEmpty else {
            throw EventFault("reason", "missing")
        }
        self.reason = reason
        type = try Self.text(event, "type") ?? ""
        message = try Self.text(event, name("message", "note"))
        action = try Self.text(event, "action")
        let source = event[name("source", "deprecatedSource")]?.object
        let reporting = try Self.text(event, name("reportingComponent", "reportingController"))
        let emitter = try Self.text(source, "component")
        component = reporting ?? emitter
        host = try Self.text(source, "host")

        let series = event["series"]?.object
        let seen = try Self.time(event, "eventTime")
        let (from, to) = (
            name("firstTimestamp", "deprecatedFirstTimestamp"), name("lastTimestamp", "deprecatedLastTimestamp")
        )
        let times = (try Self.time(event, from), try Self.time(event, to), try Self.time(series, "lastObservedTime"))
        first = times.0 ?? seen
        last = times.2 ?? times.1 ?? seen
        let own = name("count", "deprecatedCount")
        count = max(1, try Self.count(event[own], own) ?? 1, try Self.count(series?["count"], "series.count") ?? 1)
    }

    /// What the field about its object tells: exporters post events without `kind` and `apiVersion`.
    static func version(of event: JSONObject) -> String? {
        if event["involvedObject"]?.object != nil { return "v1" }
        return event["regarding"]?.object != nil ? "events.k8s.io/v1" : nil
    }

    /// Of an event or a part of it; real ones have some twenty.
    private static let mostFields = 1_024

    private static func check(_ object: JSONObject, _ field: String) throws(EventFault) {
        guard object.count <= mostFields else { throw EventFault(field, "more than \(mostFields) fields") }
        // Readers differ in which of two they take, so neither is taken.
        guard object.firstDuplicateKey() == nil else { throw EventFault(field, "a field is given twice") }
    }

    private static func object(_ event: JSONObject, _ field: String) throws(EventFault) -> Object {
        guard let value = event[field], !value.isNull else { throw EventFault(field, "missing") }
        guard let object = value.object else { throw EventFault(field, "expected an object") }
        try check(object, field)
        func part(_ name: String) throws(EventFault) -> String? {
            guard let value = object[name], !value.isNull else { return nil }
            guard let text = value.string else { throw EventFault("\(field).\(name)", "expected a string") }
            return text.isEmpty ? nil : text
        }
        guard let kind = try part("kind") else { throw EventFault("\(field).kind", "missing") }
        guard let name = try part("name") else { throw EventFault("\(field).name", "missing") }
        let group = ClusterScope.group(try part("apiVersion"))
        let namespace = try part("namespace")
        return Object(
            group: group, kind: kind, namespace: ClusterScope.holds(kind, of: group) ? nil : namespace, name: name,
            uid: try part("uid"))
    }

    /// Nil when it is absent, null or empty: Go writes all three for nothing.
    private static func text(_ object: JSONObject?, _ field: String) throws(EventFault) -> String? {
        guard let value = object?[field], !value.isNull else { return nil }
        guard let text = value.string else { throw EventFault(field, "expected a string") }
        return text.isEmpty ? nil : text
    }

    /// Nil when it is no integer.
    private static func count(_ value: JSONValue?, _ field: String) throws(EventFault) -> Int64? {
        if let count = value?.integer { return count }
        guard let number = value?.double, Int64(exactly: number.rounded(.towardZero)) == nil else { return nil }
        throw EventFault(field, "a number that is too large")
    }

    private static func time(_ object: JSONObject?, _ field: String) throws(EventFault) -> Timestamp? {
        guard let text = try text(object, field) else { return nil }
        guard let time = Timestamp(rfc3339: text) else { throw EventFault(field, "not an RFC 3339 time") }
        return time == .goZero ? nil : time
    }
}

extension EventFields {
    /// Changes when an event repeats, in either of the two kinds. A text is among it: it may tell a count or an age.
    private static let moving: [StaticString] = [
        "count", "deprecatedCount", "series", "firstTimestamp", "lastTimestamp", "deprecatedFirstTimestamp",
        "deprecatedLastTimestamp", "eventTime", "message", "note",
    ]

    /// The parts of an event that stay the same when it repeats, written as JSON: of its metadata only the namespace. Nil
    /// when it is no object.
    static func identity(of value: JSONValue) -> [UInt8]? {
        guard let event = value.object else { return nil }
        var out = JSONWriter(reserving: 64)
        out.beginObject()
        for member in event where !moving.contains(where: { member.isNamed($0) }) {
            guard member.isNamed("metadata"), let metadata = member.value.object else {
                member.write(to: &out)
                continue
            }
            for part in metadata where part.isNamed("namespace") { part.write(to: &out) }
        }
        out.endObject()
        return out.bytes
    }
}
