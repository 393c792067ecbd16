import Crypto
import SignalKit

/// SHA-256 over an identity: 32 bytes.
struct Fingerprint: Hashable, Sendable, CustomStringConvertible {
    let bytes: [UInt8]

    /// Every part is preceded by its length (8 bytes, little-endian), so that no two identities share a byte
    /// string: joined with a separator, {a: "b,c=d"} and {a: "b", c: "d"} would.
    init(_ identity: Identity) {
        // One call of the hash for all: each has a price of its own.
        var parts: [UInt8] = []
        parts.reserveCapacity(512)
        func add(_ text: String, to parts: inout [UInt8]) {
            withUnsafeBytes(of: UInt64(text.utf8.count).littleEndian) { parts.append(contentsOf: $0) }
            parts.append(contentsOf: text.utf8)
        }
        add(identity.family, to: &parts)
        for field in identity.fields {
            add(field.name, to: &parts)
            add(field.value, to: &parts)
        }
        bytes = SHA256.hash(data: parts).withUnsafeBytes { Array($0) }
    }

    /// Its bytes are as good as random already, and eight of them tell any two apart that are not looked for.
    func hash(into hasher: inout Hasher) {
        bytes.withUnsafeBytes { hasher.combine($0.loadUnaligned(as: UInt64.self)) }
    }

    /// Nil unless there are 32 bytes.
    init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        self.bytes = Array(bytes)
    }

    /// 64 lower-case hex digits.
    var description: String { Hex.text(bytes) }
}

enum Hex {
    static func text(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var out: [UInt8] = []
        for byte in bytes {
            out.append(digits[Int(byte >> 4)])
            out.append(digits[Int(byte & 15)])
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Nil when `text` is not an even number of hex digits.
    static func bytes(_ text: String) -> [UInt8]? {
        let digits = text.utf8.map { Character(Unicode.Scalar($0)).hexDigitValue }
        guard digits.count.isMultiple(of: 2) else { return nil }
        var out: [UInt8] = []
        for place in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digits[place], let low = digits[place + 1] else { return nil }
            out.append(UInt8(high << 4 | low))
        }
        return out
    }
}
