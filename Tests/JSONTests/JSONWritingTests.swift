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

    /// Texts are looked through eight bytes at a time: each byte at each place, alone and beside what looks like it.
    @Test func whatHasToBeEscapedIsSeenWhereverItStands() throws {
        for byte in 0..<UInt8(128) {
            for place in 0..<20 {
                for filling in ["a", "!", "#", "\u{7f}", "é"] {
                    let piece = String(UnicodeScalar(byte))
                    let parts = [String](repeating: filling, count: place) + [piece, piece, filling, filling]
                    let text = parts.joined()
                    var writer = JSONWriter()
                    writer.string(text)
                    let inside = writer.bytes.dropFirst().dropLast()
                    #expect(!inside.contains { $0 < 0x20 })
                    #expect(try JSONDocument.parse(writer.bytes).root.string == text)
                }
            }
        }
    }

    @Test func aNULCutsNoNameOfAMember() throws {
        let tree: JSONTree = ["a\0b": 1, "a": 2]
        #expect(String(decoding: try tree.text(), as: UTF8.self) == #"{"a":2,"a\u0000b":1}"#)
    }
}
