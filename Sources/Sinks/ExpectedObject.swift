import JSON
import Kubernetes

/// The object that an answer must be about. The answer to another request is never taken for it (decision 0023).
struct ExpectedObject {
    let name: String
    /// Nil when the object is new, or was never seen.
    var uid: String?
    /// Nil when the object may be another problem's.
    var fingerprint: String?
}

extension ObjectClient {
    /// - Returns: the object in an answer.
    /// - Throws: `garbage` when it is not the expected one.
    func object(_ expected: ExpectedObject, in answer: KubernetesResponse) throws(KubernetesError) -> JSONValue {
        guard let root = (try? JSONDocument.parse(answer.body))?.root else {
            throw KubernetesError(.garbage, "an object that is not JSON")
        }
        let metadata = root["metadata"]
        var wrong: [String] = []
        if root["kind"]?.string != shape.kind || root["apiVersion"]?.string != shape.apiVersion { wrong.append("kind") }
        if metadata?["name"]?.string != expected.name { wrong.append("name") }
        if metadata?["namespace"]?.string != (try usedNamespace()) { wrong.append("namespace") }
        if let uid = expected.uid, metadata?["uid"]?.string != uid { wrong.append("uid") }
        if let fingerprint = expected.fingerprint, shape.seen(root)?.fingerprint != fingerprint {
            wrong.append("fingerprint")
        }
        guard wrong.isEmpty else {
            throw KubernetesError(
                .garbage,
                "the API server's answer is about another object than \(expected.name) (\(wrong.joined(separator: ", ")) "
                    + "differ): it is not used")
        }
        return root
    }

    /// - Parameters:
    ///   - label: what each object of the list must carry; nil for any,
    ///   - values: with one of these values.
    /// - Returns: the objects of a page, and the token of the next one; empty for none.
    /// - Throws: `garbage` when the list is not the one that was asked for.
    func listed(
        in answer: KubernetesResponse, label: String? = nil, values: Set<String> = []
    ) throws(KubernetesError) -> (items: [JSONValue], next: String) {
        guard let list = (try? JSONDocument.parse(answer.body))?.root, let items = list["items"]?.array else {
            throw KubernetesError(.garbage, "a list without items")
        }
        let namespace = try usedNamespace()
        let isExpected = items.allSatisfy { item in
            let metadata = item["metadata"]
            // Lists of the API's own kinds leave the kind out of their items.
            return item["kind"].map { $0.string == shape.kind } ?? true
                && metadata?["namespace"]?.string == namespace
                && label.map { metadata?["labels"]?[$0]?.string.map(values.contains) == true } ?? true
        }
        guard isExpected, list["apiVersion"]?.string == shape.apiVersion else {
            throw KubernetesError(
                .garbage, "the API server's answer is another list than the one of \(shape.plural): it is not used")
        }
        return (Array(items), list["metadata"]?["continue"]?.string ?? "")
    }
}
