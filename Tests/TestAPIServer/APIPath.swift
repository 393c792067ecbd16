import JSON

/// What a request's path names: `/apis/example.test/v1/namespaces/demo/widgets/w1/status`.
struct APIPath: Hashable, Sendable {
    /// Empty for the API's oldest part, `/api/v1`.
    let group: String
    let version: String
    /// Nil for all namespaces.
    let namespace: String?
    let plural: String

    init(group: String, version: String, namespace: String?, plural: String) {
        (self.group, self.version, self.namespace, self.plural) = (group, version, namespace, plural)
    }

    /// - Returns: nil for what names no collection; else with the name and the subresource behind it.
    static func read(_ path: String) -> (path: APIPath, name: String?, sub: String?)? {
        var parts = path.split(separator: "/").map(String.init)[...]
        let group: String
        switch parts.popFirst() {
        case "api": group = ""
        case "apis":
            guard let word = parts.popFirst() else { return nil }
            group = word
        default: return nil
        }
        guard let version = parts.popFirst() else { return nil }
        var namespace: String?
        if parts.first == "namespaces", parts.count >= 3 {
            parts.removeFirst()
            namespace = parts.popFirst()
        }
        guard let plural = parts.popFirst(), parts.count <= 2 else { return nil }
        let name = parts.popFirst()
        return (APIPath(group: group, version: version, namespace: namespace, plural: plural), name, parts.popFirst())
    }

    func holds(_ other: APIPath) -> Bool {
        group == other.group && plural == other.plural && (namespace == nil || namespace == other.namespace)
    }

    var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
    /// `Event` of `events`; right for what tests ask for.
    var kind: String { plural.prefix(1).uppercased() + plural.dropFirst().dropLast() }
    var qualified: String { group.isEmpty ? plural : "\(plural).\(group)" }

    func details(_ name: String?) -> [(String, String)] {
        (name.map { [("name", $0)] } ?? []) + (group.isEmpty ? [] : [("group", group)]) + [("kind", plural)]
    }
}
