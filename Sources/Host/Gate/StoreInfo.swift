import Redis

/// `INFO`'s `name:value` lines.
struct StoreInfo: Sendable {
    private let values: [Substring: Substring]

    /// - Throws: `.garbage` when it is no text.
    init(_ reply: RedisValue) throws(RedisError) {
        guard let text = reply.string else { throw RedisError(.garbage, "INFO answered no text") }
        var found: [Substring: Substring] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            found[line[..<colon]] = line[line.index(after: colon)...]
        }
        values = found
    }

    subscript(_ name: String) -> String? { values[name[...]].map(String.init) }

    /// Names one server in one time of being a master: the process, and its replication, which has another id with every
    /// promotion.
    /// - Throws: `.rejected`.
    func server() throws(RedisError) -> String {
        guard let run = self["run_id"], let replication = self["master_replid"] else {
            throw RedisError(
                .rejected, "INFO names no run_id or master_replid; the server must be Redis 7 or compatible")
        }
        return "\(run):\(replication)"
    }

    /// Bytes of the replication stream.
    var written: Int64? { self["master_repl_offset"].flatMap { Int64($0) } }

    /// How many of those each replica that is in step has said it has.
    var replicas: [Int64] {
        guard let count = self["connected_slaves"].flatMap({ Int($0) }), count > 0, count < 1_000 else { return [] }
        return (0..<count).compactMap { place in
            let fields = self["slave\(place)"]?.split(separator: ",") ?? []
            guard fields.contains("state=online") else { return nil }
            return fields.first { $0.hasPrefix("offset=") }.flatMap { Int64($0.dropFirst(7)) }
        }
    }

    // MARK: What it must be

    /// - Throws: `.rejected` for a server that does not do, with what would.
    func checkServer() throws(RedisError) {
        guard self["cluster_enabled"] != "1" else {
            throw RedisError(
                .rejected,
                "the server is in cluster mode: Portcullis needs one Redis, or a master with replicas and Sentinels")
        }
        // Valkey names the Redis that it is compatible with.
        guard let version = self["redis_version"], let major = Int(version.prefix { $0.isNumber }) else {
            throw RedisError(.rejected, "INFO names no redis_version; the server must be Redis 7 or compatible")
        }
        guard major >= 7 else {
            throw RedisError(
                .rejected, "the server is Redis \(version): its scripts know no flags; Redis 7 or Valkey is needed")
        }
    }

    /// - Throws: `.rejected` when the server may drop what was acknowledged.
    func checkEviction() throws(RedisError) {
        guard let policy = self["maxmemory_policy"] else {
            throw RedisError(.rejected, "INFO names no maxmemory_policy; the server must be Redis 7 or compatible")
        }
        guard policy == "noeviction" else {
            throw RedisError(
                .rejected,
                "maxmemory-policy is \(policy): the server may drop what was acknowledged; set it to noeviction")
        }
    }
}
