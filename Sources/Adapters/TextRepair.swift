import JSON

/// Makes of a JSON text what Alertmanager's reader makes of it: an escape that is one half of a surrogate pair (`\ud83d`, an
/// emoji cut in two) becomes U+FFFD. simdjson refuses it. Bytes that are no UTF-8 stay a fault.
///
/// Runs only on texts that were refused for such an escape. The replacement has the same length, so places stay the same.
private struct TextRepair {
    private(set) var bytes: [UInt8]

    /// Nil when `fault`, the place of the first fault, holds no such escape. What stands before it is sound.
    init?(_ text: [UInt8], fault: Int) {
        bytes = text
        guard let unit = unit(at: fault), (0xD800...0xDFFF).contains(unit) else { return nil }
        var place = fault
        while let next = bytes[place...].firstIndex(of: UInt8(ascii: "\\")) {
            place = next + repaired(next)
        }
    }

    /// Replaces the escape at `place` when it is half a pair.
    /// - Returns: how many bytes of the text it has.
    private mutating func repaired(_ place: Int) -> Int {
        guard let unit = unit(at: place), (0xD800...0xDFFF).contains(unit) else { return min(2, bytes.count - place) }
        if unit <= 0xDBFF, let second = self.unit(at: place + 6), (0xDC00...0xDFFF).contains(second) { return 12 }
        bytes.replaceSubrange(place..<place + 6, with: #"\ufffd"#.utf8)
        return 6
    }

    /// The value of `\u` and four digits, nil when none stands there.
    private func unit(at place: Int) -> Int? {
        guard place + 6 <= bytes.count, bytes[place] == UInt8(ascii: "\\"), bytes[place + 1] == UInt8(ascii: "u") else {
            return nil
        }
        var value = 0
        for byte in bytes[place + 2..<place + 6] {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | Int(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | Int(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | Int(byte - UInt8(ascii: "A") + 10)
            default: return nil
            }
        }
        return value
    }
}

extension JSONDocument {
    /// Parses a text; an escape that is half a surrogate pair reads as U+FFFD.
    static func lenient(_ text: [UInt8], maxDepth: Int) throws(JSONError) -> JSONDocument {
        do {
            return try parse(text, maxDepth: maxDepth)
        } catch {
            guard error.code == .malformed, let fault = error.offset, let repair = TextRepair(text, fault: fault) else {
                throw error
            }
            return try parse(repair.bytes, maxDepth: maxDepth)
        }
    }
}
