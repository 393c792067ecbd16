/// One value of a document: a view, nothing is copied until asked for.
public struct JSONValue: Sendable {
    public enum Kind: String, Sendable { case null, boolean, number, string, array, object }

    let document: JSONDocument
    let place: Int

    public var kind: Kind {
        switch document.tag(place) {
        case UInt8(ascii: "\""): .string
        case UInt8(ascii: "{"): .object
        case UInt8(ascii: "["): .array
        case UInt8(ascii: "t"), UInt8(ascii: "f"): .boolean
        case UInt8(ascii: "n"): .null
        default: .number
        }
    }

    /// Nil when it is of another kind.
    public var string: String? {
        guard document.tag(place) == UInt8(ascii: "\"") else { return nil }
        return String(decoding: document.text(place), as: UTF8.self)
    }

    /// The bytes of a string, for a reader that needs no text of its own; nil when it is of another kind.
    // SAFETY: the buffer is the document's, and valid while `read` runs.
    package func withUTF8<Result>(_ read: (UnsafeBufferPointer<UInt8>) -> Result) -> Result? {
        guard document.tag(place) == UInt8(ascii: "\"") else { return nil }
        return read(document.text(place))
    }

    /// Whether this is that string, without making one.
    public func equals(_ text: StaticString) -> Bool {
        guard document.tag(place) == UInt8(ascii: "\"") else { return false }
        return document.matches(place, text)
    }

    /// Nil when it is no number, has a fraction or exponent, or does not fit.
    public var integer: Int64? {
        switch document.tag(place) {
        case UInt8(ascii: "l"): Int64(bitPattern: document.tape[place + 1])
        case UInt8(ascii: "u"): Int64(exactly: document.tape[place + 1])
        default: nil
        }
    }

    /// Nil when it is no number.
    public var double: Double? {
        switch document.tag(place) {
        case UInt8(ascii: "d"): Double(bitPattern: document.tape[place + 1])
        case UInt8(ascii: "l"): Double(Int64(bitPattern: document.tape[place + 1]))
        case UInt8(ascii: "u"): Double(document.tape[place + 1])
        default: nil
        }
    }

    public var boolean: Bool? {
        switch document.tag(place) {
        case UInt8(ascii: "t"): true
        case UInt8(ascii: "f"): false
        default: nil
        }
    }

    public var isNull: Bool { document.tag(place) == UInt8(ascii: "n") }

    public var array: JSONArray? {
        document.tag(place) == UInt8(ascii: "[") ? JSONArray(document: document, place: place) : nil
    }

    public var object: JSONObject? {
        document.tag(place) == UInt8(ascii: "{") ? JSONObject(document: document, place: place) : nil
    }

    /// The first member of that name, nil when there is none or this is no object.
    public subscript(_ key: String) -> JSONValue? { object?[key] }
}

/// The items of an array, in order.
public struct JSONArray: Sequence, Sendable {
    let document: JSONDocument
    let place: Int

    public struct Iterator: IteratorProtocol {
        let document: JSONDocument
        var place: Int
        let end: Int

        public mutating func next() -> JSONValue? {
            guard place < end else { return nil }
            defer { place = document.after(place) }
            return JSONValue(document: document, place: place)
        }
    }

    public func makeIterator() -> Iterator {
        Iterator(document: document, place: place + 1, end: document.after(place) - 1)
    }

    /// Read off the tape up to 2^24 - 1 items, counted beyond.
    public var count: Int { document.count(place) ?? reduce(0) { sum, _ in sum + 1 } }
    public var isEmpty: Bool { document.after(place) == place + 2 }
    public var underestimatedCount: Int { document.count(place) ?? 0 }
}

/// The members of an object, in the order of the text; a name may occur twice.
public struct JSONObject: Sequence, Sendable {
    let document: JSONDocument
    let place: Int

    public struct Member: Sendable {
        let document: JSONDocument
        let place: Int

        public var key: String { String(decoding: document.text(place), as: UTF8.self) }
        public var value: JSONValue { JSONValue(document: document, place: place + 1) }
        /// Compares without making a string.
        public func isNamed(_ name: StaticString) -> Bool { document.matches(place, name) }
        /// The same, whatever the case of ASCII letters.
        package func isNamed(anyCase name: StaticString) -> Bool { document.matches(place, anyCase: name) }
    }

    public struct Iterator: IteratorProtocol {
        let document: JSONDocument
        var place: Int
        let end: Int

        public mutating func next() -> Member? {
            guard place < end else { return nil }
            defer { place = document.after(place + 1) }
            return Member(document: document, place: place)
        }
    }

    public func makeIterator() -> Iterator {
        Iterator(document: document, place: place + 1, end: document.after(place) - 1)
    }

    public var count: Int { document.count(place) ?? reduce(0) { sum, _ in sum + 1 } }
    public var isEmpty: Bool { document.after(place) == place + 2 }
    public var underestimatedCount: Int { document.count(place) ?? 0 }

    /// The first member of that name.
    public subscript(_ key: String) -> JSONValue? {
        var key = key
        return key.withUTF8 { wanted in
            for member in self where document.text(member.place).elementsEqual(wanted) { return member.value }
            return nil
        }
    }

    /// The first name that occurs for the second time.
    public func firstDuplicateKey() -> String? {
        // Pairs are compared up to 16 members: label sets are small, and that costs no allocation.
        guard underestimatedCount > 16 else {
            for member in self {
                let name = document.text(member.place)
                for earlier in self {
                    if earlier.place == member.place { break }
                    if document.text(earlier.place).elementsEqual(name) { return member.key }
                }
            }
            return nil
        }
        var seen: Set<String> = []
        for member in self where !seen.insert(member.key).inserted { return member.key }
        return nil
    }
}

extension JSONDocument {
    /// Items or members, nil when the tape's 24 bits are saturated.
    fileprivate func count(_ place: Int) -> Int? {
        let count = Int((payload(place) >> 32) & 0xFF_FFFF)
        return count == 0xFF_FFFF ? nil : count
    }

    fileprivate func matches(_ place: Int, _ wanted: StaticString) -> Bool {
        let text = text(place)
        guard text.count == wanted.utf8CodeUnitCount else { return false }
        return text.elementsEqual(UnsafeBufferPointer(start: wanted.utf8Start, count: text.count))  // SAFETY: static
    }

    fileprivate func matches(_ place: Int, anyCase wanted: StaticString) -> Bool {
        let text = text(place)
        guard text.count == wanted.utf8CodeUnitCount else { return false }
        func lower(_ byte: UInt8) -> UInt8 {
            (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
        }
        // SAFETY: static
        return text.elementsEqual(UnsafeBufferPointer(start: wanted.utf8Start, count: text.count)) {
            lower($0) == lower($1)
        }
    }
}
