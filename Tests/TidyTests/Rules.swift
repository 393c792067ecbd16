import Testing

/// A file of the repository, as a rule sees it.
struct SourceFile: Sendable {
    /// From the repository's top.
    let path: String
    let text: String

    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
    var isSwift: Bool { path.hasSuffix(".swift") }
    var isSource: Bool { path.hasPrefix("Sources/") }
    /// The folder under Sources: the module.
    var module: String? {
        let parts = path.split(separator: "/")
        return isSource && parts.count > 2 ? String(parts[1]) : nil
    }

    /// Modules that it imports, with the line of each.
    var imports: [(line: Int, module: String)] {
        lines.enumerated().compactMap { number, line in
            let words =
                line.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).first.map {
                    $0.split(separator: " ")
                } ?? []
            guard let place = words.firstIndex(of: "import"), place + 1 < words.count,
                words[..<place].allSatisfy({ $0.hasPrefix("@") || Self.access.contains(String($0)) })
            else { return nil }
            let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "typealias", "var"]
            let name = kinds.contains(words[place + 1]) && place + 2 < words.count ? words[place + 2] : words[place + 1]
            return (number + 1, String(name.prefix { $0 != "." }))
        }
    }

    private static let access: Set<String> = ["public", "package", "internal", "fileprivate", "private"]
}

/// Something about the code that holds everywhere, with a file that shows how it looks when it does not.
struct Rule: Sendable, CustomTestStringConvertible {
    let words: String
    /// Lines (from 1) that break it; 0 for the file as a whole.
    let broken: @Sendable (SourceFile) -> [(line: Int, why: String)]
    let bad: [SourceFile]

    var testDescription: String { words }

    func findings(in files: [SourceFile]) -> [String] {
        files.flatMap { file in broken(file).map { "\(file.path):\($0.line): \($0.why)" } }
    }
}

extension Rule {
    /// What each module may import of the others. Nothing points back.
    static let rooms: [String: Set<String>] = [
        "SignalKit": [],
        "SignalTesting": ["SignalKit", "JSON"],
        "JSON": ["CSimdjson", "CJansson"],
        "Redis": ["CHiredis"],
        "Adapters": ["SignalKit", "JSON", "Kubernetes"],
        "Policies": ["SignalKit", "JSON"],
        "Kubernetes": ["CCurl", "JSON"],
        "FailPoints": [],
        "Sinks": ["SignalKit", "JSON", "Kubernetes", "FailPoints"],
        "Host": ["SignalKit", "JSON", "Redis", "Kubernetes", "Adapters", "Policies", "Sinks", "FailPoints"],
        "portcullis": ["SignalKit", "Host", "Adapters", "Policies", "Sinks"],
    ]

