/// RFC 4648, section 4, strictly; white space of a folded line is skipped.
enum Base64 {
    /// Nil when it is anything else.
    static func decoded(_ text: String) -> [UInt8]? {
        var out: [UInt8] = []
        var (bits, held, count, padding) = (UInt32(0), 0, 0, 0)
        for byte in text.utf8 where !" \n\r\t".utf8.contains(byte) {
            count += 1
            if byte == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            guard padding == 0, let value = value(byte) else { return nil }
            bits = bits << 6 | UInt32(value)
            held += 6
            if held >= 8 {
                held -= 8
                out.append(UInt8(truncatingIfNeeded: bits >> UInt32(held)))
            }
        }
        guard count % 4 == 0, padding <= 2, padding * 2 == held, bits & (1 << UInt32(held) - 1) == 0 else { return nil }
        return out
    }

    private static func value(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
