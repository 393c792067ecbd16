/// Writes JSON text front to back, without a tree: for documents on the road of a signal. The caller sees to it
/// that begins and ends pair up and that keys stand where keys belong.
public struct JSONWriter: Sendable {
    public private(set) var bytes: [UInt8] = []
    /// The next value or key is the first in its array or object.
    private var first = true
    private var afterKey = false

    public init(reserving capacity: Int = 256) { bytes.reserveCapacity(capacity) }

    private mutating func separate() {
        if afterKey { afterKey = false } else if !first { bytes.append(UInt8(ascii: ",")) }
        first = false
    }

    public mutating func beginObject() {
        separate()
        bytes.append(UInt8(ascii: "{"))
        first = true
    }

    public mutating func endObject() {
        bytes.append(UInt8(ascii: "}"))
        first = false
    }

    public mutating func beginArray() {
        separate()
        bytes.append(UInt8(ascii: "["))
        first = true
    }

    public mutating func endArray() {
        bytes.append(UInt8(ascii: "]"))
        first = false
    }

    /// After a whole document, of which many stand one to a line.
    public mutating func endLine() {
        bytes.append(UInt8(ascii: "\n"))
        first = true
    }

    public mutating func key(_ name: String) {
        separate()
        quote(name)
        bytes.append(UInt8(ascii: ":"))
        afterKey = true
    }

    public mutating func string(_ text: String) {
        separate()
        quote(text)
    }

    public mutating func integer(_ number: Int64) {
        separate()
        bytes.append(contentsOf: String(number).utf8)
    }

    /// - Parameter number: null is written for what JSON can't say (NaN, infinities).
    public mutating func double(_ number: Double) {
        separate()
        bytes.append(contentsOf: (number.isFinite ? "\(number)" : "null").utf8)
    }

    public mutating func boolean(_ value: Bool) {
        separate()
        bytes.append(contentsOf: (value ? "true" : "false").utf8)
    }

    public mutating func null() {
        separate()
        bytes.append(contentsOf: "null".utf8)
    }

    /// A text in ASCII that needs no escape: a time, a number in hex.
    public mutating func plain(_ text: some Collection<UInt8>) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: text)
        bytes.append(UInt8(ascii: "\""))
    }

    /// A value that is JSON text already.
    public mutating func raw(_ json: some Collection<UInt8>) {
        separate()
        bytes.append(contentsOf: json)
    }

    // MARK: Members; nil is left out

    public mutating func member(_ name: String, _ value: String?) {
        guard let value else { return }
        key(name)
        string(value)
    }

    public mutating func member(_ name: String, _ value: Int64?) {
        guard let value else { return }
        key(name)
        integer(value)
    }

    public mutating func member(_ name: String, _ value: Int) { member(name, Int64(value)) }

    public mutating func member(_ name: String, _ value: Bool?) {
        guard let value else { return }
        key(name)
        boolean(value)
    }

    // MARK: Strings

    private mutating func quote(_ text: String) {
        var text = text
        text.withUTF8 { quote($0) }
    }

    // SAFETY: the buffer is read here and not kept.
    mutating func quote(_ utf8: UnsafeBufferPointer<UInt8>) {
        bytes.append(UInt8(ascii: "\""))
        var plain = 0
        while true {
            let special = Self.special(utf8, from: plain)
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[plain..<special]))  // SAFETY: as above
            guard special < utf8.count else { break }
            escape(utf8[special])
            plain = special + 1
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// The place of the first byte that has to be escaped, the length when there is none. Eight at a time: most texts have none.
    private static func special(_ utf8: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {  // SAFETY: as above
        let (ones, highs) = (0x0101_0101_0101_0101 as UInt64, 0x8080_8080_8080_8080 as UInt64)
        // The high bit of every byte that is below `bound`, for bytes below 0x80.
        func below(_ word: UInt64, _ bound: UInt64) -> UInt64 { (word &- ones &* bound) & ~word }
        var place = start
        let raw = UnsafeRawBufferPointer(utf8)
        while place + 8 <= utf8.count {
            let word = raw.loadUnaligned(fromByteOffset: place, as: UInt64.self)
            let found = below(word, 0x20) | below(word ^ (ones &* 0x22), 1) | below(word ^ (ones &* 0x5C), 1)
            // A borrow may mark a byte above one that is marked rightly: looked at byte by byte below.
            if found & highs != 0 { break }
            place += 8
        }
        while place < utf8.count, utf8[place] >= 0x20, utf8[place] != 0x22, utf8[place] != 0x5C { place += 1 }
        return place
    }

    private mutating func escape(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case 0x22, 0x5C: bytes.append(byte)
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        default:
            let digits = Array("0123456789abcdef".utf8)
            bytes.append(contentsOf: "u00".utf8)
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 15)])
        }
    }

    /// For a value of a parsed document, whose strings need no copy.
    // SAFETY: the buffer is read here and not kept.
    mutating func string(utf8: UnsafeBufferPointer<UInt8>) {
        separate()
        quote(utf8)
    }

    mutating func key(utf8: UnsafeBufferPointer<UInt8>) {  // SAFETY: the buffer is read here and not kept
        separate()
        quote(utf8)
        bytes.append(UInt8(ascii: ":"))
        afterKey = true
    }
}

extension JSONValue {
    /// Writes the value again, minified. Recursion is bounded by the depth that the document was parsed with.
    public func write(to out: inout JSONWriter) {
        switch kind {
        case .null: out.null()
        case .boolean: out.boolean(boolean ?? false)
        case .number:
            if let integer {
                out.integer(integer)
            } else if document.tag(place) == UInt8(ascii: "u") {
                out.raw(String(document.tape[place + 1]).utf8)
            } else {
                out.double(double ?? .nan)
            }
        case .string: out.string(utf8: document.text(place))
        case .array:
            out.beginArray()
            for item in JSONArray(document: document, place: place) { item.write(to: &out) }
            out.endArray()
        case .object:
            out.beginObject()
            for member in JSONObject(document: document, place: place) {
                member.write(to: &out)
            }
            out.endObject()
        }
    }
}

extension JSONObject.Member {
    /// Writes name and value again, minified, into the object that has been begun.
    public func write(to out: inout JSONWriter) {
        out.key(utf8: document.text(place))
        value.write(to: &out)
    }
}
