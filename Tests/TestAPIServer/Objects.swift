import JSON

/// The objects of the server, with its rules: resource versions and their history, pages, conflicts, label selectors, a
/// status of its own.
struct Objects: Sendable {
    struct Key: Hashable, Sendable {
        let collection: APIPath
        let name: String
    }

    struct Change: Sendable {
        let version: Int
        /// ADDED, MODIFIED, DELETED
        let type: String
        let key: Key
        let object: JSONTree

        var line: [UInt8] {
            Array(#"{"type":"\#(type)","object":"#.utf8) + GoJSON.text(object, pretty: false) + Array("}\n".utf8)
        }
    }

    private(set) var all: [Key: JSONTree] = [:]
    /// By `name=value` of a label; a list by one would else look at everything.
    private var labelled: [String: Set<Key>] = [:]
    /// Of the last list that had no label: its pages come one after the other.
    private var sorted: (path: APIPath, version: Int, keys: [Key])?
    private(set) var version = 100
    private(set) var changes: [Change] = []
    /// Changes up to this are forgotten, as after a compaction of etcd.
    private(set) var compacted = 100
    private var names = 0

    mutating func forget() {
        version += 1
        compacted = version
        changes.removeAll()
    }

    // MARK: Reading

    /// Of one namespace or of all.
    mutating func list(_ path: APIPath, _ query: [String: String]) -> APIAnswer {
        if let asked = query["resourceVersion"], let number = Int(asked), number > version {
            return .tooLargeVersion(number, current: version)
        }
        var after = ""
        var shown = version
        if let token = query["continue"] {
            let parts = token.split(separator: " ", maxSplits: 1).map(String.init)
            shown = Int(parts[0]) ?? 0
            after = parts.count > 1 ? parts[1] : ""
            if shown < compacted { return .expiredContinue("\(version) \(after)") }
        }
        let limit = query["limit"].flatMap { Int($0) } ?? Int.max
        let keys = found(path, selector: query["labelSelector"])
        let from = after.isEmpty ? 0 : keys.partitioningIndex { Self.order($0) > after }
        let items = keys[from...].prefix(limit < Int.max ? limit + 1 : limit).compactMap { key in
            all[key].map { (key, $0) }
        }
        var metadata: JSONTree = ["resourceVersion": .string(String(shown))]
        if items.count > limit {
            metadata["continue"] = .string("\(shown) \(Self.order(items[limit - 1].0))")
            metadata["remainingItemCount"] = .integer(Int64(keys.count - from - limit))
        }
        let kind = items.first?.1["kind"]?.text ?? path.kind
        return APIAnswer(
            200,
            [
                "kind": .string(kind + "List"), "apiVersion": .string(path.apiVersion), "metadata": metadata,
                "items": .array(
                    items.prefix(limit).map { _, object in
                        // Lists of the API's own kinds leave this out of their items.
                        guard path.group.isEmpty else { return object }
                        var object = object
                        object["kind"] = nil
                        object["apiVersion"] = nil
                        return object
                    }),
            ])
    }

    private static func order(_ key: Key) -> String { "\(key.collection.namespace ?? "")/\(key.name)" }

    private mutating func found(_ path: APIPath, selector: String?) -> [Key] {
        if let selector, !selector.isEmpty {
            // `name=value`, or `name in (a,b)`.
            let set = selector.firstMatch(of: #/^(\S+) in \((.*)\)$/#).map { match in
                match.2.split(separator: ",").map { "\(match.1)=\($0)" }
            }
            return Set((set ?? [selector]).flatMap { labelled[$0] ?? [] }).filter { path.holds($0.collection) }
                .sorted { Self.order($0) < Self.order($1) }
        }
        if let sorted, sorted.path == path, sorted.version == version { return sorted.keys }
        let keys = all.keys.filter { path.holds($0.collection) }.map { (Self.order($0), $0) }
            .sorted { $0.0 < $1.0 }.map(\.1)
        sorted = (path, version, keys)
        return keys
    }

    func read(_ key: Key) -> APIAnswer { all[key].map { APIAnswer(200, $0) } ?? missing(key) }

    private func missing(_ key: Key) -> APIAnswer {
        .failure(
            404, "NotFound", "\(key.collection.qualified) \"\(key.name)\" not found",
            details: key.collection.details(key.name))
    }

