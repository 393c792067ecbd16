package import Crypto

/// SHA-256 over texts, each behind its length (8 bytes, little-endian), so that no two lists of texts share a byte
/// string: joined with a separator, {a: "b,c=d"} and {a: "b", c: "d"} would.
package struct TextDigest {
    // One call of the hash for all: dozens of small ones cost more than what they hash.
    private var bytes: [UInt8] = []

    package init(reserving capacity: Int = 512) { bytes.reserveCapacity(capacity) }

    package mutating func add(_ text: String) {
        var length = UInt64(text.utf8.count)
        for _ in 0..<8 {
            bytes.append(UInt8(truncatingIfNeeded: length))
            length >>= 8
        }
        bytes.append(contentsOf: text.utf8)
    }

    package func finalize() -> SHA256Digest { SHA256.hash(data: bytes) }
}
