import JSON
import SignalKit

/// A normalised signal as JSON: what the store keeps until every sink has it, and what a delivery shows as `signal`.
///
///     {"name":…,"status":…,"severity":…,"labels":{…},"annotations":{…},"target":{"kind":…,"namespace":…,"name":…},
///      "starts_at":…,"ends_at":…,"link":…}
///
/// What is unknown is left out; times are RFC 3339 in UTC.
enum SignalDocument {
    static func encode(_ signal: Signal) -> [UInt8] {
        // Tens of thousands of these may be in memory at once.
        var out = JSONWriter(reserving: size(signal))
        out.beginObject()
        out.member("name", signal.name)
        out.member("status", signal.status.rawValue)
        out.member("severity", signal.severity)
        write(signal.labels, as: "labels", to: &out)
        write(signal.annotations, as: "annotations", to: &out)
        if let target = signal.target {
            out.key("target")
            out.beginObject()
            out.member("kind", target.kind)
            out.member("namespace", target.namespace)
            out.member("name", target.name)
            out.endObject()
        }
        write(signal.startsAt, as: "starts_at", to: &out)
        write(signal.endsAt, as: "ends_at", to: &out)
        out.member("link", signal.link)
        out.endObject()
        return out.bytes
    }

    /// Bytes that it takes, about: no escapes are counted.
    static func size(_ signal: Signal) -> Int {
        func size(_ labels: Labels) -> Int {
            labels.entries.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 6 }
        }
        return 256 + 3 * signal.name.utf8.count + size(signal.labels) + size(signal.annotations)
            + (signal.link?.utf8.count ?? 0)
    }

    private static func write(_ time: Timestamp?, as name: String, to out: inout JSONWriter) {
        guard let time else { return }
        out.key(name)
        out.plain(time.rfc3339)
    }

    private static func write(_ labels: Labels, as name: String, to out: inout JSONWriter) {
        out.key(name)
        out.beginObject()
        for entry in labels.entries { out.member(entry.name, entry.value) }
        out.endObject()
    }

    /// The signal again, identified by its fingerprint, for the store does not keep what it was made of. Nil when the
    /// bytes are no document of this type.
    static func decode(_ bytes: [UInt8], fingerprint: String) -> Signal? {
        guard let root = try? JSONDocument.parse(bytes).root, let name = root["name"]?.string,
            let status = root["status"]?.string.flatMap(Signal.Status.init(rawValue:)),
            let labels = entries(root["labels"], longest: Signal.Bounds.labelValue),
            let annotations = entries(root["annotations"], longest: Signal.Bounds.annotationValue),
            let identity = try? Identity(family: "fingerprint", fields: [.init("sha256", fingerprint)])
        else { return nil }
        var target: Target?
        if let found = root["target"] {
            guard let kind = found["kind"]?.string, let name = found["name"]?.string else { return nil }
            target = Target(kind: kind, namespace: found["namespace"]?.string, name: name)
        }
        return try? Signal(
            identity: identity, name: name, status: status, severity: root["severity"]?.string, labels: labels,
            annotations: annotations, target: target, startsAt: time(root["starts_at"]), endsAt: time(root["ends_at"]),
            link: root["link"]?.string)
    }

    private static func time(_ value: JSONValue?) -> Timestamp? {
        value?.string.flatMap { Timestamp(rfc3339: $0) }
    }

    private static func entries(_ value: JSONValue?, longest: Int) -> Labels? {
        guard let object = value?.object else { return nil }
        var found: [Labels.Entry] = []
        for member in object {
            guard let text = member.value.string else { return nil }
            found.append(.init(member.key, text))
        }
        return try? Labels(found, longestValue: longest)
    }
}