    // MARK: Writing

    mutating func create(_ collection: APIPath, _ object: JSONTree) -> APIAnswer {
        guard let name = object["metadata"]?["name"]?.text, !name.isEmpty else {
            return .failure(422, "Invalid", "metadata.name: Required value: name or generateName is required")
        }
        let key = Key(collection: collection, name: name)
        guard all[key] == nil else {
            return .failure(
                409, "AlreadyExists", "\(collection.qualified) \"\(name)\" already exists",
                details: collection.details(name))
        }
        names += 1
        var object = object
        var metadata = object["metadata"] ?? [:]
        metadata["namespace"] = collection.namespace.map(JSONTree.string)
        if metadata["uid"] == nil { metadata["uid"] = .string("uid-\(names)") }
        metadata["creationTimestamp"] = "2026-08-01T12:00:00Z"
        object["metadata"] = metadata
        // A subresource is not written through its object.
        object["status"] = nil
        return APIAnswer(201, store("ADDED", key, object))
    }

    private static func labels(_ object: JSONTree?) -> [String] {
        guard case .object(let labels)? = object?["metadata"]?["labels"] else { return [] }
        return labels.map { "\($0.key)=\($0.value.text ?? "")" }
    }

    private mutating func store(_ type: String, _ key: Key, _ object: JSONTree) -> JSONTree {
        version += 1
        var object = object
        var metadata = object["metadata"] ?? [:]
        metadata["resourceVersion"] = .string(String(version))
        object["metadata"] = metadata
        for label in Self.labels(all[key]) { labelled[label]?.remove(key) }
        all[key] = type == "DELETED" ? nil : object
        for label in Self.labels(all[key]) { labelled[label, default: []].insert(key) }
        changes.append(Change(version: version, type: type, key: key, object: object))
        return object
    }

    /// Server-side apply, or a merge patch; of the status alone, or of everything but that.
    mutating func patch(_ key: Key, _ change: JSONTree, status: Bool, manager: String?) -> APIAnswer {
        guard let old = all[key] else {
            // Applying makes what is not there, unless it names what it means.
            guard manager != nil, !status else { return missing(key) }
            return change["metadata"]?["uid"] == nil ? create(key.collection, change) : conflict(key)
        }
        if let uid = change["metadata"]?["uid"]?.text, uid != old["metadata"]?["uid"]?.text { return conflict(key) }
        if let seen = change["metadata"]?["resourceVersion"]?.text, seen != old["metadata"]?["resourceVersion"]?.text {
            return conflict(key)
        }
        var merged = Self.merged(manager == nil ? old : Self.without(old, owned: "portcullis"), change)
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
        return APIAnswer(200, store("MODIFIED", key, merged))
    }

    /// What a manager applied before and does not apply again is taken away; `completed` is somebody else's.
    private static func without(_ object: JSONTree, owned manager: String) -> JSONTree {
        var object = object
        object["status"] = object["status"]?["completed"].map { ["completed": $0] }
        return object
    }

    private func conflict(_ key: Key) -> APIAnswer {
        .failure(
            409, "Conflict",
            "Operation cannot be fulfilled on \(key.collection.qualified) \"\(key.name)\": the object has been modified; "
                + "please apply your changes to the latest version and try again",
            details: key.collection.details(key.name))
    }

    /// RFC 7396
    private static func merged(_ old: JSONTree, _ change: JSONTree) -> JSONTree {
        guard case .object(let changes) = change else { return change }
        var merged = old
        for (name, value) in changes { merged[name] = value == .null ? nil : Self.merged(merged[name] ?? .null, value) }
        return merged
    }

    /// - Parameter options: `DeleteOptions`, of which the preconditions count.
    mutating func delete(_ key: Key, _ options: JSONTree? = nil) -> APIAnswer {
        guard let object = all[key] else { return missing(key) }
        for name in ["uid", "resourceVersion"] {
            guard let asked = options?["preconditions"]?[name], asked != object["metadata"]?[name] else { continue }
            return conflict(key)
        }
        _ = store("DELETED", key, object)
        return APIAnswer(200, ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success"])
    }
}

extension Array {
    /// The first place at which `fits` holds, when it holds for all after that.
    fileprivate func partitioningIndex(_ fits: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if fits(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
