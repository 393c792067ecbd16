/// A reply (RESP2).
public enum RedisValue: Sendable, Hashable {
    case null
    case integer(Int64)
    case bytes([UInt8])
    case status(String)
    case array([RedisValue])
    case error(RedisServerError)

    /// The integer; of bytes or a status too when they are the digits of one.
    public var int: Int64? {
        switch self {
        case .integer(let value): value
        case .bytes(let bytes): Int64(String(decoding: bytes, as: UTF8.self))
        case .status(let text): Int64(text)
        case .null, .array, .error: nil
        }
    }

    /// The text of bytes (when they are UTF-8) or of a status.
    public var string: String? {
        switch self {
        case .bytes(let bytes): String(validating: bytes, as: UTF8.self)
        case .status(let text): text
        case .null, .integer, .array, .error: nil
        }
    }

    public var bytesValue: [UInt8]? {
        switch self {
        case .bytes(let bytes): bytes
        case .status(let text): Array(text.utf8)
        case .null, .integer, .array, .error: nil
        }
    }

    public var list: [RedisValue]? {
        guard case .array(let values) = self else { return nil }
        return values
    }

    public var isNull: Bool { self == .null }

    public var serverError: RedisServerError? {
        guard case .error(let error) = self else { return nil }
        return error
    }

    /// The value itself.
    /// - Throws: an error reply, as an error.
    public func get() throws(RedisError) -> RedisValue {
        if case .error(let error) = self { throw RedisError(error) }
        return self
    }
}
