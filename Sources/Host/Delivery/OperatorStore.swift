import Redis
import SignalKit

/// What an operator asks of the store: dead letters, storms, queues.
extension DeliveryStore {
    struct Letter: Sendable {
        let id: String
        let origin: String
        let reason: String
        let count: Int
        let first, last: Timestamp
    }

    /// Of an item that was too long to be kept whole.
    struct LetterCut: Sendable, Equatable {
        /// Bytes of the whole item.
        let size: Int
        /// Its FNV-1a in hex.
        let digest: String

        /// Nil for an item that is whole.
        init?(size: String?, digest: String?) {
            guard let size = size.flatMap({ Int($0) }) else { return nil }
            (self.size, self.digest) = (size, digest ?? "")
        }
    }

    private static func time(_ value: RedisValue) -> Timestamp? { value.int.map { Timestamp(milliseconds: $0) } }

    /// The newest dead letters, of one origin (`adapter/<id>`, `sink/<name>`) or all.
    func letters(origin: String?, most: Int) async throws(RedisError) -> (total: Int, letters: [Letter]) {
        let reply = try await call(scripts.letters) {
            $0.add(origin ?? "")
            $0.add(Int64(most))
        }
        guard let items = reply.list, let total = items.first?.int else { throw garbage("letters") }
        var letters: [Letter] = []
        for item in items.dropFirst() {
            guard let words = item.list, words.count == 6, let id = words[0].string, let origin = words[1].string,
                let reason = words[2].bytesValue, let count = words[3].int, let first = Self.time(words[4]),
                let last = Self.time(words[5])
            else { throw garbage("letters") }
            letters.append(
                Letter(
                    id: id, origin: origin, reason: String(decoding: reason, as: UTF8.self), count: Int(count),
                    first: first, last: last))
        }
        return (Int(total), letters)
    }

    /// One dead letter with what it holds: the item as the adapter can read it again, or the signal that a sink did not get.
    func letter(_ id: String) async throws(RedisError) -> (letter: Letter, item: [UInt8], cut: LetterCut?)? {
        var command = RedisCommand("HMGET", "{\(scripts.prefix)}:l:\(id)")
        let fields = [
            "origin", "reason", "count", "first", "last", "kind", "item", "document", "member", "size", "digest",
        ]
        for field in fields { command.add(field) }
        guard let words = try await store.send(command).list, words.count == fields.count else {
            throw garbage("HMGET")
        }
        guard let origin = words[0].string else { return nil }
        guard let reason = words[1].bytesValue, let count = words[2].int, let first = Self.time(words[3]),
            let last = Self.time(words[4]), let kind = words[5].string, let item = words[6].bytesValue
        else { throw garbage("HMGET") }
        var content = item
        if kind == "sink" {
            content = words[7].bytesValue.flatMap(StoredDocument.unpack) ?? []
            if content.isEmpty, let member = words[8].bytesValue { content = Array(QueueMember(member).name.utf8) }
        }
        return (
            Letter(
                id: id, origin: origin, reason: String(decoding: reason, as: UTF8.self), count: Int(count),
                first: first,
                last: last), content, LetterCut(size: words[9].string, digest: words[10].string)
        )
    }

    enum Replay: Sendable, Equatable {
        /// Back in its sink's queue; the letter is gone.
        case queued
        case missing
        /// The store knows nothing of the problem or the storm any more; the letter stays.
        case gone
        /// The problem fires, and its record can't tell of the letter's episode; the letter stays.
        case busy
        /// No sink of this name is configured; the letter stays.
        case unowned(sink: String)
        /// The letter stays until the intake has taken its item, as of the time when it was received if that is known.
        case adapter(origin: String, item: [UInt8], receivedAt: Timestamp?)
        /// Its item was too long to be kept whole; the letter stays.
        case cut(size: Int)
    }

    func replay(_ id: String) async throws(RedisError) -> Replay {
        let reply = try await call(scripts.replay) {
            $0.add(id)
            $0.add(scripts.cooldown.milliseconds)
        }
        guard let words = reply.list, let word = words.first?.string else { throw garbage("replay") }
        switch word {
        case "queued": return .queued
        case "missing": return .missing
        case "gone": return .gone
        case "busy": return .busy
        case "unowned":
            guard words.count == 2, let sink = words[1].string else { throw garbage("replay") }
            return .unowned(sink: sink)
        default:
            guard word == "adapter", words.count == 5, let origin = words[1].string, let item = words[2].bytesValue,
                let received = words[3].string, let size = words[4].string
            else { throw garbage("replay") }
            if let size = Int(size) { return .cut(size: size) }
            return .adapter(
                origin: origin, item: item, receivedAt: Int64(received).map(Timestamp.init(milliseconds:)))
        }
    }

