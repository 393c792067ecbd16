import JSON
import SignalKit

/// A tree of the configuration in which texts that are paths (`$.target.name`, `$.labels["app.kubernetes.io/name"]`) stand for
/// values of a delivery. Values are put in as they are, never pasted into text, so no value can become structure.
struct ObjectTemplate: Sendable, Hashable {
    private indirect enum Node: Sendable, Hashable {
        case value(JSONTree)
        case path([String])
        case list([Node])
        case map([String: Node])
    }
    private let root: Node

    /// Records what is wrong with a path, at its place.
    init(_ node: ConfigNode, _ fault: (ConfigMark, String) -> Void) { root = Self.read(node, fault) }

    private static func read(_ node: ConfigNode, _ fault: (ConfigMark, String) -> Void) -> Node {
        switch node.content {
        case .null: return .value(.null)
        case .list(let items): return .list(items.map { read($0, fault) })
        case .map(let entries):
            return .map(Dictionary(entries.map { ($0.key, read($0.value, fault)) }) { first, _ in first })
        case .scalar(let text, let plain):
            if text.hasPrefix("$") {
                // `$$` begins a text that begins with `$`.
                if text.hasPrefix("$$") { return .value(.string(String(text.dropFirst()))) }
                guard let path = path(text) else {
                    fault(node.mark, "\(text) is no path: write $.name, $.labels.app or $.labels[\"a.b/c\"]")
                    return .value(.null)
                }
                guard known.contains(path[0]) else {
                    fault(
                        node.mark,
                        "nothing of a delivery is called \(path[0]); there are \(known.joined(separator: ", "))")
                    return .value(.null)
                }
                return .path(path)
            }
            guard plain else { return .value(.string(text)) }
            if let number = Int64(text) { return .value(.integer(number)) }
            if text == "true" || text == "false" { return .value(.boolean(text == "true")) }
            if let number = Double(text), number.isFinite { return .value(.number(number)) }
            return .value(.string(text))
        }
    }

    /// Members of a delivery, its signal's and its storm's among them.
    static let known = [
        "id", "kind", "state", "fingerprint", "episode", "version", "count", "first", "last", "reason", "skipped",
        "name",
        "severity", "labels", "annotations", "startsAt", "endsAt", "link", "target", "storm",
    ]

    static func path(_ text: String) -> [String]? {
        var rest = text.dropFirst()
        var path: [String] = []
        while let first = rest.first {
            rest = rest.dropFirst()
            switch first {
            case ".":
                let name = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "-" }
                guard !name.isEmpty else { return nil }
                path.append(String(name))
                rest = rest.dropFirst(name.count)
            case "[":
                guard rest.first == "\"", let end = rest.dropFirst().firstIndex(of: "\""),
                    rest[end...].hasPrefix("\"]")
                else { return nil }
                path.append(String(rest[rest.index(after: rest.startIndex)..<end]))
                rest = rest[end...].dropFirst(2)
            default: return nil
            }
        }
        return path.isEmpty ? nil : path
    }

    /// With the delivery's values. A member whose path leads nowhere is left out, an element too.
    func filled(_ delivery: JSONTree) -> JSONTree { Self.filled(root, delivery) ?? .null }

    private static func filled(_ node: Node, _ delivery: JSONTree) -> JSONTree? {
        switch node {
        case .value(let value): return value
        case .path(let path): return path.reduce(Optional(delivery)) { $0?[$1] }
        case .list(let items): return .array(items.compactMap { filled($0, delivery) })
        case .map(let members): return .object(members.compactMapValues { filled($0, delivery) })
        }
    }
}
