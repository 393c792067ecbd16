import JSON
import SignalKit
import Synchronization

/// The groups that signals were of lately, so that what the store is told of one is made once and not for every signal.
final class StormGroups: Sendable {
    struct Group: Sendable {
        /// The first 16 bytes of a SHA-256 over names and values.
        let key: [UInt8]
        /// `{"name":"HighLoad","namespace":"shop"}`
        let json: [UInt8]
    }

    /// Kept at most; then all are forgotten and made again.
    private static let most = 1_024
    /// By the bytes of the values: texts that Unicode takes for equal are not the same group.
    private let known = Mutex<[[UInt8]: Group]>([:])

    /// - Parameter names: the same at every call.
    func group(_ names: [String], _ values: [String]) -> Group {
        var key: [UInt8] = []
        for value in values {
            key.append(contentsOf: value.utf8)
            // No text holds it.
            key.append(0xFF)
        }
        if let group = known.withLock({ $0[key] }) { return group }
        var digest = TextDigest(reserving: 128)
        var json = JSONWriter(reserving: 64)
        json.beginObject()
        for (name, value) in zip(names, values) {
            digest.add(name)
            digest.add(value)
            json.member(name, value)
        }
        json.endObject()
        let group = Group(key: Array(digest.finalize().prefix(16)), json: json.bytes)
        // Values may be of kilobytes; those that are not worth keeping are not kept.
        guard json.bytes.count <= 512 else { return group }
        known.withLock { known in
            if known.count >= Self.most { known = [:] }
            known[key] = group
        }
        return group
    }

    /// Eight bytes that stand for a target among those of its group: FNV-1a over its texts, each with its end. It counts different
    /// targets and decides about nothing else.
    static func mark(_ target: Target) -> [UInt8] {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func add(_ text: String) {
            for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            // No text holds it.
            hash = (hash ^ 0xFF) &* 0x100_0000_01B3
        }
        add(target.kind)
        add(target.namespace ?? "")
        add(target.name)
        return (0..<8).map { UInt8(truncatingIfNeeded: hash >> (8 * $0)) }
    }
}