    /// - Returns: how many were there to drop.
    func drop(letter id: String) async throws(RedisError) -> Int { try await drop(id, origin: "", most: 0) }

    /// Drops up to `most`; call again until it returns less.
    func drop(origin: String, most: Int) async throws(RedisError) -> Int {
        try await drop("", origin: origin, most: most)
    }

    private func drop(_ id: String, origin: String, most: Int) async throws(RedisError) -> Int {
        let reply = try await call(scripts.drop) {
            $0.add(id)
            $0.add(origin)
            $0.add(Int64(most))
        }
        guard let count = reply.int else { throw garbage("drop") }
        return Int(count)
    }

    struct StormView: Sendable {
        let id: String
        let state: String
        /// A JSON object.
        let group: [UInt8]
        let members, firing: Int
        let opened, last: Timestamp
        let listed: [StormMember]
    }

    /// - Parameter id: of one storm, whose first `most` members come too; nil for the newest `most` storms.
    func storms(_ id: String?, most: Int) async throws(RedisError) -> [StormView] {
        var member: [UInt8] = []
        if let id {
            guard let named = QueueMember(storm: id) else { return [] }
            member = named.bytes
        }
        let reply = try await call(scripts.storms) {
            $0.add(member)
            $0.add(Int64(most))
        }
        guard let items = reply.list else { throw garbage("storms") }
        var storms: [StormView] = []
        for item in items {
            guard let words = item.list, words.count >= 7, let bytes = words[0].bytesValue, let state = words[1].string,
                let group = words[2].bytesValue, let total = words[3].int, let firing = words[4].int,
                let opened = Self.time(words[5]), let last = Self.time(words[6])
            else { throw garbage("storms") }
            var listed: [StormMember] = []
            if words.count == 9 {
                guard let members = StormReading.members(words[7].list ?? [], words[8].list ?? []) else {
                    throw garbage("storms")
                }
                listed = members
            }
            storms.append(
                StormView(
                    id: QueueMember(bytes).name, state: state, group: group, members: Int(total), firing: Int(firing),
                    opened: opened, last: last, listed: listed))
        }
        return storms
    }

    /// For each sink: `queued`, `dead-lettered` (among its newest dead letters) or `delivered`. Nil without a record.
    func whereabouts(_ fingerprint: [UInt8], _ sinks: [PluginID]) async throws(RedisError) -> [(PluginID, String)]? {
        var record = RedisCommand("EXISTS")
        record.add(Array("{\(scripts.prefix)}:r:".utf8) + fingerprint)
        guard try await store.send(record).int == 1 else { return nil }
        var found: [(PluginID, String)] = []
        for sink in sinks {
            var score = RedisCommand("ZSCORE", "{\(scripts.prefix)}:q:\(sink)")
            score.add(fingerprint)
            if try await !store.send(score).isNull {
                found.append((sink, "queued"))
                continue
            }
            var word = "delivered"
            for letter in try await letters(origin: "sink/\(sink)", most: 20).letters {
                var member = RedisCommand("HGET", "{\(scripts.prefix)}:l:\(letter.id)")
                member.add("member")
                if try await store.send(member).bytesValue == fingerprint { word = "dead-lettered" }
            }
            found.append((sink, word))
        }
        return found
    }

    // MARK: Queues

    /// Queues with something in them that none of `names` owns.
    func orphans(besides names: [PluginID]) async throws(RedisError) -> [(name: String, depth: Int)] {
        let owned = Set(names.map(\.description))
        return try await stats().queues.filter { !owned.contains($0.name) && $0.depth > 0 }.map { ($0.name, $0.depth) }
    }

    /// Forgets a queue. - Returns: what was in it.
    func dropQueue(_ name: String) async throws(RedisError) -> Int { try await empty(name, into: "") }

    /// Gives all that is in one queue to another sink; what is in both stays once. - Returns: what was in it.
    func moveQueue(_ name: String, to other: String) async throws(RedisError) -> Int {
        try await empty(name, into: other)
    }

    private func empty(_ name: String, into other: String) async throws(RedisError) -> Int {
        let reply = try await call(scripts.queues) {
            $0.add(name)
            $0.add(other)
        }
        guard let count = reply.int else { throw garbage("queues") }
        return Int(count)
    }
}
