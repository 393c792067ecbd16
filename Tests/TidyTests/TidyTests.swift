import TestSupport
import Testing

private let files: [SourceFile] = Repository.files().compactMap { path in
    guard let text = Files.text(Repository.path(path)) else { return nil }
    return SourceFile(path: path, text: text)
}

@Test(arguments: Rule.all)
func theRepositoryKeepsTheRule(_ rule: Rule) {
    #expect(files.count > 20, "the repository was not found")
    let findings = rule.findings(in: files)
    #expect(findings.isEmpty, "\(rule.words):\n\(findings.joined(separator: "\n"))")
}

@Test(arguments: Rule.all)
func aBadFileBreaksTheRule(_ rule: Rule) {
    #expect(!rule.bad.isEmpty)
    for file in rule.bad {
        #expect(!rule.broken(file).isEmpty, "\(rule.words): \(file.path) was let through")
    }
}

@Test func anImportIsFoundHoweverItIsWritten() {
    let file = SourceFile(
        path: "Sources/Host/A.swift",
        text: """
            // import Nothing
            public import NIOCore
            @testable import Redis
            @preconcurrency internal import CHiredis
            import struct NIOPosix.Socket
            let text = "import Foundation"
            """)
    #expect(file.imports.map(\.module) == ["NIOCore", "Redis", "CHiredis", "NIOPosix"])
}
