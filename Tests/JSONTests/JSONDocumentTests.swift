import JSON
import Testing

@Suite struct JSONDocumentTests {
    private static let sample =
        #"{"version":"4","n":[-1,0,1.5e3,18446744073709551615,true,false,null],"alerts":[{"a\u00e9\ud83d\ude00":"\"\\\/\b\f\n\r\t"},{}],"é":[]}"#

    private func parse(_ text: String, maxDepth: Int = 64) throws(JSONError) -> JSONValue {
        try JSONDocument.parse(Array(text.utf8), maxDepth: maxDepth).root
    }

    private func fault(_ bytes: [UInt8], maxDepth: Int = 64) -> JSONError? {
        do throws(JSONError) {
            _ = try JSONDocument.parse(bytes, maxDepth: maxDepth)
            return nil
        } catch { return error }
    }

    @Test func everyKindReadsAsItselfAndAsNothingElse() throws {
        let root = try parse(Self.sample)
        #expect(root.kind == .object)
        #expect(root["version"]?.string == "4")
        #expect(root["version"]?.integer == nil)
        let numbers = try #require(root["n"]?.array)
        #expect(numbers.count == 7)
        #expect(numbers.map(\.integer) == [-1, 0, nil, nil, nil, nil, nil])
        #expect(numbers.map(\.double) == [-1, 0, 1500, 18_446_744_073_709_551_616, nil, nil, nil])
        #expect(numbers.map(\.boolean) == [nil, nil, nil, nil, true, false, nil])
        #expect(numbers.map(\.isNull) == [false, false, false, false, false, false, true])
        let first = try #require(root["alerts"]?.array?.first { _ in true }?.object?.first { _ in true })
        #expect(first.key == "aé😀")
        #expect(first.value.string == "\"\\/\u{8}\u{c}\n\r\t")
        #expect(root["é"]?.array?.isEmpty == true)
        #expect(root["absent"] == nil)
        #expect(root["version"]?.equals("4") == true)
        #expect(root["version"]?.equals("44") == false)
    }

