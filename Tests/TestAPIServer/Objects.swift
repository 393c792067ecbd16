import JSON

/// The objects of the server, with its rules: resource versions, conflicts, label selectors, a status of its own.
struct Objects: Sendable {
    struct Key: Hashable, Sendable {
        /// `/apis/example.test/v1/namespaces/demo/widgets`
        let collection: String
        let name: String
    }

    private(set) var all: [Key: JSONTree] = [:]
    private(set) var version = 100
    private var names = 0

    /// `widgets` and `example.test` of a collection's path.
    private static func resource(_ collection: String) -> (plural: String, group: String) {
        let parts = collection.split(separator: "/").map(String.init)
        return (parts.last ?? "", parts.first == "apis" ? parts[1] : "")
    }

    private static func details(_ collection: String, _ name: String) -> [(String, String)] {
        let (plural, group) = resource(collection)
        return [("name", name)] + (group.isEmpty ? [] : [("group", group)]) + [("kind", plural)]
    }

    private static func qualified(_ collection: String) -> String {
        let (plural, group) = resource(collection)
        return group.isEmpty ? plural : "\(plural).\(group)"
    }

    mutating func list(_ collection: String, selector: String?) -> APIAnswer {
        let wanted = (selector ?? "").split(separator: ",").map { $0.split(separator: "=").map(String.init) }
        let items = all.filter { key, object in
            key.collection == collection
                && wanted.allSatisfy { object["metadata"]?["labels"]?[$0[0]]?.text == ($0.count > 1 ? $0[1] : "") }
        }
        let sorted = items.sorted { $0.key.name < $1.key.name }.map(\.value)
        return APIAnswer(
            200,
            [
                "kind": "List", "apiVersion": "v1", "metadata": ["resourceVersion": .string(String(version))],
                "items": .array(sorted),
            ])
    }

    func read(_ key: Key) -> APIAnswer { all[key].map { APIAnswer(200, $0) } ?? missing(key) }

    private func missing(_ key: Key) -> APIAnswer {
        .failure(
            404, "NotFound", "\(Self.qualified(key.collection)) \"\(key.name)\" not found",
            details: Self.details(key.collection, key.name))
    }

    mutating func create(_ collection: String, _ object: JSONTree) -> APIAnswer {
        guard let name = object["metadata"]?["name"]?.text, !name.isEmpty else {
            return .failure(422, "Invalid", "metadata.name: Required value: name or generateName is required")
        }
        let key = Key(collection: collection, name: name)
        guard all[key] == nil else {
            return .failure(
                409, "AlreadyExists", "\(Self.qualified(collection)) \"\(name)\" already exists",
                details: Self.details(collection, name))
        }
        names += 1
        var object = object
        var metadata = object["metadata"] ?? [:]
        metadata["uid"] = .string("uid-\(names)")
        metadata["creationTimestamp"] = "2026-08-01T12:00:00Z"
        object["metadata"] = metadata
        // A subresource is not written through its object.
        object["status"] = nil
        return APIAnswer(201, store(key, object))
    }

    private mutating func store(_ key: Key, _ object: JSONTree) -> JSONTree {
        version += 1
        var object = object
        var metadata = object["metadata"] ?? [:]
        metadata["resourceVersion"] = .string(String(version))
        object["metadata"] = metadata
        all[key] = object
        return object
    }

    /// Server-side apply by the only manager, or a merge patch; of the status alone, or of everything but that.
    mutating func patch(_ key: Key, _ change: JSONTree, status: Bool) -> APIAnswer {
        guard let old = all[key] else { return missing(key) }
        if let seen = change["metadata"]?["resourceVersion"]?.text, seen != old["metadata"]?["resourceVersion"]?.text {
            return .failure(
                409, "Conflict",
                "Operation cannot be fulfilled on \(Self.qualified(key.collection)) \"\(key.name)\": the object has been "
                    + "modified; please apply your changes to the latest version and try again",
                details: Self.details(key.collection, key.name))
        }
        var merged = Self.merged(old, change)
        if status {
            var kept = old
            kept["status"] = merged["status"]
            merged = kept
        } else {
            merged["status"] = old["status"]
        }
        merged["metadata"] = {
            var metadata = merged["metadata"] ?? [:]
            for name in ["name", "namespace", "uid", "creationTimestamp"] { metadata[name] = old["metadata"]?[name] }
            return metadata
        }()
        return APIAnswer(200, store(key, merged))
    }

    /// RFC 7396
    private static func merged(_ old: JSONTree, _ change: JSONTree) -> JSONTree {
        guard case .object(let changes) = change else { return change }
        var merged = old
        for (name, value) in changes { merged[name] = value == .null ? nil : Self.merged(merged[name] ?? .null, value) }
        return merged
    }

    mutating func delete(_ key: Key) -> APIAnswer {
        guard all.removeValue(forKey: key) != nil else { return missing(key) }
        version += 1
        return APIAnswer(200, ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success"])
    }
}
