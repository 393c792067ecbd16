import SignalKit
import TestSupport
import Testing

@testable import Host

/// docs/state-store.md, read by its tables.
struct StatePage {
    let text: String

    init() throws { text = try Repository.text("docs/state-store.md") }

    /// The cells of each row of the tables below a heading, without backticks; heads of tables included.
    func rows(under title: String) -> [[String]] {
        var (found, inside) = ([[String]](), false)
        for line in text.split(separator: "\n") {
            if line.hasPrefix("#") { inside = line.drop { $0 == "#" || $0 == " " } == title }
            guard inside, line.hasPrefix("| "), !line.hasPrefix("|---") else { continue }
            found.append(
                line.dropFirst().dropLast().split(separator: "|").map {
                    String($0.filter { $0 != "`" }).trimmed
                })
        }
        return found
    }

    /// Name, place and length of each field of the table whose head begins so.
    func fields(_ head: String, under title: String) -> [(name: String, at: Int, bytes: Int)] {
        var (found, inside) = ([(name: String, at: Int, bytes: Int)](), false)
        for row in rows(under: title) {
            guard row.count == 4, let at = Int(row[1]), let bytes = Int(row[2]) else {
                inside = row.first == head
                continue
            }
            if inside { found.append((row[0], at, bytes)) }
        }
        return found
    }

    /// By family: the type and the expiry.
    func families() -> [String: (type: String, expiry: String)] {
        var found: [String: (type: String, expiry: String)] = [:]
        for row in rows(under: "Keys").dropFirst() where row.count == 6 {
            found[familyOfKey(row[0])] = (row[1], row[2])
        }
        return found
    }
}

extension String {
    var trimmed: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }

    /// What stands behind each occurrence of `mark`, as far as `body` goes.
    func pieces(after mark: String, while body: (Character) -> Bool) -> [String] {
        var (found, rest) = ([String](), self[...])
        while let place = rest.firstRange(of: mark) {
            rest = rest[place.upperBound...]
            found.append(String(rest.prefix(while: body)))
        }
        return found
    }
}

/// Of a key without its prefix: all of it, or its part up to the first colon.
func familyOfKey(_ key: String) -> String {
    guard let colon = key.firstIndex(of: ":") else { return key }
    return String(key[...colon])
}

/// Layouts, reply codes and invariants of docs/state-store.md, held against the scripts and the host.
@Suite struct StateStoreTests {
    // MARK: Layouts

    /// Lengths of the fields that a format of Lua's struct library has.
    private func lengths(_ format: String) -> [Int] {
        format.drop { $0 != "<" }.dropFirst().split(separator: "I", omittingEmptySubsequences: false).enumerated()
            .flatMap { place, part in
                let number = Int(part.prefix { $0.isNumber })
                return (place > 0 ? [number ?? 0] : []) + part.filter { $0 == "B" }.map { _ in 1 }
            }
    }

    private func format(_ name: String, of script: String) throws -> String {
        let found = script.pieces(after: "local \(name) = '") { $0 != "'" }
        return try #require(found.first, "\(name) is in no script")
    }

