import JSON
import SignalKit

/// The object of kind `Signal` in `portcullis.dev/v1alpha1`: `spec` says what the problem is and never changes, `status` how
/// it stands. deploy/kubernetes/crd.yaml has the schema.
enum SignalObject {
    static let group = "portcullis.dev"
    static let version = "v1alpha1"
    static let plural = "signals"
    static let fingerprintLabel = "portcullis.dev/fingerprint"
    static let stormLabel = "portcullis.dev/storm"
    /// A label's value holds 63 characters, a fingerprint has 64.
    static let labelLength = 40
    /// Hex digits in a name: the next when another problem has the name already.
    static let nameLengths = [16, 24, 40, 64]

    static func label(of delivery: Delivery) -> (name: String, value: String) {
        delivery.kind == .storm
            ? (stormLabel, delivery.fingerprint) : (fingerprintLabel, String(delivery.fingerprint.prefix(labelLength)))
    }

    /// - Parameter length: hex digits of the fingerprint; a storm's id names it by itself.
    static func name(of delivery: Delivery, number: Int, length: Int) -> String {
        delivery.kind == .storm
            ? "storm-\(delivery.fingerprint)" : "sig-\(delivery.fingerprint.prefix(length))-\(number)"
    }

    /// Nil for what is no object of this kind.
    static func seen(_ object: JSONValue) -> SeenObject? {
        guard let metadata = object["metadata"], let name = metadata["name"]?.string,
            let resourceVersion = metadata["resourceVersion"]?.string, let spec = object["spec"],
            let fingerprint = spec["fingerprint"]?.string, let made = number(spec["episode"])
        else { return nil }
        let status = object["status"]
        let isResolved = status?["state"]?.equals("resolved") == true
        let isCompleted = status?["completed"]?.boolean == true
        return SeenObject(
            name: name, resourceVersion: resourceVersion, fingerprint: fingerprint,
            episode: number(status?["episode"]) ?? made, version: number(status?["version"]) ?? 0,
            startsAt: spec["startsAt"]?.string,
            isActive: !isResolved && !isCompleted,
            isDone: isCompleted || (isResolved && status?["reason"]?.string == nil))
    }

    private static func number(_ value: JSONValue?) -> Int64? { value?.string.flatMap { Int64($0) } }

    // MARK: Writing

    /// To create: an object's status is a resource of its own, so this leaves it out.
    static func made(of delivery: Delivery, named name: String) -> JSONTree {
        let label = label(of: delivery)
        var spec: [String: JSONTree] = [
            "kind": .string(delivery.kind.rawValue), "fingerprint": .string(delivery.fingerprint),
            "episode": .string(String(delivery.episode)), "firstSeen": .string(delivery.first.description),
        ]
        if let signal = delivery.signal {
            spec["name"] = .string(signal.name)
            spec["severity"] = signal.severity.map(JSONTree.string)
            spec["labels"] = labels(signal.labels)
            spec["annotations"] = labels(signal.annotations)
            spec["startsAt"] = signal.startsAt.map { .string($0.description) }
            spec["link"] = signal.link.map(JSONTree.string)
            spec["target"] = signal.target.map(target)
        }
        if let storm = delivery.storm {
            spec["name"] = .string(storm.group.first { $0.name == "name" }?.value ?? "storm")
            spec["group"] = .array(
                storm.group.map { ["name": .string($0.name), "value": .string($0.value)] })
        }
        return [
            "apiVersion": .string("\(group)/\(version)"), "kind": "Signal",
            "metadata": ["name": .string(name), "labels": [label.name: .string(label.value)]],
            "spec": .object(spec),
        ]
    }

    /// To apply to the status of an object as it was seen; the server refuses it when the object has changed since.
    static func status(of delivery: Delivery, on object: SeenObject) -> JSONTree {
        var status: [String: JSONTree] = [
            "state": .string(delivery.state.rawValue), "episode": .string(String(delivery.episode)),
            "version": .string(String(delivery.version)), "count": .integer(delivery.count),
            "lastSeen": .string(delivery.last.description),
        ]
        if delivery.episode == 0 { status["episode"] = .string(String(object.episode)) }
        if delivery.state == .resolved {
            status["resolvedAt"] = .string((delivery.signal?.endsAt ?? delivery.last).description)
            status["reason"] = delivery.reason.map { .string($0.rawValue) }
        }
        if let storm = delivery.storm {
            status["storm"] = [
                "members": .integer(Int64(storm.members)), "firing": .integer(Int64(storm.firing)),
                "listed": .array(storm.listed.map(member)),
            ]
        }
        return applied(.object(status), to: object)
    }

    /// The end of an object whose problem goes on under a later episode.
    static func ended(by delivery: Delivery, _ object: SeenObject) -> JSONTree {
        applied(
            [
                "state": "resolved", "episode": .string(String(object.episode)),
                "version": .string(String(delivery.version)), "lastSeen": .string(delivery.last.description),
                "resolvedAt": .string((delivery.signal?.endsAt ?? delivery.last).description),
            ], to: object)
    }

    private static func applied(_ status: JSONTree, to object: SeenObject) -> JSONTree {
        [
            "apiVersion": .string("\(group)/\(version)"), "kind": "Signal",
            "metadata": ["name": .string(object.name), "resourceVersion": .string(object.resourceVersion)],
            "status": status,
        ]
    }

    private static func labels(_ labels: Labels) -> JSONTree {
        .object(Dictionary(labels.entries.map { ($0.name, .string($0.value)) }) { $1 })
    }

    private static func target(_ target: Target) -> JSONTree {
        var fields: [String: JSONTree] = ["kind": .string(target.kind), "name": .string(target.name)]
        fields["namespace"] = target.namespace.map(JSONTree.string)
        return .object(fields)
    }

    private static func member(_ member: StormMember) -> JSONTree {
        var fields: [String: JSONTree] = [
            "fingerprint": .string(member.fingerprint), "episode": .string(String(member.episode)),
            "name": .string(member.name), "firing": .boolean(member.firing),
        ]
        fields["target"] = member.target.map(target)
        return .object(fields)
    }
}
