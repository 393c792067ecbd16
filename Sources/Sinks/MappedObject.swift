import JSON
import SignalKit

/// Any other kind, by the configuration's `object:`. What decides is kept in annotations, because a kind's own fields belong to
/// whoever made the kind.
struct MappedObject: ObjectShape {
    let apiVersion: String
    let kind: String
    let plural: String
    private let template: ObjectTemplate
    /// Where the kind says that it is done with, and the words for it.
    private let completed: (path: [String], values: [String])

    private static let prefix = "portcullis.dev/"
    private static let kept = ["fingerprint", "episode", "version", "state", "last-seen", "resolved-at", "reason"]

    /// Reads `resource`, `object` and `completed`. Nil when there is no `object`.
    static func read(_ config: inout ConfigReader) throws(ConfigError) -> MappedObject? {
        let bounds = "apiVersion, kind, and whatever the kind holds"
        let node = config.node("object", kind: "mapping", bounds: bounds)
        let plural = try config.optionalText("resource", longest: 253)
        let completed = try config.section("completed") { section throws(ConfigError) in
            (try section.optionalText("path"), try section.texts("values", default: [], count: 0...64))
        }
        guard let node else {
            if plural != nil { config.report("resource", "resource goes with object: give both, or neither") }
            if completed.0 != nil {
                config.report("completed", "completed goes with object: Signal has status.completed")
            }
            return nil
        }
        let own = Dictionary(
            (node.entries ?? []).compactMap { entry -> (String, String)? in
                guard case .scalar(let text, _) = entry.value.content else { return nil }
                return (entry.key, text)
            }
        ) { first, _ in first }
        guard let version = own["apiVersion"], let kind = own["kind"] else {
            config.report("object", "expected a mapping with apiVersion and kind")
            return nil
        }
        guard let plural else {
            config.report("object", "give resource too: the kind's name in paths, such as remediationrequests")
            return nil
        }
        if (completed.0 == nil) != completed.1.isEmpty {
            config.report("completed", "path and values go together")
        }
        var path = completed.0.map { ObjectTemplate.path("$." + $0) } ?? []
        if path == nil {
            config.report("completed", "path: expected a path such as status.phase")
            path = []
        }
        var faults: [String] = []
        let template = ObjectTemplate(node) { mark, what in faults.append("line \(mark.line): \(what)") }
        for fault in faults { config.report("object", fault) }
        return MappedObject(
            apiVersion: version, kind: kind, plural: plural, template: template, completed: (path ?? [], completed.1))
    }

    func seen(_ object: JSONValue) -> SeenObject? {
        guard let metadata = object["metadata"], let name = metadata["name"]?.string,
            let uid = metadata["uid"]?.string, let resourceVersion = metadata["resourceVersion"]?.string,
            let notes = metadata["annotations"],
            let fingerprint = notes[Self.prefix + "fingerprint"]?.string,
            let episode = SeenObject.number(notes[Self.prefix + "episode"])
        else { return nil }
        var written: JSONTree = [:]
        for word in Self.kept { written[word] = notes[Self.prefix + word].map(JSONTree.init) }
        let there = completed.path.reduce(Optional(object)) { $0?[$1] }
        let word = there?.string ?? there?.boolean.map { String($0) }
        return SeenObject(
            name: name, uid: uid, resourceVersion: resourceVersion, fingerprint: fingerprint, episode: episode,
            version: SeenObject.number(notes[Self.prefix + "version"]) ?? 0,
            startsAt: SeenObject.time(notes[Self.prefix + "starts-at"]),
            lastSeen: SeenObject.time(notes[Self.prefix + "last-seen"]),
            resolvedAt: SeenObject.time(notes[Self.prefix + "resolved-at"]),
            isResolved: written["state"]?.text == "resolved", endedByItself: written["reason"] != nil,
            isCompleted: word.map(completed.values.contains) ?? false, written: written)
    }

    func made(of delivery: Delivery, annotations: [String: String]) -> [String: JSONTree] {
        let root = SignalTree.root(delivery, annotations: annotations)
        guard case .object(var fields) = template.filled(root) else { return [:] }
        var metadata = fields["metadata"] ?? [:]
        var notes = metadata["annotations"] ?? [:]
        notes[Self.prefix + "fingerprint"] = .string(delivery.fingerprint)
        notes[Self.prefix + "episode"] = .string(String(delivery.episode))
        notes[Self.prefix + "starts-at"] = delivery.signal?.startsAt.map { .string($0.description) }
        metadata["annotations"] = notes
        fields["metadata"] = metadata
        // Its own subresource, and its consumer's.
        fields["status"] = nil
        return fields
    }

    func changes(by delivery: Delivery, of object: SeenObject) -> [ObjectChange] {
        let episode = delivery.episode == 0 ? object.episode : delivery.episode
        var notes: [String: JSONTree] = [
            "fingerprint": .string(delivery.fingerprint), "episode": .string(String(episode)),
            "version": .string(String(delivery.version)), "state": .string(delivery.state.rawValue),
            "last-seen": .string(delivery.last.description),
        ]
        if delivery.state == .resolved {
            notes["resolved-at"] = .string(delivery.end.description)
            notes["reason"] = delivery.reason.map { .string($0.rawValue) }
        }
        return [annotated(.object(notes))]
    }

    func end(by delivery: Delivery, of object: SeenObject) -> ObjectChange {
        var notes = object.written
        notes["state"] = "resolved"
        notes["version"] = .string(String(delivery.version))
        notes["resolved-at"] = .string((delivery.episode == 0 ? delivery.last : delivery.first).description)
        return annotated(notes)
    }

    private func annotated(_ notes: JSONTree) -> ObjectChange {
        guard case .object(let members) = notes else { return ObjectChange(subresource: nil, fields: [:]) }
        let named = Dictionary(members.map { (Self.prefix + $0.key, $0.value) }) { first, _ in first }
        return ObjectChange(subresource: nil, fields: ["metadata": ["annotations": .object(named)]])
    }
}

extension ConfigNode {
    fileprivate var entries: [Entry]? {
        guard case .map(let entries) = content else { return nil }
        return entries
    }
}
