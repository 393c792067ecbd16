/// The syntax of matchers before Alertmanager 0.27, which it still falls back to: names of ASCII, values with any bare character but a
/// comma, and a backslash that is itself before all but `n`, `"` and `\`.
///
/// Source: prometheus/alertmanager, pkg/labels/parse.go.
enum ClassicMatcherSyntax {
    /// - Throws: `MatcherError` with the part that is no matcher.
    static func read(_ text: String) throws(MatcherError) -> [MatcherText] {
        var bytes = Array(text.utf8)[...]
        // Each brace is optional.
        if bytes.first == UInt8(ascii: "{") { bytes.removeFirst() }
        if bytes.last == UInt8(ascii: "}") { bytes.removeLast() }
        var found: [MatcherText] = []
        for part in parts(of: bytes) { found.append(try matcher(part)) }
        return found
    }

    private typealias Bytes = ArraySlice<UInt8>

    /// Parts between commas that are outside of quotes.
    private static func parts(of bytes: Bytes) -> [Bytes] {
        var parts: [Bytes] = []
        var start = bytes.startIndex
        var (isQuoted, isEscaped) = (false, false)
        for (place, byte) in zip(bytes.indices, bytes) {
            switch byte {
            case UInt8(ascii: ","):
                guard !isQuoted else { break }
                parts.append(bytes[start..<place])
                start = place + 1
            case UInt8(ascii: "\""):
                if !isEscaped { isQuoted.toggle() }
                isEscaped = false
            case UInt8(ascii: "\\"): isEscaped.toggle()
            default: isEscaped = false
            }
        }
        // A comma may stand at the end.
        let rest = trimmed(bytes[start...], Unicode.Scalar.isSpace)
        return rest.isEmpty ? parts : parts + [rest]
    }

    private static func matcher(_ part: Bytes) throws(MatcherError) -> MatcherText {
        let bad = MatcherError("not a matcher: \(String(decoding: part.prefix(100), as: UTF8.self))")
        var rest = trimmed(part, Unicode.Scalar.isASCIISpace)
        let label = rest.prefix(while: isOfName)
        guard let first = label.first, !isDigit(first) else { throw bad }
        rest = trimmed(rest.dropFirst(label.count), Unicode.Scalar.isASCIISpace)
        let known = [MatcherText.Comparison.matches, .equal, .notEqual, .doesNotMatch]
        guard let comparison = known.first(where: { rest.starts(with: $0.rawValue.utf8) }) else { throw bad }
        rest = trimmed(rest.dropFirst(comparison.rawValue.utf8.count), Unicode.Scalar.isASCIISpace)
        guard let value = value(rest) else { throw bad }
        return MatcherText(label: String(decoding: label, as: UTF8.self), comparison: comparison, value: value)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isOfName(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || isDigit(byte)
            || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ":")
    }

    /// Nil when a quote stands where it can't.
    private static func value(_ raw: Bytes) -> String? {
        var isOpen = raw.first == UInt8(ascii: "\"")
        let raw = isOpen ? raw.dropFirst() : raw
        var value: [UInt8] = []
        var isEscaped = false
        for (place, byte) in zip(raw.indices, raw) {
            let isLast = place == raw.endIndex - 1
            if isEscaped {
                isEscaped = false
                switch byte {
                case UInt8(ascii: "n"): value.append(UInt8(ascii: "\n"))
                case UInt8(ascii: "\""), UInt8(ascii: "\\"): value.append(byte)
                default: value += [UInt8(ascii: "\\"), byte]
                }
            } else if byte == UInt8(ascii: "\\"), !isLast {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                guard isOpen, isLast else { return nil }
                isOpen = false
            } else {
                value.append(byte)
            }
        }
        return isOpen ? nil : String(decoding: value, as: UTF8.self)
    }

    private static func trimmed(_ bytes: Bytes, _ isSpace: (Unicode.Scalar) -> Bool) -> Bytes {
        let text = String(decoding: bytes, as: UTF8.self).unicodeScalars
        let head = text.prefix(while: isSpace).reduce(0) { $0 + UTF8.width($1) }
        guard head < bytes.count else { return bytes.suffix(0) }
        let tail = text.reversed().prefix(while: isSpace).reduce(0) { $0 + UTF8.width($1) }
        return bytes.dropFirst(head).dropLast(tail)
    }
}

extension Unicode.Scalar {
    fileprivate static func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace }
    /// As `\s` of a Go expression.
    fileprivate static func isASCIISpace(_ scalar: Unicode.Scalar) -> Bool {
        "\t\n\u{c}\r ".unicodeScalars.contains(scalar)
    }
}
