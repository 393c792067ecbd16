import CRE2
import SignalKit

/// A regular expression in RE2's syntax, matched against the whole of a text.
final class Expression: @unchecked Sendable {  // SAFETY: set once; RE2 matches from any number of threads
    private let compiled: OpaquePointer

    /// - Throws: the reason, in RE2's words.
    init(_ text: String) throws(MatcherError) {
        var why = [CChar](repeating: 0, count: 200)
        var text = text
        let made = text.withUTF8 { bytes in
            // SAFETY: the pointers live through the call, which copies what it needs.
            bytes.withMemoryRebound(to: CChar.self) { cre2shim_compile($0.baseAddress, $0.count, &why, why.count) }
        }
        guard let made else {
            throw MatcherError(
                "not a regular expression: \(String(decoding: why.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))"
            )
        }
        compiled = made
    }

    deinit { cre2shim_free(compiled) }

    func matches(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            // SAFETY: the pointer lives through the call, which keeps nothing of it.
            bytes.withMemoryRebound(to: CChar.self) { cre2shim_matches(compiled, $0.baseAddress, $0.count) }
        }
    }
}

struct MatcherError: Error, Equatable {
    let message: String
    init(_ message: String) { self.message = message }
}

/// One condition on one label. A label that a signal does not have has the value "", as for Alertmanager.
struct Matcher: Sendable {
    enum Test: Sendable {
        case equal(String)
        case notEqual(String)
        case matches(Expression)
        case doesNotMatch(Expression)
    }
    let label: String
    let test: Test

    func accepts(_ labels: Labels) -> Bool {
        let value = labels[label] ?? ""
        return switch test {
        case .equal(let text): value == text
        case .notEqual(let text): value != text
        case .matches(let expression): expression.matches(value)
        case .doesNotMatch(let expression): !expression.matches(value)
        }
    }
}

/// Conditions that must all hold, as Alertmanager writes them: `alertname="Watchdog"`, `{team=~"a|b", severity!="page"}`.
///
/// Source: prometheus/alertmanager, pkg/labels/parse.go (0.25): `=`, `!=`, `=~`, `!~`; values quoted with `\"`, `\\` and
/// `\n`, or bare; expressions anchored at both ends.
struct Matchers: Sendable {
    let all: [Matcher]

    func accept(_ labels: Labels) -> Bool { all.allSatisfy { $0.accepts(labels) } }

    /// - Throws: `MatcherError`, with what was expected and where.
    init(_ text: String) throws(MatcherError) {
        var rest = Self.trimmed(Array(text.unicodeScalars)[...])
        if rest.first == "{" {
            guard rest.last == "}", rest.count > 1 else { throw MatcherError("{ without a } at the end") }
            rest = Self.trimmed(rest.dropFirst().dropLast())
        }
        if rest.last == "," { rest = rest.dropLast() }
        guard !rest.isEmpty else { throw MatcherError("no matcher; one looks like alertname=\"Watchdog\"") }
        var found: [Matcher] = []
        while true {
            found.append(try Self.matcher(&rest))
            guard let next = rest.first else { break }
            guard next == "," else {
                throw MatcherError(
                    "expected a comma or the end before \(String(String.UnicodeScalarView(rest.prefix(20))))")
            }
            rest = Self.trimmed(rest.dropFirst())
        }
        all = found
    }

    private typealias Scalars = ArraySlice<Unicode.Scalar>

    private static func trimmed(_ text: Scalars) -> Scalars {
        let head = text.drop { $0.properties.isWhitespace }
        return head.prefix(
            (head.lastIndex { !$0.properties.isWhitespace } ?? head.startIndex - 1) - head.startIndex + 1)
    }

    private static func matcher(_ rest: inout Scalars) throws(MatcherError) -> Matcher {
        let name = rest.prefix {
            $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || $0 == "_" || $0 == ":")
        }
        guard let first = name.first, !("0"..."9").contains(first) else {
            throw MatcherError(
                "expected a label name, which is made of letters, digits, _ and :, and starts with no digit")
        }
        let label = String(String.UnicodeScalarView(name))
        rest = rest.dropFirst(name.count).drop { $0.properties.isWhitespace }
        let operators = ["=~", "!~", "!=", "="]
        guard let found = operators.first(where: { rest.starts(with: $0.unicodeScalars) }) else {
            throw MatcherError("expected =, !=, =~ or !~ after \(label)")
        }
        rest = rest.dropFirst(found.count).drop { $0.properties.isWhitespace }
        let value = try value(&rest, label)
        rest = rest.drop { $0.properties.isWhitespace }
        switch found {
        case "=": return Matcher(label: label, test: .equal(value))
        case "!=": return Matcher(label: label, test: .notEqual(value))
        case "=~": return Matcher(label: label, test: .matches(try Expression(value)))
        default: return Matcher(label: label, test: .doesNotMatch(try Expression(value)))
        }
    }

    private static func value(_ rest: inout Scalars, _ label: String) throws(MatcherError) -> String {
        var text = String.UnicodeScalarView()
        guard rest.first == "\"" else {
            let bare = trimmed(rest.prefix { $0 != "," })
            guard !bare.contains("\"") else { throw MatcherError("a quote inside the bare value of \(label)") }
            rest = rest.drop { $0 != "," }
            return String(String.UnicodeScalarView(bare))
        }
        rest = rest.dropFirst()
        while let next = rest.popFirst() {
            switch next {
            case "\"": return String(text)
            case "\\":
                switch rest.popFirst() {
                case "n": text.append("\n")
                case "\"": text.append("\"")
                case "\\": text.append("\\")
                // As Alertmanager does: a backslash before anything else is itself, which spares expressions their doubling.
                case let other?: text.append(contentsOf: ["\\", other])
                case nil: break
                }
            default: text.append(next)
            }
        }
        throw MatcherError("the value of \(label) has no closing quote")
    }
}
