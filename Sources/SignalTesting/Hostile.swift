/// Bodies that no honest sender posts. Always the same ones: a test that fails must fail again.
enum Hostile {
    static let quote = UInt8(ascii: "\"")

    // MARK: Texts in a body

    /// A quoted text, quotes included.
    struct Token {
        let range: Range<Int>
        /// A colon follows it.
        let isKey: Bool
    }

    /// The quoted texts of a body, in order. Works on anything that quotes as JSON does.
    static func strings(of body: [UInt8]) -> [Token] {
        var tokens: [Token] = []
        var place = 0
        while let start = body[place...].firstIndex(of: quote) {
            var end = start + 1
            while end < body.count, body[end] != quote { end += body[end] == UInt8(ascii: "\\") ? 2 : 1 }
            guard end < body.count else { break }
            let next = body[(end + 1)...].first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
            tokens.append(Token(range: start..<(end + 1), isKey: next == UInt8(ascii: ":")))
            place = end + 1
        }
        return tokens
    }

    static func replacing(_ token: Token, of body: [UInt8], with value: [UInt8]) -> [UInt8] {
        Array(body[..<token.range.lowerBound]) + value + Array(body[token.range.upperBound...])
    }

    // MARK: Secrets

    static let secretText = "PLANTED-SECRET-7b1e"
    static let secret = Array(secretText.utf8)
    static let quotedSecret = Array("\"\(secretText)\"".utf8)

    /// What a value is replaced with: as it should be, of the wrong type, and no JSON at all.
    static let secretValues: [[UInt8]] = [
        quotedSecret, Array("[\"\(secretText)\"]".utf8), Array("{\"a\":\"\(secretText)\"}".utf8), secret,
        Array("\"\(secretText)\\x\"".utf8), Array("\"\(secretText)".utf8) + [0xFF, quote],
    ]

    /// The beginning of the secret is enough: a message may have been cut.
    static func betrays(_ text: String) -> Bool { text.uppercased().contains("PLANTED") }

    // MARK: Values

    /// Well-formed values that are mostly of the wrong type.
    static let values: [[UInt8]] = [
        "null", "true", "0", "-1", "1e400", "18446744073709551616", "[]", "{}", "[null]", #""""#, #""\u0000""#,
        #""\ud83d\ude00""#,
    ].map { Array($0.utf8) }

    // MARK: Depth

    private static func nested(_ depth: Int, _ open: String, _ close: String, _ inside: String = "") -> [UInt8] {
        Array((String(repeating: open, count: depth) + inside + String(repeating: close, count: depth)).utf8)
    }

    static let deepValue = nested(300, "[", "]")
    static let deep: [[UInt8]] = [
        deepValue, nested(300, #"{"a":"#, "}", "1"), nested(100_000, "[", "]"), nested(100_000, "[", ""),
        nested(100_000, #"{"a":"#, ""), nested(100_000, #"[{"a":"#, "}]", "1"),
    ]

    // MARK: Garbage

    /// Well-formed, and no document of anybody's.
    static let foreign: [[UInt8]] = [
        "{}", "[]", "null", "true", "17", "-1.5e3", #""text""#, "[[]]", "[{}]", "[null]", #"{"a":1}"#,
        #"{"alerts":{}}"#, #"[{"labels":{}}]"#,
    ].map { Array($0.utf8) }

    static let garbage: [[UInt8]] = {
        var bodies: [[UInt8]] = [
            "", " ", "\n", "nul", "{", "}", "[", "]", "\"", "{\"a\":}", "{'a':1}", "[1,]", "{,}", "<alerts/>",
            "alerts: []", "%7B%7D", "NaN",
        ].map { Array($0.utf8) }
        bodies.append([UInt8](repeating: 0, count: 65_536))
        bodies.append([0xFF, 0xFE, 0x00])
        bodies.append([0x1F, 0x8B, 0x08, 0x00])
        bodies.append([quote, 0xC3, 0x28, quote])
        bodies.append([quote, 0xED, 0xA0, 0x80, quote])
        var random = SplitMix(state: 0x5163_6E61_6C4B_6974)
        for length in 1...64 {
            // The first byte is none that begins a JSON text, or a one-byte body could be a number.
            bodies.append([0x80] + (0..<(length * 8)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
        }
        return bodies
    }()

    /// Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014.
    private struct SplitMix: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }
}
