import SignalKit
import TestSupport
import Testing

@testable import Policies

/// Matchers in both of Alertmanager's syntaxes.
@Suite struct MatcherSyntaxTests {
    private func accepts(_ text: String, _ labels: [(String, String)]) throws -> Bool {
        try Matchers(text).accept(try Labels(labels.map { .init($0.0, $0.1) }))
    }

    private static let inUTF8: [(text: String, label: String, value: String)] = [
        (#"{"service.name"="x"}"#, "service.name", "x"),
        (#""service.name"="x""#, "service.name", "x"),
        (#"{"service.name"="x",}"#, "service.name", "x"),
        (#"  { "service.name"  =  "x" , } "#, "service.name", "x"),
        (#"service.name=x"#, "service.name", "x"),
        (#"{k8s-app=~x|y}"#, "k8s-app", "y"),
        (#"{"a b"=c}"#, "a b", "c"),
        (#"1a="x""#, "1a", "x"),
        (#"ü=ä"#, "ü", "ä"),
        (#"{🙂=🙂}"#, "🙂", "🙂"),
        (#"{"foo.bar"="\xf0\x9f\x99\x82"}"#, "foo.bar", "🙂"),
        (#"{"foo.bar"="\U0001f642"}"#, "foo.bar", "🙂"),
        (#"{"foo.bar"="\u00fc\t\n\"\\\a\101"}"#, "foo.bar", "ü\t\n\"\\\u{7}A"),
        (#"{"a\"b"="x"}"#, #"a"b"#, "x"),
        (#"{"a,b"="c,d}"}"#, "a,b", "c,d}"),
        (#"{"service.name"!="y"}"#, "service.name", "x"),
        (#"{"service.name"=~"x.*"}"#, "service.name", "xyz"),
        (#"{"service.name"!~"y.*"}"#, "service.name", "x"),
        (#"{"service.name"="x", a="b"}"#, "service.name", "x"),
        (#"{"service.name"=""}"#, "other", "x"),
    ]

    @Test(arguments: inUTF8)
    func theSyntaxWithUTF8NamesIsRead(_ text: String, _ label: String, _ value: String) throws {
        #expect(try accepts(text, [(label, value), ("a", "b")].filter { $0.0 != "a" || label != "a" }))
    }

    @Test func whereBothSyntaxesReadATextTheClassicOneCounts() throws {
        // `\t` is a tab in the one, and itself in the other.
        #expect(try accepts(#"a="x\ty""#, [("a", #"x\ty"#)]))
        #expect(try !accepts(#"a="x\ty""#, [("a", "x\ty")]))
        // With a name that only the other one reads, it is a tab.
        #expect(try accepts(#""a"="x\ty""#, [("a", "x\ty")]))
    }

    @Test func aNULCutsNeitherAPatternNorAValue() throws {
        #expect(try !accepts(#"a="prod-""#, [("a", "prod-\0evil")]))
        #expect(try !accepts(#"a=~"prod-""#, [("a", "prod-\0evil")]))
        #expect(try !accepts(#"a=~"prod-|x""#, [("a", "prod-\0evil")]))
        #expect(try !accepts("a=~\"prod-\0evil\"", [("a", "prod-")]))
        #expect(try accepts("a=~\"prod-\0e.*\"", [("a", "prod-\0evil")]))
        #expect(try !accepts("a=~\"prod-\0e.*\"", [("a", "prod-\0good")]))
        #expect(try !accepts(#""a"=~"prod-\x00evil""#, [("a", "prod-\0good")]))
        #expect(try accepts(#"a!="prod-""#, [("a", "prod-\0evil")]))
    }

    private static let classic = [
        #"foo=bar"#, #"foo="bar""#, #"foo!=bar"#, #"foo=~bar"#, #"foo!~bar"#, #"foo=~"b.*""#, #"{foo=bar}"#,
        #"{foo=bar,}"#,
        #"foo=bar,"#, #"foo=bar, "#, #"{foo=bar"#, #"foo=bar}"#, #"foo="#, #"foo="""#, #"{foo=}"#, #"foo!="#,
        #"foo=,dings=x"#,
        #" foo = bar "#, #"foo = "b a r""#, #"foo= b a r "#, #"foo="bar",dings="x""#, #"foo=bar,dings!=x"#,
        #"foo=bar  ,  dings != x"#,
        #"foo="b,ar""#, #"foo="b\"ar""#, #"foo="b\nar""#, #"foo="b\\ar""#, #"foo="b\tar""#, #"foo="b\xar""#,
        #"foo=b\nar"#, #"foo=b\"ar"#,
        #"foo=b\"#, #"foo="b\"#, #"foo="bar"#, #"foo=bar""#, #"foo="b"ar""#, #"foo=b{a}r"#, #"foo={bar}"#,
        #"foo=bar=baz"#, #"foo==bar"#,
        #"foo=~=bar"#, #"foo=!bar"#, #"foo=bär"#, #"föö=bar"#, #"1foo=bar"#, #"foo.bar=x"#, #""foo"=bar"#, #"foo"#,
        #"foo~bar"#, #"foo:bar=x"#,
        #"_foo=bar"#, #"foo=~[a-z]+"#, #"foo=~"(""#, #"foo=(?i)BAR"#, #"foo=~(?i)BAR"#, #",foo=bar"#,
        #"foo=bar,,dings=x"#, #"{,}"#,
        #"foo='bar'"#, #"foo=`bar`"#, #"foo=~bar|b.*"#, #"{{foo=bar}}"#, "foo=\"b\nar\"", "foo=\tbar", "foo\t=\tbar\r",
        #"foo=\"bar\""#,
        #"foo=~"b\\d""#, #"foo=~"b\d""#, #"foo=a\,b"#,
    ]
    private static let values = [
        "", "bar", "b", "b a r", "b,ar", "b\"ar", "b\nar", "b\\ar", "b\\tar", "b\\xar", "b\\", "b{a}r", "{bar}",
        "bar=baz", "=bar", "!bar",
        "bär", "'bar'", "`bar`", "b1", "\"bar\"", "BAR", "(?i)BAR",
    ]

    /// amtool 0.25 knows the classic syntax alone, which counts wherever a text is in it.
    @Test func theClassicSyntaxIsReadAsAmtoolReadsIt() async throws {
        let directory = try TemporaryDirectory()
        func configuration(_ texts: [String]) throws -> String {
            let file = directory.file("alertmanager.yml")
            let routes = texts.enumerated().map { "{receiver: r\($0)-, continue: true, matchers: [\(quoted($1))]}" }
            let receivers = texts.indices.map { "{name: r\($0)-}" }
            try Files.write(
                """
                route: {receiver: none, routes: [\(routes.joined(separator: ", "))]}
                receivers: [{name: none}, \(receivers.joined(separator: ", "))]

                """, to: file)
            return file
        }
        var read: [(text: String, mine: Matchers)] = []
        for text in Self.classic {
            let check = try await ChildProcess.run("amtool", ["check-config", configuration([text])])
            if check.end == .exited(0) {
                let mine = try? Matchers(text)
                // A list of nothing is an error here.
                #expect(mine != nil || text == "{,}", "amtool reads \(text)")
                if let mine { read.append((text, mine)) }
            } else {
                #expect(throws: MatcherError.self) { try ClassicMatcherSyntax.read(text).map { try Matcher($0) } }
            }
        }
        #expect(read.count > 40)
        let file = try configuration(read.map(\.text))
        for value in Self.values {
            let route = try await ChildProcess.run(
                "amtool",
                ["config", "routes", "test", "--config.file=\(file)", "dings=y"]
                    + (value.isEmpty ? [] : ["foo=\(quoted(value))"]))
            #expect(route.end == .exited(0), "\(value): \(route.errors)")
            let labels = try Labels([.init("dings", "y")] + (value.isEmpty ? [] : [.init("foo", value)]))
            for (place, (text, mine)) in read.enumerated() {
                // A dot fits a line break here, as in Prometheus, and not in Alertmanager.
                if value.contains("\n"), text.contains("~"), text.contains(".") { continue }
                let hit = route.output.contains("r\(place)-")
                #expect(mine.accept(labels) == hit, "\(text) on foo=\(value): amtool says \(hit)")
            }
        }
    }

    /// As JSON, YAML and the classic syntax have it, for the characters that are used here.
    private func quoted(_ text: String) -> String {
        "\""
            + text.unicodeScalars.map { scalar in
                switch scalar {
                case "\"", "\\": "\\\(scalar)"
                case "\n": "\\n"
                case "\t": "\\t"
                case "\r": "\\r"
                default: String(scalar)
                }
            }.joined() + "\""
    }
}
