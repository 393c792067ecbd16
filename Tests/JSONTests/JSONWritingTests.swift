import JSON
import Testing

@Suite struct JSONWritingTests {
    @Test func everyCharacterIsReadBackAsWritten() throws {
        var text = ""
        for value in UInt32(0)...0x2FF { text.unicodeScalars.append(Unicode.Scalar(value) ?? "?") }
        text += "😀\u{2028}"
        var writer = JSONWriter()
        writer.string(text)
        #expect(try JSONDocument.parse(writer.bytes).root.string == text)
    }

    @Test func commasStandWhereTheyBelong() {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("a", "x")
        writer.member("none", String?.none)
        writer.key("list")
        writer.beginArray()
        writer.integer(1)
        writer.beginArray()
        writer.endArray()
        writer.beginObject()
        writer.endObject()
        writer.null()
        writer.endArray()
        writer.member("b", true)
        writer.key("raw")
        writer.raw(Array("[]".utf8))
        writer.endObject()
        #expect(String(decoding: writer.bytes, as: UTF8.self) == #"{"a":"x","list":[1,[],{},null],"b":true,"raw":[]}"#)
    }

    @Test func whatJSONCannotSayIsNull() {
        var writer = JSONWriter()
        writer.double(.infinity)
        #expect(writer.bytes == Array("null".utf8))
    }

    @Test func aTreeIsWrittenSortedAndStrict() throws {
        let tree: JSONTree = ["b": [1, true, .null, .number(0.5)], "a": "é\"", "big": .integer(.max)]
        #expect(
            try String(decoding: tree.text(), as: UTF8.self)
                == #"{"a":"é\"","b":[1,true,null,0.5],"big":9223372036854775807}"#)
        #expect(throws: JSONError.self) { try JSONTree.number(.nan).text() }
    }

    @Test func whateverStandsAnywhereInAStringComesBack() throws {
        for length in 0...18 {
            for place in 0..<max(length, 1) {
                for scalar in Array(UInt8(0)..<0x80).map(UnicodeScalar.init) + ["é", "\u{10FFFF}"] {
                    let text = String((0..<length).map { $0 == place ? Character(scalar) : "x" })
                    var out = JSONWriter()
                    out.string(text)
                    let back = try JSONDocument.parse(out.bytes).root.string
                    guard back == text else {
                        Issue.record(
                            "\(scalar.value) at \(place) of \(length): \(String(decoding: out.bytes, as: UTF8.self))")
                        return
                    }
                }
            }
        }
    }
}
