import Crypto
import Policies
import SignalKit

/// SHA-256 over an identity: 32 bytes.
struct Fingerprint: Hashable, Sendable, CustomStringConvertible {
    /// In four words, so that it is no object of its own: there is one for each signal, and each is copied often.
    private let words: (UInt64, UInt64, UInt64, UInt64)

    init(_ identity: Identity) {
        var digest = TextDigest()
        digest.add(identity.family)
        for field in identity.fields {
            digest.add(field.name)
            digest.add(field.value)
        }
        words = digest.finalize().withUnsafeBytes(Self.words)
    }

    /// Nil unless there are 32 bytes.
    init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        words = Array(bytes).withUnsafeBytes(Self.words)
    }

    // SAFETY: read here and not kept; both callers have 32 bytes.
    private static func words(_ bytes: UnsafeRawBufferPointer) -> (UInt64, UInt64, UInt64, UInt64) {
        func word(_ place: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: place * 8, as: UInt64.self) }
        return (word(0), word(1), word(2), word(3))
    }

    static func == (left: Fingerprint, right: Fingerprint) -> Bool { left.words == right.words }

    /// It is a hash already; any of its words is as good as all.
    func hash(into hasher: inout Hasher) { hasher.combine(words.0) }

    /// A part of it: what tells most of them apart.
    var mark: UInt64 { words.1 }

    /// Of `count` places, a power of two, the one that is its own.
    func place(of count: Int) -> Int { Int(truncatingIfNeeded: words.2) & (count - 1) }

    var bytes: [UInt8] {
        // SAFETY: the pointer does not leave the closure.
        withUnsafeBytes(of: words) { Array($0) }
    }

    func append(to out: inout [UInt8]) {
        // SAFETY: as above.
        withUnsafeBytes(of: words) { out.append(contentsOf: $0) }
    }

    /// 64 lower-case hex digits.
    var description: String {
        // SAFETY: as above.
        withUnsafeBytes(of: words) { Hex.text($0) }
    }
}

enum Hex {
    static func text(_ bytes: some Collection<UInt8>) -> String {
        String(unsafeUninitializedCapacity: bytes.count * 2) { out in  // SAFETY: as long as is written
            var place = 0
            for byte in bytes {
                out[place] = digit(byte >> 4)
                out[place + 1] = digit(byte & 15)
                place += 2
            }
            return place
        }
    }

    /// - Parameter value: 0 to 15.
    static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") - 10 + value
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