    @Test func aLongTextOfHardlyAnythingButSeparatorsIsTooLarge() throws {
        func text(_ unit: String, _ bytes: Int) -> [UInt8] {
            Array("[\([String](repeating: unit, count: bytes / (unit.utf8.count + 1)).joined(separator: ","))]".utf8)
        }
        for unit in ["0", "{}", "[0]", #"{"labels":{}}"#] {
            #expect(fault(text(unit, 5 << 20))?.code == .tooLarge, "\(unit)")
            #expect(fault(text(unit, 1 << 20)) == nil, "\(unit)")
        }
        // As dense as alerts get: one label after the other.
        let labels = (0..<256).map { place in #""l\#(place)":"bb""# }.joined(separator: ",")
        #expect(fault(text("{\(labels)}", 5 << 20)) == nil)
    }

    @Test func aLongTextIsReadAsAShortOneAndAfterIt() throws {
        let item = #"{"alert":["éééé",1,-2.5,null],"labels":{"c":"\u00e9\n"}}"#
        for count in [1, 100_000, 1, 30_000, 2] {
            let root = try parse("[\([String](repeating: item, count: count).joined(separator: ","))]")
            let last = try #require(root.array?.reduce(nil) { _, value in value } as JSONValue?)
            #expect(root.array?.count == count)
            #expect(last["alert"]?.array?.first { _ in true }?.string == "éééé")
            #expect(last["labels"]?["c"]?.string == "é\n")
        }
    }

    @Test func aTextCutAnywhereIsAnErrorAtOrBeforeTheCut() {
        let bytes = Array(Self.sample.utf8)
        for length in 0..<bytes.count {
            let error = fault(Array(bytes[..<length]))
            #expect(error?.code == .malformed, "cut at \(length)")
            if let offset = error?.offset {
                #expect(offset <= length, "cut at \(length)")
            } else {
                Issue.record("no offset at \(length)")
            }
        }
    }

    @Test(
        arguments: [
            ("", 0), ("  ", 2), ("{", 1), ("[1,]", 3), ("{\"a\":1,}", 7), ("{\"a\" 1}", 5), ("{a:1}", 1), ("[1 2]", 3),
            ("nul", 3),
            ("nulx", 3), ("01", 1), ("-", 1), ("1.", 2), ("1e", 2), ("\"a", 2), ("\"\u{1}\"", 1), (#""\x""#, 2),
            (#""\u12G4""#, 5),
            (#""\ud800""#, 1), (#""a\udc00""#, 2), ("[1]x", 3), ("{\"a\":1}}", 7), ("[}", 1), ("'a'", 0),
            ("[\"a\", tru]", 9),
        ])
    func theOffsetIsThatOfTheFirstByteThatCannotBe(text: String, offset: Int) {
        #expect(fault(Array(text.utf8))?.offset == offset, "\(text)")
    }

    @Test(
        arguments: [
            ([0x22, 0xFF, 0x22], 1), ([0x22, 0xC0, 0xAF, 0x22], 1), ([0x22, 0xE0, 0x80, 0x80, 0x22], 2),
            ([0x22, 0xED, 0xA0, 0x80, 0x22], 2), ([0x22, 0xF5, 0x80, 0x80, 0x80, 0x22], 1), ([0x22, 0x80, 0x22], 1),
            ([0x22, 0xE2, 0x82, 0x22], 3),
        ] as [([UInt8], Int)])
    func invalidUTF8HasAnOffset(bytes: [UInt8], offset: Int) {
        let error = fault(bytes)
        #expect(error?.code == .malformed)
        #expect(error?.offset == offset)
    }

    @Test func nestingPastTheDepthIsToldWhereItHappens() throws {
        let deep = Array(repeating: UInt8(ascii: "["), count: 300) + Array(repeating: UInt8(ascii: "]"), count: 300)
        let error = try #require(fault(deep, maxDepth: 64))
        #expect(error.code == .tooDeep)
        #expect(error.offset == 64)
        #expect(fault(deep, maxDepth: 300) == nil)
        #expect(fault(Array("[[1]]".utf8), maxDepth: 2) == nil)
        #expect(fault(Array("[[1]]".utf8), maxDepth: 1)?.code == .tooDeep)
    }

    @Test(
        arguments: [
            ("1e999", 1e308), ("-1e400", -1e308), ("9e308", 1e308), ("18446744073709551616", 1.844674407370e19),
            ("-9223372036854775809", -9.223372036854e18), ("123456789012345678901234567890", 1.234567890123e29),
            ("1" + String(repeating: "0", count: 307), 1e307), ("7" + String(repeating: "3", count: 400), 1e308),
            ("1" + String(repeating: "0", count: 400) + ".5e-1", 1e308),
            ("0.1e99999999999999999999999", 1e308),
        ] as [(String, Double)])
    func aNumberThatNothingCanHoldSpoilsNoDocument(_ text: String, _ near: Double) throws {
        let beside = #""\\",1.5,-0,18446744073709551615,-9223372036854775808,1e-999"#
        for document in ["[\(text),\(beside)]", "[\(text)\n ,\(beside) ] ", #"{"a":\#(text),"b":[\#(beside)]}"#] {
            let root = try parse(document)
            let all = Self.flat(root)
            #expect(all.count == 7 && all[0].kind == .number && all[0].integer == nil)
            #expect(all[0].double == near)
            #expect(all[1].string == "\\" && all[2].double == 1.5 && all[3].double == 0)
            #expect(all[4].double == 18_446_744_073_709_551_616 && all[5].integer == .min && all[6].double == 0)
            // Such a number hides no other fault, and moves none.
            let bytes = Array(document.utf8)
            #expect(fault(Array(bytes.dropLast()) + [0x25])?.offset == bytes.count - 1)
        }
        #expect(try parse(text).double == near)
        #expect(fault(Array("[\(text),[[[1]]]]".utf8), maxDepth: 3)?.code == .tooDeep)
        var again = JSONWriter()
        try parse("[\(text)]").write(to: &again)
        #expect(try parse(String(decoding: again.bytes, as: UTF8.self)).array?.map(\.integer) == [nil])
    }

    /// The items of an array, or those of an object's members.
    private static func flat(_ value: JSONValue) -> [JSONValue] {
        if let items = value.array { return items.flatMap(flat) }
        return value.object?.flatMap { flat($0.value) } ?? [value]
    }

    private func lenient(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
        try JSONDocument.lenient(bytes, maxDepth: 8).root
    }

    /// As Go's encoding/json reads them: each byte that is no part of a character is one U+FFFD.
    @Test(
        arguments: [
            ([0xFF], "\u{FFFD}"), ([0xE9], "\u{FFFD}"), ([0xC0, 0xAF], "\u{FFFD}\u{FFFD}"),
            ([0xE2, 0x82], "\u{FFFD}\u{FFFD}"),
            ([0xED, 0xA0, 0xBD], "\u{FFFD}\u{FFFD}\u{FFFD}"), ([0x80], "\u{FFFD}"), ([0xF5, 0x80], "\u{FFFD}\u{FFFD}"),
            ([0xF0, 0x9F, 0x98], "\u{FFFD}\u{FFFD}\u{FFFD}"), ([0xE2, 0xE2, 0x82, 0xAC], "\u{FFFD}€"),
            (Array(#"\ud83d"#.utf8) + [0xE9], "\u{FFFD}\u{FFFD}"), ([0xF0, 0x9F, 0x98, 0x80, 0xFF], "😀\u{FFFD}"),
        ] as [([UInt8], String)])
    func textThatIsNoUTF8IsReadAsGoReadsIt(_ bytes: [UInt8], _ text: String) throws {
        let quoted = Array(#""a"#.utf8) + bytes + Array(#"b""#.utf8)
        #expect(try lenient(quoted).string == "a\(text)b")
        let big = Array("[1e400,".utf8) + quoted + Array(#","x\"y",{"#.utf8) + quoted + Array(":7}]".utf8)
        let items = try #require(try lenient(big).array.map(Array.init))
        #expect(items[1].string == "a\(text)b" && items[2].string == "x\"y" && items[3]["a\(text)b"]?.integer == 7)
        #expect(fault(quoted)?.code == .malformed)
        // Outside of a string it is a fault, and every fault has its place.
        #expect(throws: JSONError(.malformed, "not JSON", offset: quoted.count)) { try lenient(quoted + [0xFF]) }
        for length in 1..<quoted.count { #expect(throws: JSONError.self) { try lenient(Array(quoted[..<length])) } }
    }

    @Test func aLongTextThatIsMostlyNoUTF8IsRefused() throws {
        func text(_ strange: Int, _ length: Int) -> [UInt8] {
            [0x22] + [UInt8](repeating: 0xFF, count: strange) + [UInt8](repeating: 0x61, count: length - strange) + [
                0x22
            ]
        }
        #expect(try lenient(text(60_000, 60_000)).string?.unicodeScalars.count == 60_000)
        #expect(try lenient(text(200_000, 1_000_000)).string?.unicodeScalars.count == 1_000_000)
        #expect(throws: JSONError(.malformed, "not JSON", offset: 1)) { try lenient(text(300_000, 1_000_000)) }
    }

    @Test(arguments: [2, 16, 17, 300])
    func aNameThatOccursTwiceIsFound(members: Int) throws {
        let unique = (0..<members).map { "\"k\($0)\":1" }.joined(separator: ",")
        #expect(try parse("{\(unique)}").object?.firstDuplicateKey() == nil)
        #expect(try parse("{\(unique),\"k0\":2}").object?.firstDuplicateKey() == "k0")
    }

    @Test func aValueIsWrittenAgainAsItWasRead() throws {
        var writer = JSONWriter()
        try parse(Self.sample).write(to: &writer)
        let again = String(decoding: writer.bytes, as: UTF8.self)
        var second = JSONWriter()
        try parse(again).write(to: &second)
        #expect(second.bytes == writer.bytes)
        #expect(again.hasPrefix(#"{"version":"4","n":[-1,0,1500.0,18446744073709551615,true,false,null],"#))
    }

    @Test func theDocumentOutlivesItsBytes() throws {
        func value() throws -> JSONValue { try #require(parse(#"{"a":"b"}"#)["a"]) }
        #expect(try value().string == "b")
    }

    /// What a document leaves is used again; never while one lives.
    @Test func documentsThatLiveAtTheSameTimeKnowNothingOfEachOther() throws {
        var alive: [JSONValue] = []
        for number in 0..<50 {
            let text = "[" + String(repeating: "\(number),", count: number * 40) + "\"\(number)\"]"
            let root = try parse(text)
            if number.isMultiple(of: 3) { alive.append(root) }
            #expect(throws: JSONError.self) { try parse("[1,") }
            #expect(throws: JSONError.self) { try JSONDocument.parse(Array("[[[1]]]".utf8), maxDepth: 2) }
        }
        for (place, root) in alive.enumerated() {
            let items = Array(try #require(root.array))
            #expect(items.count == place * 3 * 40 + 1)
            #expect(items.last?.string == String(place * 3))
            #expect(items.dropLast().allSatisfy { $0.integer == Int64(place * 3) })
        }
    }
}