    static let all: [Rule] = [
        Rule(
            words: "a module imports only the rooms below it",
            broken: { file in
                guard file.isSwift, let module = file.module, let allowed = rooms[module] else { return [] }
                let own = Set(rooms.keys).union(["CSimdjson", "CJansson", "CHiredis", "CCurl"])
                return file.imports.filter {
                    own.contains($0.module) && $0.module != module && !allowed.contains($0.module)
                }
                .map { ($0.line, "\(module) imports \($0.module)") }
            },
            bad: [
                SourceFile(path: "Sources/Adapters/Bad.swift", text: "import SignalKit\ninternal import Redis\n"),
                SourceFile(path: "Sources/Host/HTTP/Bad.swift", text: "@testable import CHiredis\n"),
                SourceFile(path: "Sources/SignalKit/Bad.swift", text: "public import JSON\n"),
            ]),
        Rule(
            words: "every module of Sources has its room",
            broken: { file in
                guard file.isSwift, let module = file.module, rooms[module] == nil else { return [] }
                return [(0, "\(module) is in no room")]
            },
            bad: [SourceFile(path: "Sources/Extras/Bad.swift", text: "")]),
        Rule(
            words: "the contract imports nothing at all",
            broken: { file in
                file.module == "SignalKit" ? file.imports.map { ($0.line, "SignalKit imports \($0.module)") } : []
            },
            bad: [
                SourceFile(path: "Sources/SignalKit/Bad.swift", text: "import Foundation\n"),
                SourceFile(path: "Sources/SignalKit/Bad.swift", text: "// why\nimport struct NIOCore.ByteBuffer\n"),
            ]),
        Rule(
            words: "no Foundation in the sources",
            broken: { file in
                guard file.isSource else { return [] }
                return file.imports.filter { $0.module.hasPrefix("Foundation") }.map {
                    ($0.line, "imports \($0.module)")
                }
            },
            bad: [SourceFile(path: "Sources/Host/HTTP/Bad.swift", text: "internal import FoundationEssentials\n")]),
        Rule(
            words: "no folder or file for what belongs nowhere",
            broken: { file in
                let words = file.path.split(separator: "/").map {
                    $0.split(separator: ".").first.map(String.init) ?? ""
                }
                let found = words.filter {
                    ["Utils", "Util", "Common", "Helpers", "Helper", "Misc", "Extensions"].contains($0)
                }
                return found.map { (0, "\($0) says nothing about what is in it") }
            },
            bad: [
                SourceFile(path: "Sources/Host/Utils/Hex.swift", text: ""),
                SourceFile(path: "Tests/HostTests/Helpers.swift", text: ""),
            ]),
        Rule(
            words: "a file has at most 300 lines",
            broken: { file in
                guard file.isSwift || file.path.hasSuffix(".lua"), !longOnPurpose.contains(file.path) else { return [] }
                let count = file.lines.count - 1
                return count > 300 ? [(301, "\(count) lines")] : []
            },
            bad: [SourceFile(path: "Sources/Host/Bad.swift", text: String(repeating: "\n", count: 301))]),
        Rule(
            words: "what the compiler does not check says why it is right",
            broken: { file in
                guard file.isSource, file.isSwift else { return [] }
                let lines = file.lines
                var found: [(Int, String)] = []
                for (number, line) in lines.enumerated() {
                    for word in ["@unchecked Sendable", "nonisolated(unsafe)"] where line.contains(word) {
                        let near = lines[max(0, number - 3)...min(number + 1, lines.count - 1)]
                        if !near.contains(where: { $0.contains("SAFETY:") }) {
                            found.append((number + 1, "\(word) without SAFETY:"))
                        }
                    }
                }
                let pointers = ["UnsafeMutablePointer", "UnsafePointer", "UnsafeMutableRawPointer", "Unmanaged"]
                if !file.text.contains("SAFETY:"),
                    let first = lines.firstIndex(where: { line in pointers.contains { line.contains($0) } })
                {
                    found.append((first + 1, "unsafe pointers in a file without SAFETY:"))
                }
                return found
            },
            bad: [
                SourceFile(path: "Sources/Host/Bad.swift", text: "final class Bad: @unchecked Sendable {}\n"),
                SourceFile(path: "Sources/Redis/Bad.swift", text: "let reader: UnsafeMutablePointer<Int>\n"),
                SourceFile(path: "Sources/Redis/Bad.swift", text: "nonisolated(unsafe) var count = 0\n"),
            ]),
        Rule(
            words: "nothing in the sources is left for later, and nothing ends the process",
            broken: { file in
                guard file.isSource else { return [] }
                return file.findings(of: [
                    "TO" + "DO", "FIX" + "ME", "XX" + "X", "not implem" + "ented", "fatalErr" + "or(", "try" + "!",
                ])
            },
            bad: [
                SourceFile(path: "Sources/Host/Bad.swift", text: "let value = try" + "! read()\n"),
                SourceFile(path: "Sources/Policies/bad.lua", text: "-- TO" + "DO: the rest\n"),
            ]),
        Rule(
            words: "every test runs",
            broken: { file in
                file.path.hasPrefix("Tests/")
                    ? file.findings(of: [".disab" + "led(", "XCTSk" + "ip", "withKnownIss" + "ue"]) : []
            },
            bad: [SourceFile(path: "Tests/HostTests/Bad.swift", text: "@Test(.disab" + "led()) func later() {}\n")]),
        Rule(
            words: "no path of one machine",
            broken: { $0.findings(of: ["/wo" + "rk/", "/ho" + "me/", "/Us" + "ers/", "/ro" + "ot/"]) },
            bad: [SourceFile(path: "docs/bad.md", text: "See /ho" + "me/someone/portcullis.\n")]),
        Rule(
            words: "text ends its lines cleanly",
            broken: { file in
                var found: [(Int, String)] = []
                let tabs = file.path == "Makefile" || file.path.hasPrefix(".git")
                for (number, line) in file.lines.enumerated() {
                    if line.utf8.last == UInt8(ascii: " ") || line.utf8.last == UInt8(ascii: "\r") {
                        found.append((number + 1, "ends with a blank"))
                    }
                    if !tabs, line.utf8.contains(UInt8(ascii: "\t")) { found.append((number + 1, "a tab")) }
                }
                if !file.text.isEmpty, file.text.utf8.last != UInt8(ascii: "\n") {
                    found.append((file.lines.count, "no last line break"))
                }
                return found
            },
            bad: [
                SourceFile(path: "docs/bad.md", text: "words \n"),
                SourceFile(path: "examples/bad.yaml", text: "a:\n\tb: 1\n"),
                SourceFile(path: "docs/bad.md", text: "words"),
            ]),
        Rule(
            words: "a fence in Markdown is closed",
            broken: { file in
                guard file.path.hasSuffix(".md") else { return [] }
                let fences = file.lines.filter { $0.drop { $0 == " " }.hasPrefix("```") }.count
                return fences.isMultiple(of: 2) ? [] : [(0, "\(fences) fences")]
            },
            bad: [SourceFile(path: "docs/bad.md", text: "```\nmake run\n")]),
    ]

    /// Files past 300 lines, each with its reason. There is none.
    static let longOnPurpose: Set<String> = []
}

extension SourceFile {
    fileprivate func findings(of words: [String]) -> [(line: Int, why: String)] {
        lines.enumerated().flatMap { number, line in
            words.filter { line.contains($0) }.map { (number + 1, $0) }
        }
    }
}
