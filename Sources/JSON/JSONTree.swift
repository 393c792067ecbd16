internal import CJansson
internal import Glibc

/// A document to build and edit, over jansson: for what is not on the road of a signal (answers to operators,
/// objects for other systems). A value type: what it was made from does not change with it.
public enum JSONTree: Sendable, Hashable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    case null
    case boolean(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONTree])
    case object([String: JSONTree])

    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .boolean(value) }
    public init(arrayLiteral elements: JSONTree...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONTree)...) {
        self = .object(Dictionary(elements) { _, last in last })
    }

    /// A copy to edit. Of a name that occurs twice, the last counts.
    public init(_ value: JSONValue) {
        switch value.kind {
        case .null: self = .null
        case .boolean: self = .boolean(value.boolean ?? false)
        case .number: self = value.integer.map(JSONTree.integer) ?? .number(value.double ?? 0)
        case .string: self = .string(value.string ?? "")
        case .array: self = .array(value.array?.map(JSONTree.init) ?? [])
        case .object:
            let members = value.object?.map { ($0.key, JSONTree($0.value)) } ?? []
            self = .object(Dictionary(members) { _, last in last })
        }
    }

    /// A member; nil when there is none or this is no object. Setting one of what is no object makes it one.
    public subscript(_ key: String) -> JSONTree? {
        get {
            guard case .object(let members) = self else { return nil }
            return members[key]
        }
        set {
            var members: [String: JSONTree] = [:]
            if case .object(let known) = self { members = known }
            members[key] = newValue
            self = .object(members)
        }
    }

    /// Nil when it is of another kind.
    public var text: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    /// - Throws: `.malformed` for what JSON can't say: a number that is not finite, a string with a NUL.
    public func text(pretty: Bool = false) throws(JSONError) -> [UInt8] {
        let value = try made()
        defer { json_decref(value) }
        let flags = Int(JSON_SORT_KEYS | JSON_ENCODE_ANY) | (pretty ? 2 : Int(JSON_COMPACT))
        guard let text = json_dumps(value, flags) else { throw JSONError(.tooLarge, "no memory to write the document") }
        defer { free(text) }
        // SAFETY: NUL-ended, freed above
        return Array(UnsafeBufferPointer(start: text, count: strlen(text)).map(UInt8.init(bitPattern:)))
    }

    // SAFETY: each call returns a new reference that its caller owns; the `_new` setters take it over.
    private func made() throws(JSONError) -> UnsafeMutablePointer<json_t> {
        let value: UnsafeMutablePointer<json_t>?  // SAFETY: owned, see above
        switch self {
        case .null: value = json_null()
        case .boolean(let flag): value = flag ? json_true() : json_false()
        case .integer(let number): value = json_integer(number)
        case .number(let number): value = json_real(number)
        case .string(let text): value = json_stringn(text, text.utf8.count)
        case .array(let items):
            value = json_array()
            for item in items {
                guard try json_array_append_new(value, item.made()) == 0 else { throw Self.refused(value) }
            }
        case .object(let members):
            value = json_object()
            for (name, member) in members {
                guard try json_object_setn_new(value, name, name.utf8.count, member.made()) == 0 else {
                    throw Self.refused(value)
                }
            }
        }
        guard let value else { throw JSONError(.malformed, "a value that JSON can't say") }
        return value
    }

    private static func refused(_ value: UnsafeMutablePointer<json_t>?) -> JSONError {  // SAFETY: ends its life
        json_decref(value)
        return JSONError(.malformed, "a member that JSON can't say")
    }
}
