import JSON
import SignalKit

/// The kind `Signal` in `portcullis.dev/v1alpha1`: `spec` says what the problem is and never changes, `status` how it
/// stands. deploy/kubernetes/base/crd.yaml has the schema.
struct SignalObject: ObjectShape {
    /// bytes in etcd of the members that a storm's object lists
    static let listedBytes = 256 << 10

    let apiVersion = "portcullis.dev/v1alpha1"
    let kind = "Signal"
    let plural = "signals"

    func seen(_ object: JSONValue) -> SeenObject? {
        guard let metadata = object["metadata"], let name = metadata["name"]?.string,
            let uid = metadata["uid"]?.string, let resourceVersion = metadata["resourceVersion"]?.string,
            let spec = object["spec"],
            let fingerprint = spec["fingerprint"]?.string, let made = SeenObject.number(spec["episode"])
        else { return nil }
        let status = object["status"]
        var written = status.map(JSONTree.init) ?? [:]
        written["completed"] = nil
        return SeenObject(
            name: name, uid: uid, resourceVersion: resourceVersion, fingerprint: fingerprint,
            episode: SeenObject.number(status?["episode"]) ?? made,
            version: SeenObject.number(status?["version"]) ?? 0, startsAt: SeenObject.time(spec["startsAt"]),
            lastSeen: SeenObject.time(status?["lastSeen"]), resolvedAt: SeenObject.time(status?["resolvedAt"]),
            isResolved: status?["state"]?.equals("resolved") == true, endedByItself: status?["reason"]?.string != nil,
            isCompleted: status?["completed"]?.boolean == true, written: written)
    }

    func made(of delivery: Delivery, annotations: [String: String]) -> [String: JSONTree] {
        var spec: [String: JSONTree] = [
            "kind": .string(delivery.kind.rawValue), "fingerprint": .string(delivery.fingerprint),
            "episode": .string(String(delivery.episode)), "firstSeen": .string(delivery.first.description),
            "name": .string(ObjectNames.title(of: delivery)),
        ]
        if let signal = delivery.signal {
            spec["severity"] = signal.severity.map(JSONTree.string)
            spec["labels"] = SignalTree.labels(signal.labels)
            spec["annotations"] = .object(annotations.mapValues(JSONTree.string))
            spec["startsAt"] = signal.startsAt.map { .string($0.description) }
            spec["link"] = signal.link.map(JSONTree.string)
            spec["target"] = signal.target.map(SignalTree.target)
        }
        if let storm = delivery.storm { spec["group"] = SignalTree.group(storm) }
        return ["spec": .object(spec)]
    }

    func changes(by delivery: Delivery, of object: SeenObject) -> [ObjectChange] {
        let episode = delivery.episode == 0 ? object.episode : delivery.episode
        var status: [String: JSONTree] = [
            "state": .string(delivery.state.rawValue), "episode": .string(String(episode)),
            "version": .string(String(delivery.version)),
            // Of an episode that was followed by a storm before its end was delivered, no count is known any more.
            "count": delivery.count > 0 ? .integer(delivery.count) : object.written["count"] ?? 0,
            "lastSeen": .string(delivery.last.description),
        ]
        if delivery.state == .resolved {
            status["resolvedAt"] = .string(delivery.end.description)
            status["reason"] = delivery.reason.map { .string($0.rawValue) }
        }
        status["storm"] = delivery.storm.map(Self.storm)
        // Told once, by the delivery that knew; it stays true for as long as the object speaks of that episode.
        let isSame = object.written["episode"]?.text == String(episode)
        status["skipped"] = delivery.skipped.map(SignalTree.skipped) ?? (isSame ? object.written["skipped"] : nil)
        return [ObjectChange(subresource: "status", fields: ["status": .object(status)])]
    }

    func end(by delivery: Delivery, of object: SeenObject) -> ObjectChange {
        // Applying anew takes away what is left out.
        var status = object.written
        status["state"] = "resolved"
        status["episode"] = .string(String(object.episode))
        status["version"] = .string(String(delivery.version))
        // By then it was over; a later problem's own times say nothing about it.
        status["resolvedAt"] = .string((delivery.episode == 0 ? delivery.last : delivery.first).description)
        return ObjectChange(subresource: "status", fields: ["status": status])
    }

    private static func storm(_ storm: Storm) -> JSONTree {
        var bytes = 0
        let listed = storm.listed.map(SignalTree.member).prefix { member in
            bytes += StoredSize.bytes(member)
            return bytes <= listedBytes
        }
        return [
            "members": .integer(Int64(storm.members)), "firing": .integer(Int64(storm.firing)),
            "listed": .array(Array(listed)),
        ]
    }
}

/// Parts of deliveries as JSON.
enum SignalTree {
    static func labels(_ labels: Labels) -> JSONTree {
        .object(Dictionary(labels.entries.map { ($0.name, .string($0.value)) }) { $1 })
    }

    static func target(_ target: Target) -> JSONTree {
        var fields: [String: JSONTree] = ["kind": .string(target.kind), "name": .string(target.name)]
        fields["namespace"] = target.namespace.map(JSONTree.string)
        return .object(fields)
    }

    static func member(_ member: StormMember) -> JSONTree {
        var fields: [String: JSONTree] = [
            "fingerprint": .string(member.fingerprint), "episode": .string(String(member.episode)),
            "name": .string(member.name), "firing": .boolean(member.firing),
        ]
        fields["target"] = member.target.map(target)
        return .object(fields)
    }

    static func group(_ storm: Storm) -> JSONTree {
        .array(storm.group.map { ["name": .string($0.name), "value": .string($0.value)] })
    }

    static func skipped(_ skipped: Delivery.Skipped) -> JSONTree {
        ["episodes": .integer(skipped.episodes), "first": .string(skipped.first.description)]
    }

    /// What a mapping's paths begin at: the delivery's members, and those of its signal beside them.
    static func root(_ delivery: Delivery, annotations: [String: String]) -> JSONTree {
        var root: [String: JSONTree] = [
            "id": .string(delivery.id), "kind": .string(delivery.kind.rawValue),
            "state": .string(delivery.state.rawValue), "fingerprint": .string(delivery.fingerprint),
            "episode": .string(String(delivery.episode)), "version": .string(String(delivery.version)),
            "count": .integer(delivery.count), "first": .string(delivery.first.description),
            "last": .string(delivery.last.description), "name": .string(ObjectNames.title(of: delivery)),
        ]
        root["reason"] = delivery.reason.map { .string($0.rawValue) }
        root["skipped"] = delivery.skipped.map(skipped)
        if let signal = delivery.signal {
            root["severity"] = signal.severity.map(JSONTree.string)
            root["labels"] = labels(signal.labels)
            root["annotations"] = .object(annotations.mapValues(JSONTree.string))
            root["startsAt"] = signal.startsAt.map { .string($0.description) }
            root["endsAt"] = signal.endsAt.map { .string($0.description) }
            root["link"] = signal.link.map(JSONTree.string)
            root["target"] = signal.target.map(target)
        }
        if let storm = delivery.storm {
            root["storm"] = [
                "id": .string(storm.id), "group": group(storm), "members": .integer(Int64(storm.members)),
                "firing": .integer(Int64(storm.firing)),
            ]
        }
        return .object(root)
    }
}
