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

    /// - Throws: when the value should be an expression and is none.
    init(_ text: MatcherText) throws(MatcherError) {
        label = text.label
        test =
            switch text.comparison {
            case .equal: .equal(text.value)
            case .notEqual: .notEqual(text.value)
            case .matches: .matches(try Expression(text.value))
            case .doesNotMatch: .doesNotMatch(try Expression(text.value))
            }
    }

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

/// A matcher as it is written, its quotes and escapes read.
struct MatcherText: Sendable, Equatable {
    enum Comparison: String, Sendable {
        case equal = "="
        case notEqual = "!="
        case matches = "=~"
        case doesNotMatch = "!~"
    }
    let label: String
    let comparison: Comparison
    let value: String
}

/// Conditions that must all hold, as Alertmanager writes them: `alertname="Watchdog"`, `{"service.name"="x", severity!="page"}`.
///
/// Source: prometheus/alertmanager, matcher/compat/parse.go (0.27): the syntax with UTF-8 names, and the classic one where the text is not
/// in it, or where the two read it differently.
struct Matchers: Sendable {
    let all: [Matcher]

    func accept(_ labels: Labels) -> Bool { all.allSatisfy { $0.accepts(labels) } }

    /// - Throws: `MatcherError`, with what was expected and where.
    init(_ text: String) throws(MatcherError) {
        let texts = try Self.texts(text)
        // For Alertmanager that is a list which everything fits; in a filter it would be a mistake.
        guard !texts.isEmpty else { throw MatcherError("no matcher; one looks like alertname=\"Watchdog\"") }
        var found: [Matcher] = []
        for text in texts { found.append(try Matcher(text)) }
        all = found
    }

    private static func texts(_ text: String) throws(MatcherError) -> [MatcherText] {
        let classic = try? ClassicMatcherSyntax.read(text)
        do throws(MatcherError) {
            let present = try MatcherSyntax.read(text)
            return classic ?? present
        } catch {
            guard let classic else { throw error }
            return classic
        }
    }
}
