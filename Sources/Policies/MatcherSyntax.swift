/// The syntax of matchers since Alertmanager 0.27: names and values are quoted as in Go, or bare without the characters that
/// mean something.
///
/// Source: prometheus/alertmanager, matcher/parse (0.27).
struct MatcherSyntax {
    private enum Token: Equatable {
        case open, close, comma
        case comparison(MatcherText.Comparison)
        case text(String)
    }

    private let scalars: [Unicode.Scalar]
    private var place = 0

    /// - Throws: `MatcherError`, with what was expected and where.
    static func read(_ text: String) throws(MatcherError) -> [MatcherText] {
        var syntax = MatcherSyntax(scalars: Array(text.unicodeScalars))
        return try syntax.matchers()
    }

    private init(scalars: [Unicode.Scalar]) { self.scalars = scalars }

    private mutating func matchers() throws(MatcherError) -> [MatcherText] {
        var token = try next()
        let isInBraces = token == .open
        if isInBraces { token = try next() }
        var found: [MatcherText] = []
        while let start = token, start != .close {
            guard case .text(let label) = start else { throw expected("a label name, bare or in quotes") }
            guard case .comparison(let comparison) = try next() else {
                throw expected("=, !=, =~ or !~ after \(label)")
            }
            guard case .text(let value) = try next() else { throw expected("a value of \(label), bare or in quotes") }
            found.append(MatcherText(label: label, comparison: comparison, value: value))
            token = try next()
            switch token {
            case .comma: token = try next()
            case .close, nil: break
            default: throw expected("a comma or the end after the value of \(label); quote a value that holds more")
            }
        }
        guard (token == .close) == isInBraces else { throw expected(isInBraces ? "a }" : "a { before the }") }
        if token == .close { token = try next() }
        guard token == nil else { throw expected("the end after the }") }
        return found
    }

    private func expected(_ what: String) -> MatcherError { MatcherError("expected \(what) (at character \(place))") }

    // MARK: Tokens

    /// Nil at the end.
    private mutating func next() throws(MatcherError) -> Token? {
        while place < scalars.count, scalars[place].properties.isWhitespace { place += 1 }
        guard place < scalars.count else { return nil }
        let first = scalars[place]
        switch first {
        case "{", "}", ",":
            place += 1
            return first == "{" ? .open : first == "}" ? .close : .comma
        case "=", "!": return .comparison(try comparison())
        case "\"": return .text(try quoted())
        case _ where Self.isReserved(first):
            place += 1
            throw MatcherError("\(first) has to stand in quotes (at character \(place))")
        default:
            let start = place
            while place < scalars.count, !Self.isReserved(scalars[place]) { place += 1 }
            return .text(Self.string(scalars[start..<place]))
        }
    }

    private static func isReserved(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || "{}!=~,\\\"'`".unicodeScalars.contains(scalar)
    }

    private static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        return String(view)
    }

    private mutating func comparison() throws(MatcherError) -> MatcherText.Comparison {
        let two = scalars[place...].prefix(2)
        for comparison in [MatcherText.Comparison.notEqual, .matches, .doesNotMatch, .equal]
        where two.starts(with: comparison.rawValue.unicodeScalars) {
            place += comparison.rawValue.unicodeScalars.count
            return comparison
        }
        place += 1
        throw expected("= or ~ after the !")
    }

    // MARK: Quotes, as strconv.Unquote of Go reads them

    private mutating func quoted() throws(MatcherError) -> String {
        place += 1
        var bytes: [UInt8] = []
        while place < scalars.count {
            let scalar = scalars[place]
            place += 1
            switch scalar {
            case "\"":
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    throw MatcherError("the escapes before character \(place) are not UTF-8")
                }
                return text
            case "\n": throw MatcherError("a line break in quotes is written \\n (at character \(place))")
            case "\\": try escape(into: &bytes)
            default: bytes += UTF8.encode(scalar)!
            }
        }
        throw MatcherError("a quote without its end")
    }

    private mutating func escape(into bytes: inout [UInt8]) throws(MatcherError) {
        guard place < scalars.count else { throw MatcherError("a quote without its end") }
        let scalar = scalars[place]
        place += 1
        switch scalar {
        case "x": bytes.append(UInt8(try number(2, radix: 16)))
        case "u", "U":
            guard let scalar = Unicode.Scalar(try number(scalar == "u" ? 4 : 8, radix: 16)) else { throw badEscape }
            bytes += UTF8.encode(scalar)!
        case "0"..."7":
            place -= 1
            guard let byte = UInt8(exactly: try number(3, radix: 8)) else { throw badEscape }
            bytes.append(byte)
        default:
            guard let byte = Self.escapes[scalar] else { throw badEscape }
            bytes.append(byte)
        }
    }

    private static let escapes: [Unicode.Scalar: UInt8] = [
        "a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "\"": 0x22, "\\": 0x5c,
    ]

    private mutating func number(_ count: Int, radix: Int) throws(MatcherError) -> UInt32 {
        let digits = scalars[place...].prefix(count)
        let isHex = digits.allSatisfy { $0.isASCII && $0.properties.isASCIIHexDigit }
        guard digits.count == count, isHex, let value = UInt32(Self.string(digits), radix: radix) else {
            throw badEscape
        }
        place += count
        return value
    }

    private var badEscape: MatcherError {
        MatcherError("an escape that does not exist (at character \(place)); a backslash itself is written \\\\")
    }
}
