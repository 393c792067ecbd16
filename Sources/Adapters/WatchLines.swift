import JSON
import Kubernetes

/// An event of a list or a watch, as far as it tells whether it is news. What else is in it is the adapter's to read.
struct WatchedEvent: Sendable {
    let value: JSONValue
    /// Of the event itself, not of what it is about; nil for one that says nothing.
    let uid: String?
    /// Of what it is about; empty for a node and the like, which the adapter sees so too.
    let namespace: String
    /// How often it has happened, by the larger of two counts.
    let count: Int64

    init(_ value: JSONValue) {
        self.value = value
        uid = value["metadata"]?["uid"]?.string
        namespace = ClusterScope.namespace(value["involvedObject"]?.object)
        count = max(value["count"]?.integer ?? 1, value["series"]?["count"]?.integer ?? 1)
    }
}

extension JSONDocument {
    /// What a server sent: deeper and with more faults than the adapter reads, so that one event spoils no list and no watch.
    static func ofTheServer(_ text: [UInt8]) throws(JSONError) -> JSONDocument { try lenient(text, maxDepth: 1_024) }
}

/// Some lines of a watch, in their order.
struct WatchLines {
    private(set) var events: [WatchedEvent] = []
    /// The last resource version among them.
    private(set) var position: String?
    /// An ERROR line, or one that is none of the API's; what came after it is not read.
    private(set) var error: KubernetesError?

    init(_ lines: [[UInt8]]) {
        for line in lines {
            guard let root = try? JSONDocument.ofTheServer(line).root, let type = root["type"]?.string,
                let object = root["object"]
            else {
                error = KubernetesError(.garbage, "a line of a watch that is no event, \(line.count) bytes")
                return
            }
            switch type {
            case "ADDED", "MODIFIED": events.append(WatchedEvent(object))
            case "BOOKMARK", "DELETED": break
            case "ERROR":
                error = KubernetesError(watched: object)
                return
            default:
                error = KubernetesError(.garbage, "a line of a watch of no known type")
                return
            }
            position = object["metadata"]?["resourceVersion"]?.string ?? position
        }
    }
}