    @Test func theLayoutsOnThePageAreThoseOfTheScripts() throws {
        let records = String(decoding: PackageResources.records_lua, as: UTF8.self)
        let storms = String(decoding: PackageResources.stormstate_lua, as: UTF8.self)
        let page = try StatePage()
        let tables = [
            ("field", "Record", try format("FORMAT", of: records), 0),
            ("member", "Record", try format("MEMBER", of: records), 97),
            ("reporter", "Record", try format("REPORTER", of: records), 0),
            ("storm", "Storm", try format("STORM_FORMAT", of: storms), 0),
        ]
        for (head, title, format, from) in tables {
            let fields = page.fields(head, under: title)
            #expect(fields.map(\.bytes) == lengths(format), "\(head)")
            var at = from
            for field in fields {
                #expect(field.at == at, "\(head) \(field.name)")
                at += field.bytes
            }
        }
        func names(_ script: String, _ letter: String) throws -> [String] {
            let call = try #require(
                script.pieces(after: "format, ") { $0 != "=" }.first { $0.contains("\(letter).version") })
            return call.split { $0 == "," || $0 == " " || $0 == "\n" }.map {
                $0.hasPrefix("\(letter).") ? String($0.dropFirst(2)) : String($0)
            }
        }
        #expect(["format"] + (try names(records, "r")) == page.fields("field", under: "Record").map(\.name))
        #expect(["format"] + (try names(storms, "s")) == page.fields("storm", under: "Storm").map(\.name))
    }

    @Test func theHostReadsARecordAsThePageSays() throws {
        let fields = try StatePage().fields("field", under: "Record")
        var bytes = [UInt8](repeating: 0, count: fields.map { $0.at + $0.bytes }.max() ?? 0)
        var values: [String: Int64] = [:]
        for (place, field) in fields.enumerated() where field.bytes > 1 {
            for byte in 0..<field.bytes { bytes[field.at + byte] = UInt8(place * 10 + byte) }
            values[field.name] = (0..<field.bytes).reversed().reduce(0) { $0 << 8 | Int64(place * 10 + $1) }
        }
        for (name, value) in [("format", 3), ("state", 2), ("reason", 1)] {
            bytes[try #require(fields.first { $0.name == name }).at] = UInt8(value)
        }
        let record = try #require(PackedRecord(bytes))
        #expect(record.state == .resolved && record.reason == .expired && !record.isMember)
        let read = [
            "count": record.count, "episode": record.episode, "version": record.version, "moment": record.moment,
            "own": record.follows, "last": record.last,
        ]
        for (name, value) in read { #expect(values[name] == value, "\(name)") }
        bytes[3] = 2
        #expect(PackedRecord(bytes) == nil)
        let member = try StatePage().fields("member", under: "Record").reduce(23) { $0 + $1.bytes }
        #expect(PackedRecord(bytes + [UInt8](repeating: 0, count: member))?.isMember == true)
    }

    // MARK: Replies

    @Test func theGatesCodesAreTheSameOnBothSidesAndOnThePage() throws {
        let driver = String(decoding: PackageResources.driver_lua, as: UTF8.self)
        var codes: [Int: GateReader.Word] = [:]
        let table = try #require(driver.pieces(after: "local CODES = {") { $0 != "}" }.first)
        for entry in table.split(separator: ",") {
            let sides = entry.split(separator: "=").map { String($0).trimmed }
            let name = sides[0].filter { !"[']".contains($0) }
            codes[try #require(Int(sides[1]))] = .verdict(try #require(Verdict(rawValue: name), "\(name)"))
        }
        let others = try #require(driver.pieces(after: "local FULL, UNAVAILABLE, AGAIN = ") { $0 != "\n" }.first)
        for (code, word) in zip(others.split(separator: ","), [GateReader.Word.full, .fault, .again]) {
            codes[try #require(Int(String(code).trimmed))] = word
        }
        for code in UInt8.min...UInt8.max { #expect(GateReader.Word(code) == codes[Int(code)], "\(code)") }
        // Every verdict that a step may give has one.
        for verdict in Verdict.allCases where verdict != .unavailable {
            #expect(codes.values.contains(.verdict(verdict)), "\(verdict)")
        }

        let rows = try StatePage().rows(under: "Reply codes").filter { Int($0[0]) != nil }
        #expect(rows.count == codes.count)
        for row in rows {
            let word: GateReader.Word? =
                switch row[1] {
                case "full": .full
                case "unavailable": .fault
                case "again": .again
                default: Verdict(rawValue: row[1]).map { .verdict($0) }
                }
            #expect(word == Int(row[0]).flatMap { codes[$0] }, "\(row)")
        }
    }

    // MARK: Invariants

    @Test func everyInvariantNamesAFileAndATest() throws {
        let files = Repository.files()
        let tests = try files.filter { $0.hasPrefix("Tests/") && $0.hasSuffix(".swift") }.map {
            try Repository.text($0)
        }
        let rows = try StatePage().rows(under: "Invariants").dropFirst()
        #expect(rows.count > 30)
        for row in rows {
            #expect(files.contains { $0.hasPrefix("Sources/") && $0.hasSuffix("/\(row[1])") }, "no \(row[1])")
            let test = row[2].split(separator: "/")
            #expect(
                test.count == 2
                    && tests.contains { $0.contains("struct \(test[0]) ") && $0.contains("func \(test[1])(") },
                "no test \(row[2])")
        }
    }

    @Test func everyFileOnThePageExists() throws {
        let files = Repository.files()
        for row in try StatePage().rows(under: "Keys").dropFirst() + StatePage().rows(under: "Reply codes") {
            for word in row.joined(separator: " ").split(whereSeparator: { $0 == " " || $0 == "," })
            where word.hasSuffix(".lua") || word.hasSuffix(".swift") {
                #expect(files.contains { $0.hasSuffix("/\(word)") }, "no \(word)")
            }
        }
    }
}
