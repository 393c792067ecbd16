import Glibc
import SignalKit

/// What the file last said of each fingerprint, as far as it was asked: bounded, and learnt from the file when in doubt.
struct LineHistory {
    private struct State {
        var episode: Int64
        var version: Int64
    }
    /// 128 bits of a keyed hash stand for a fingerprint's text: that of a problem is 64 bytes, and there are many.
    private struct Key: Hashable {
        private let high: Int
        private let low: Int

        init(_ fingerprint: String) {
            func hash(_ salt: UInt8) -> Int {
                var hasher = Hasher()
                hasher.combine(salt)
                hasher.combine(fingerprint)
                return hasher.finalize()
            }
            (high, low) = (hash(0), hash(1))
        }
    }
    /// Nil: the files say nothing of it.
    private var states: [Key: State?] = [:]
    /// Fingerprints; past it everything is forgotten and learnt anew.
    private let most: Int
    /// About 6 MB.
    static let usual = 100_000

    init(most: Int = usual) { self.most = most }

    /// To be called between batches: what is forgotten in the middle of one can't be learnt any more.
    mutating func makeRoom(for count: Int) {
        if states.count + count > most { states = [:] }
    }

    func knows(_ fingerprint: String) -> Bool { states[Key(fingerprint)] != nil }

    /// False for what the file has already, for what is older than that, and for the end of something that it never held.
    func wants(_ delivery: Delivery) -> Bool {
        guard let known = states[Key(delivery.fingerprint)] ?? nil else { return delivery.episode > 0 }
        if delivery.episode == 0 { return delivery.version > known.version }
        return (delivery.episode, delivery.version) > (known.episode, known.version)
    }

    mutating func note(_ delivery: Delivery) {
        let key = Key(delivery.fingerprint)
        let known = states[key] ?? nil
        states[key] = State(
            episode: max(delivery.episode, known?.episode ?? 0), version: delivery.version)
    }

    /// Reads what the files, oldest first, last said of each.
    mutating func learn(of fingerprints: Set<String>, from paths: [String]) throws(SinkError) {
        for fingerprint in fingerprints { states[Key(fingerprint)] = .some(nil) }
        for path in paths {
            try Self.ids(in: path) { id in
                // <fingerprint>-<episode>-<version>; a storm's fingerprint holds a dash of its own
                let parts = id.split(separator: "-")
                guard parts.count >= 3, let version = Int64(parts[parts.count - 1]),
                    let episode = Int64(parts[parts.count - 2])
                else { return }
                let fingerprint = parts.dropLast(2).joined(separator: "-")
                guard fingerprints.contains(fingerprint) else { return }
                let key = Key(fingerprint)
                let known = states[key] ?? nil
                states[key] = State(
                    episode: max(episode, known?.episode ?? 0), version: max(version, known?.version ?? 0))
            }
        }
    }

    private static let prefix = Array(#"{"id":""#.utf8)

    /// Calls `body` with the id of every line that starts with one.
    private static func ids(in path: String, _ body: (String) -> Void) throws(SinkError) {
        guard let stream = fopen(path, "re") else {
            guard errno == ENOENT else {
                throw SinkError(
                    wholeSink: .unreachable, "can't read \(path): \(String(cString: strerror(errno)))")
            }
            return
        }
        var line: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer {
            free(line)
            fclose(stream)
        }
        while true {
            let count = getline(&line, &capacity, stream)
            guard count > 0, let line else { break }
            // SAFETY: getline has filled `count` bytes.
            let bytes = UnsafeRawBufferPointer(start: line, count: count)
            guard bytes.starts(with: prefix) else { continue }
            let id = bytes.dropFirst(prefix.count).prefix { $0 != UInt8(ascii: "\"") }
            body(String(decoding: id, as: UTF8.self))
        }
        guard ferror(stream) == 0 else {
            throw SinkError(wholeSink: .unreachable, "can't read \(path)")
        }
    }
}
