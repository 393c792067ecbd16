import SignalKit
import Testing

@testable import Policies

/// Matchers as Alertmanager writes them.
@Suite struct MatchersTests {
    private func accepts(_ text: String, _ labels: (String, String)...) throws -> Bool {
        try Matchers(text).accept(try Labels(labels.map { .init($0.0, $0.1) }))
    }

    @Test func theFourOperators() throws {
        #expect(try accepts(#"a="x""#, ("a", "x")))
        #expect(try !accepts(#"a="x""#, ("a", "y")))
        #expect(try accepts(#"a!="x""#, ("a", "y")))
        #expect(try !accepts(#"a!="x""#, ("a", "x")))
        #expect(try accepts(#"a=~"x|y.*""#, ("a", "yes")))
        #expect(try !accepts(#"a=~"x|y.*""#, ("a", "no")))
        #expect(try accepts(#"a!~"x|y.*""#, ("a", "no")))
        #expect(try !accepts(#"a!~"x|y.*""#, ("a", "x")))
    }

    @Test func anExpressionMatchesTheWholeValue() throws {
        #expect(try !accepts(#"a=~"es""#, ("a", "yes")))
        #expect(try accepts(#"a=~".*es""#, ("a", "yes")))
        #expect(try accepts(#"a=~"x.y""#, ("a", "x\ny")))
    }

    @Test func aMissingLabelIsEmpty() throws {
        #expect(try accepts(#"a="""#, ("b", "x")))
        #expect(try accepts(#"a!="x""#, ("b", "x")))
        #expect(try !accepts(#"a=~".+""#, ("b", "x")))
    }

    @Test func allMatchersOfAListMustHold() throws {
        let text = #"{alertname="Watchdog", severity=~"none|info",}"#
        #expect(try accepts(text, ("alertname", "Watchdog"), ("severity", "none")))
        #expect(try !accepts(text, ("alertname", "Watchdog"), ("severity", "page")))
    }

    @Test func quotingIsAlertmanagers() throws {
        #expect(try accepts(#"a="x\"y\\z\n""#, ("a", "x\"y\\z\n")))
        #expect(try accepts(#"a="x,y", b="}""#, ("a", "x,y"), ("b", "}")))
        #expect(try accepts(#"a = bare , b=c"#, ("a", "bare"), ("b", "c")))
        #expect(try accepts(#"a=~"\d+""#, ("a", "12")))
        #expect(try accepts(#"a="ü""#, ("a", "ü")))
    }

    @Test(arguments: [
        "", "{}", "{", "}", ",", "{,}", "a", "=x", #"a=~"(""#, #"a="x"#, #"a="x" b="y""#, #"a="x"y"#, #"a=x"y"#,
        #"a!"x""#,
        #""a"="\q""#, #""a"="\xff""#, #""a"="\u12""#, #""a"="\ud800""#, #""a"="\400""#, #""a"="\'""#, #"{"a"="x"#,
        #"{"a"="x""#,
        #""a"="x"}"#, #"{{"a"="x"}}"#, #"{"a"="x"} "b"="y""#, #""a"="x",,"b"="y""#, #"'a'='x'"#, #""a"~"x""#,
        #""a b"= c d"#,
        "\"a\"=\"x\ny\"", "b.c=x{y",
    ])
    func whatIsNoMatcherIsAnErrorWithWords(_ text: String) {
        let error = #expect(throws: MatcherError.self) { try Matchers(text) }
        #expect(error?.message.isEmpty == false)
    }

    @Test func anExpressionThatWouldTakeForEverTakesNoTime() throws {
        // Linear in its input: what a backtracking engine never finishes.
        let text = String(repeating: "a", count: 16_000) + "!"
        #expect(try !accepts(#"a=~"(a*)*b""#, ("a", text)))
    }
}

@Suite struct FilterTests {
    private func filter(drop: [String] = [], keep: [String] = []) throws -> (Filter, [ConfigError]) {
        let mark = ConfigMark(line: 1, column: 1)
        func list(_ key: String, _ texts: [String]) -> ConfigNode.Entry {
            .init(
                key: key, mark: mark,
                value: ConfigNode(.list(texts.map { ConfigNode(.scalar($0, plain: false), mark: mark) }), mark: mark))
        }
        var reader = ConfigReader(
            ConfigNode(.map([list("drop", drop), list("keep", keep)]), mark: mark), path: "policies[0]")
        let filter = try Filter(&reader, .silent)
        return (filter, reader.errors)
    }

    private func decide(_ filter: Filter, _ name: String) async throws -> PolicyDecision {
        let signal = try Signal(
            identity: Identity(family: "alert", fields: [.init("alertname", name)]), name: name, status: .firing,
            labels: Labels([.init("alertname", name)]))
        return try await filter.evaluate(
            signal, PolicyContext(adapter: "alertmanager", receivedAt: Timestamp(milliseconds: 0)))
    }

    @Test func whatMatchesDropIsFiltered() async throws {
        let (filter, errors) = try filter(drop: [#"alertname="Watchdog""#, #"alertname=~"Info.*""#])
        #expect(errors.isEmpty)
        guard case .filter(let reason) = try await decide(filter, "InfoInhibitor") else {
            Issue.record("not filtered")
            return
        }
        #expect(reason.contains("Info"))
        #expect(try await decide(filter, "NodeDown") == .pass)
    }

    @Test func withKeepOnlyWhatMatchesPasses() async throws {
        let (filter, _) = try filter(drop: [#"alertname="NodeDown2""#], keep: [#"alertname=~"Node.*""#])
        #expect(try await decide(filter, "NodeDown") == .pass)
        #expect(try await decide(filter, "NodeDown2") != .pass)
        #expect(try await decide(filter, "PodDown") != .pass)
    }

    @Test func aBadMatcherIsAnErrorOfTheFile() throws {
        let (_, errors) = try filter(drop: [#"alertname=~"(""#, "fine=x", "="])
        #expect(errors.count == 2)
        #expect(errors.allSatisfy { $0.path == "policies[0].drop" })
    }

    @Test func aFilterOfNothingIsAnError() throws {
        #expect(try filter().1.count == 1)
    }
}
