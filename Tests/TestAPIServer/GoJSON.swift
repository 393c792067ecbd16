import JSON

/// Documents as a real API server writes them: members of its own kinds in the order of their Go structs, those of custom
/// resources by their names; indented by two, or on one line in a watch.
enum GoJSON {
    private static let typed: Set<String> = [
        "Event", "EventList", "Status", "TokenReview", "SubjectAccessReview", "APIVersions", "APIGroupList",
        "APIResourceList",
    ]

    /// By the name of the member that holds them; `` is the top.
    private static let orders: [String: [String]] = [
        "": [
            "kind", "apiVersion", "metadata", "items", "spec", "involvedObject", "reason", "message", "source",
            "firstTimestamp", "lastTimestamp", "count", "type", "eventTime", "series", "action", "related",
            "reportingComponent", "reportingInstance", "status",
        ],
        "metadata": [
            "name", "generateName", "namespace", "uid", "resourceVersion", "continue", "remainingItemCount",
            "generation", "creationTimestamp", "labels", "annotations", "managedFields",
        ],
        "managedFields": ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1"],
        "involvedObject": ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"],
        "status": ["authenticated", "allowed", "user", "audiences", "error"],
        "user": ["username", "uid", "groups", "extra"],
        "spec": [
            "resourceAttributes", "nonResourceAttributes", "token", "audiences", "user", "groups", "extra", "uid",
        ],
        "nonResourceAttributes": ["path", "verb"],
        "resourceAttributes": ["namespace", "verb", "group", "resource"],
    ]

    static func text(_ tree: JSONTree, pretty: Bool) -> [UInt8] {
        var out: [UInt8] = []
        write(tree, "", typed.contains(tree["kind"]?.text ?? ""), pretty ? 0 : nil, &out)
        return out
    }

    private static func write(
        _ tree: JSONTree, _ name: String, _ isTyped: Bool, _ depth: Int?, _ out: inout [UInt8]
    ) {
        switch tree {
        case .array(let items):
            // A list of custom resources holds them as they are.
            enclosed("[", "]", items, depth, &out) { item, depth, out in
                let own = name == "items" ? typed.contains(item["kind"]?.text ?? "Event") : isTyped
                write(item, name == "items" ? "" : name, own, depth, &out)
            }
        case .object(let members):
            let order = isTyped ? orders[name] ?? [] : []
            func rank(_ key: String) -> Int { order.firstIndex(of: key) ?? order.count }
            let sorted = members.sorted { (rank($0.key), $0.key) < (rank($1.key), $1.key) }
            enclosed("{", "}", sorted, depth, &out) { member, depth, out in
                out += scalar(.string(member.key)) + Array((depth == nil ? ":" : ": ").utf8)
                write(member.value, member.key, isTyped, depth, &out)
            }
        default: out += scalar(tree)
        }
    }

    private static func enclosed<Item>(
        _ open: String, _ close: String, _ items: [Item], _ depth: Int?, _ out: inout [UInt8],
        _ body: (Item, Int?, inout [UInt8]) -> Void
    ) {
        out += Array(open.utf8)
        let inner = depth.map { $0 + 1 }
        for (place, item) in items.enumerated() {
            if place > 0 { out.append(UInt8(ascii: ",")) }
            if let inner { out += Array(("\n" + String(repeating: "  ", count: inner)).utf8) }
            body(item, inner, &out)
        }
        if let depth, !items.isEmpty { out += Array(("\n" + String(repeating: "  ", count: depth)).utf8) }
        out += Array(close.utf8)
    }

    private static func scalar(_ tree: JSONTree) -> [UInt8] { (try? tree.text()) ?? [] }
}
