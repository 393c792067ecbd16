internal import CSimdjson

/// A parsed JSON text. Read-only; values are views into it and keep it alive.
// SAFETY: the tape and the strings are written by the parse, before the object exists, and never again.
public final class JSONDocument: @unchecked Sendable {
    private let parser: UnsafeMutableRawPointer  // SAFETY: owned; freed once, in deinit
    let tape: UnsafePointer<UInt64>  // SAFETY: lives as long as `parser`
    let strings: UnsafePointer<UInt8>  // SAFETY: lives as long as `parser`

    /// A number that neither 64 bits nor a double hold is a number all the same: it has no `integer`, and a `double` near
    /// to it or 1e308.
    /// - Parameters:
    ///   - bytes: one JSON text in UTF-8, at most 4 GiB (simdjson's bound).
    ///   - maxDepth: levels of arrays and objects that hold something, at most 1024.
    /// - Throws: `.malformed` with the offset of the first byte that no document could have there (the length when
    ///   it ends too early), `.tooDeep`, `.tooLarge` (also for more than 4 MiB that hold hardly anything but
    ///   separators and digits: such a document would take 14 bytes of memory for each of its own).
    public static func parse(_ bytes: [UInt8], maxDepth: Int = 64) throws(JSONError) -> JSONDocument {
        try parse(bytes, maxDepth, lenient: false)
    }

    /// Parses a text as Go's encoding/json does: of strings, each byte that is no UTF-8 reads as U+FFFD, and so does an escape
    /// that is half a surrogate pair (`\ud83d`, an emoji cut in two). Text of which more than a quarter, and more than 64 KiB,
    /// is no UTF-8 is malformed.
    package static func lenient(_ bytes: [UInt8], maxDepth: Int) throws(JSONError) -> JSONDocument {
        try parse(bytes, maxDepth, lenient: true)
    }

    private static func parse(_ bytes: [UInt8], _ maxDepth: Int, lenient: Bool) throws(JSONError) -> JSONDocument {
        guard !bytes.isEmpty else { throw JSONError(.malformed, "nothing where JSON should be", offset: 0) }
        // SAFETY: the call reads exactly `count` bytes and keeps no pointer to them.
        let parsed = bytes.withUnsafeBufferPointer { csimdjson_parse($0.baseAddress, $0.count, maxDepth, lenient) }
        if let document = JSONDocument(parsed) { return document }
        switch parsed.status {
        case CSIMDJSON_TOO_LARGE: throw JSONError(.tooLarge, "\(bytes.count) bytes are more than can be read")
        case CSIMDJSON_TOO_DENSE:
            throw JSONError(.tooLarge, "\(bytes.count) bytes with more than two values or separators in five of them")
        case CSIMDJSON_OUT_OF_MEMORY: throw JSONError(.tooLarge, "no memory for \(bytes.count) bytes")
        default: break
        }
        let fault = parsed.fault
        if parsed.status == CSIMDJSON_TOO_DEEP, fault < bytes.count, bytes[fault] == 0x5B || bytes[fault] == 0x7B {
            throw JSONError(.tooDeep, "more than \(maxDepth) levels", offset: fault)
        }
        throw JSONError(
            .malformed, fault == bytes.count ? "the JSON text ends too early" : "not JSON", offset: fault)
    }

    private init?(_ parsed: csimdjson_document) {
        guard let parser = parsed.parser, let tape = parsed.tape, let strings = parsed.strings else { return nil }
        self.parser = parser
        self.tape = tape
        self.strings = strings
    }

    deinit { csimdjson_free(parser) }

    public var root: JSONValue { JSONValue(document: self, place: 1) }

    // MARK: The tape (simdjson's doc/tape.md)

    func tag(_ place: Int) -> UInt8 { UInt8(tape[place] >> 56) }
    func payload(_ place: Int) -> UInt64 { tape[place] & 0x00FF_FFFF_FFFF_FFFF }

    /// The place after the value at `place`.
    func after(_ place: Int) -> Int {
        switch tag(place) {
        case UInt8(ascii: "{"), UInt8(ascii: "["): Int(payload(place) & 0xFFFF_FFFF)
        case UInt8(ascii: "l"), UInt8(ascii: "u"), UInt8(ascii: "d"): place + 2
        default: place + 1
        }
    }

    /// The bytes of the string at `place`, which must hold one.
    // SAFETY: the buffer is valid while the document lives; callers do not let it escape.
    func text(_ place: Int) -> UnsafeBufferPointer<UInt8> {
        let start = strings + Int(payload(place))
        let length = UnsafeRawPointer(start).loadUnaligned(as: UInt32.self)  // SAFETY: simdjson's length prefix
        return UnsafeBufferPointer(start: start + 4, count: Int(length))  // SAFETY: as above
    }
}
