/// How the embedded server must run for the host's promises to hold.
enum EmbeddedSettings {
    /// Given on the command line, and asked back from a server that is taken over.
    static func required(_ directory: EmbeddedDirectory) -> [(name: String, value: String)] {
        [
            ("dir", directory.path),
            ("port", "0"),
            ("unixsocket", directory.socket),
            ("unixsocketperm", "700"),
            ("appendonly", "yes"),
            ("appendfsync", "always"),
            ("no-appendfsync-on-rewrite", "no"),
            ("save", ""),
            ("maxmemory-policy", "noeviction"),
            ("daemonize", "no"),
        ]
    }

    /// Two fifths of what there is, 32 MiB at least: while the server rewrites its log it may have every page twice, and the last fifth
    /// is the host's. 1 GiB when the system does not say what there is.
    static func memory(of machine: Int?) -> Int { max(32 << 20, (machine ?? 5 << 29) / 5 * 2) }

    /// - Parameter memory: bytes of data; past it the server takes nothing new.
    static func arguments(_ directory: EmbeddedDirectory, server: String, memory: Int) -> [String] {
        let further = [
            ("maxmemory", String(memory)),
            // It has no clients but its host, and keeps 32 descriptors for itself besides.
            ("maxclients", "128"),
            ("pidfile", directory.pidFile), ("logfile", directory.log), ("always-show-logo", "no"),
            // A busy log grows by tens of megabytes a second, and a rewrite takes as much of a core and of the disk as the work. So
            // much is read again in three seconds.
            ("auto-aof-rewrite-min-size", "256mb"),
            // Storm windows go by the hash, which may be a large one.
            ("lazyfree-lazy-expire", "yes"),
        ]
        return [server] + (required(directory) + further).flatMap { ["--" + $0.0, $0.1] }
    }

    /// What is wrong with a server that is already there, in words.
    static func faults(of connection: RedisConnection, _ directory: EmbeddedDirectory) async throws(RedisError)
        -> [String]
    {
        let required = required(directory)
        let replies = try await connection.send(required.map { RedisCommand("CONFIG", "GET", $0.name) })
        var faults: [String] = []
        for (setting, reply) in zip(required, replies) {
            let pair = try reply.get().list ?? []
            let value = pair.count == 2 ? pair[1].string ?? "" : ""
            if value != setting.value {
                faults.append("\(setting.name) is '\(value)' and must be '\(setting.value)'")
            }
        }
        return faults
    }

    /// Sets what a server that was started by another host may have otherwise.
    /// - Returns: bytes of data that it holds.
    static func limit(_ connection: RedisConnection, memory: Int) async throws(RedisError) -> Int {
        let set = try await connection.send(RedisCommand("CONFIG", "SET", "maxmemory", String(memory)))
        _ = try set.get()
        let text = try await connection.send(RedisCommand("INFO", "memory")).string ?? ""
        for line in text.split(whereSeparator: \.isNewline) where line.hasPrefix("used_memory:") {
            return Int(line.dropFirst("used_memory:".count)) ?? 0
        }
        return 0
    }

    static func processID(of connection: RedisConnection) async throws(RedisError) -> Int32? {
        let text = try await connection.send(RedisCommand("INFO", "server")).string ?? ""
        for line in text.split(whereSeparator: \.isNewline) where line.hasPrefix("process_id:") {
            return Int32(line.dropFirst("process_id:".count))
        }
        return nil
    }
}
