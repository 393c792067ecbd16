import SignalKit
import TestSupport
import Testing

@testable import Host

/// docs/configuration.md against what the host and its plugins declare.
@Suite struct ConfigurationTests {
    private static let path = "docs/configuration.md"

    @Test func everyKeyStandsInTheConfigurationsDocument() throws {
        let document = ConfigurationDocument(try Repository.text(Self.path))
        for group in ConfigurationReference.host + ConfigurationReference.groups(of: .standard) {
            let expected = group.keys.map(ConfigurationDocument.Row.init)
            let found = document.rows[group.title]?.map(\.row) ?? []
            #expect(
                found == expected,
                "\(Self.path), `### \(group.title)`: it should hold\n\n\(document.table(of: group))\n")
        }
    }

    @Test func noTableIsLeftOfWhatThisBuildHasNot() throws {
        let document = ConfigurationDocument(try Repository.text(Self.path))
        let known = ConfigurationReference.host + ConfigurationReference.groups(of: .standard)
        #expect(Set(document.rows.keys).subtracting(known.map(\.title)).sorted() == [])
    }

    @Test func everyRowSaysWhatItsKeyIsFor() throws {
        for (title, rows) in ConfigurationDocument(try Repository.text(Self.path)).rows {
            for row in rows { #expect(row.words.count > 3, "\(title): \(row.row.key)") }
        }
    }

    @Test func thePolicysFailureModeIsTold() throws {
        let text = try Repository.text(Self.path)
        for group in ConfigurationReference.groups(of: .standard) {
            guard let mode = group.failureMode else { continue }
            #expect(text.contains("### \(group.title)\n\nOn error \(mode)"), "\(group.title): On error \(mode)")
        }
    }

    @Test func aRowThatDiffersIsFound() {
        let text = "### server\n\n| key | kind | default | bounds | for |\n|---|---|---|---|---|\n"
        let document = ConfigurationDocument(
            text + "| `server.listen` | address | `none` | host:port | where |\n\n### state\n| `a` | b |\n")
        #expect(document.rows["server"]?.map(\.row.key) == ["server.listen"])
        #expect(document.rows["server"]?.map(\.row.fallback) == ["none"])
        #expect(document.rows["state"]?.count == 0 || document.rows["state"] == nil)
        let other = ConfigurationDocument.Row(
            ConfigKey(path: "server.listen", kind: "address", fallback: nil, bounds: "host:port"))
        #expect(document.rows["server"]?.first?.row != other)
    }
}

/// The tables under `###` headings.
struct ConfigurationDocument {
    struct Row: Equatable {
        let key: String
        let kind: String
        let fallback: String
        let bounds: String

        init(_ key: ConfigKey) {
            self.key = key.path
            kind = key.kind
            fallback = key.fallback ?? "required"
            bounds = key.bounds
        }

        /// Nil when there are not five cells.
        init?(_ cells: [String]) {
            guard cells.count == 5 else { return nil }
            (key, kind, fallback, bounds) = (cells[0], cells[1], cells[2], cells[3])
        }
    }

    /// By heading.
    private(set) var rows: [String: [(row: Row, words: String)]] = [:]

    init(_ text: String) {
        var title: String?
        for line in text.split(separator: "\n") {
            if line.hasPrefix("#") { title = line.hasPrefix("### ") ? String(line.dropFirst(4)) : nil }
            guard let title, line.hasPrefix("| `") else { continue }
            let cells = line.split(separator: "|").map { cell in
                String(cell.trimmed).replacing("`", with: "")
            }
            guard let row = Row(cells), let words = cells.last else { continue }
            rows[title, default: []].append((row, words))
        }
    }

    /// The table that a group should have, with the words that its rows have already.
    func table(of group: ConfigurationReference.Group) -> String {
        var lines = ["| key | kind | default | bounds | for |", "|---|---|---|---|---|"]
        for key in group.keys {
            let words = rows[group.title]?.first { $0.row.key == key.path }?.words ?? "…"
            let fallback = key.fallback.map { "`\($0)`" } ?? "required"
            lines.append("| `\(key.path)` | \(key.kind) | \(fallback) | \(key.bounds) | \(words) |")
        }
        return group.keys.isEmpty ? "(no table: it has no keys of its own)" : lines.joined(separator: "\n")
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        var text = drop { $0 == " " }
        while text.last == " " { text.removeLast() }
        return text
    }
}
