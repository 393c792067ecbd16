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
}
