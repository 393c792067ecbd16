import JSON
import TestSupport
import Testing

@testable import Host

/// What a terminal obeys is shown, whoever wrote it.
@Suite struct ControlCharacterTests {
    /// C0, DEL, C1 (CSI as one character), a bidi override and isolate, a line separator, an invisible tag.
    static let hostile = "\u{1b}[2J\u{0}\u{7}\u{8}\r\u{7f}\u{9b}31m\u{85}\u{202e}\u{2066}\u{2028}\u{e0041}end"
    private let directory: TemporaryDirectory
    private let file: String

    init() throws {
        directory = try TemporaryDirectory()
        file = directory.file("portcullis.yaml")
        try Files.write(fineFile, to: file)
    }

    /// Scalars that a terminal obeys. Line breaks separate lines, and the white space of a document.
    static func obeyed(_ lines: [String]) -> [Unicode.Scalar] {
        lines.flatMap(\.unicodeScalars).filter { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: scalar != "\n"
            default: false
            }
        }
    }

    @Test func checkShowsWhatAFileHolds() async throws {
        let escapes = #"\e[2J\0\a\x7f\x9b31m\u202e\u2028\nforged: fine"#
        for text in [
            fineFile.replacing("when_full: refuse", with: #"when_full: refuse, "\#(escapes)": x"#),
            fineFile.replacing("127.0.0.1:8080", with: #""\#(escapes)""#),
            fineFile.replacing("use: jsonl", with: #"use: "\#(escapes)""#),
        ] {
            try Files.write(text, to: file)
            for form in ["text", "json"] {
                let printed = await command("check", "--config", file, "--output", form)
                #expect(printed.code == 2)
                #expect(Self.obeyed(printed.err + printed.out) == [], "\(printed.err + printed.out)")
                #expect(!printed.err.contains { $0.contains("\n") }, "a forged line: \(printed.err)")
            }
        }
        try Files.write(fineFile.replacing("when_full: refuse", with: #""\e[2J\x9b31m\u202e": x"#), to: file)
        let printed = await command("check", "--config", file, "--output", "json")
        let document = try JSONDocument.parse(Array(printed.out[0].utf8)).root
        let paths = document["errors"]?.array?.compactMap { $0["path"]?.string } ?? []
        #expect(paths.contains { $0.contains("\u{1b}[2J\u{9b}31m\u{202e}") }, "\(paths)")
        let absent = await command("check", "--config", "/nowhere/\u{1b}[2J")
        #expect(absent.code == 2 && Self.obeyed(absent.err) == [])
    }

    @Test func tryShowsWhatASenderWrote() async throws {
        var label = JSONWriter()
        label.string(Self.hostile)
        let value = String(decoding: label.bytes, as: UTF8.self)
        try Files.write(
            #"[{"labels":{"alertname":\#(value),"x":\#(value)},"annotations":{"a":\#(value)}},{"labels":\#(value)}]"#,
            to: directory.file("body"))
        for form in ["text", "json"] {
            let printed = await command(
                "try", "prometheus", directory.file("body"), "--output", form, plugins: .standard)
            #expect(printed.code == 0, "\(printed.err)")
            #expect(Self.obeyed(printed.out) == [], "\(printed.out)")
            guard form == "json" else { continue }
            let document = try JSONDocument.parse(Array(printed.out[0].utf8)).root
            #expect(document["signals"]?.array?.first { _ in true }?["labels"]?["x"]?.string == Self.hostile)
        }
    }

    @Test func aJSONDocumentStaysTheSameDocument() throws {
        var out = JSONWriter()
        out.beginObject()
        out.member(Self.hostile, Self.hostile + "ü🙂")
        out.endObject()
        let text = String(decoding: out.bytes, as: UTF8.self)
        #expect(Self.obeyed([text]) != [])
        let printed = text.printableJSON
        #expect(Self.obeyed([printed]) == [])
        #expect(printed.contains("ü🙂") && printed.contains(#"\udb40\udc41"#))
        let member = try #require(try JSONDocument.parse(Array(printed.utf8)).root.object?.first { _ in true })
        #expect(member.key == Self.hostile && member.value.string == Self.hostile + "ü🙂")
    }
}
