/// Why a text is not the JSON that was asked for.
public struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Code: String, Sendable, CaseIterable {
        case malformed, tooDeep, tooLarge, duplicateKey, wrongType, missing
    }

    public let code: Code
    /// For a person. No value from the input.
    public let message: String
    /// Bytes from the start of the text, when the fault has a place.
    public let offset: Int?
    /// `alerts[3].labels`, when the fault is in the document's shape.
    public let path: String?

    public init(_ code: Code, _ message: String, offset: Int? = nil, path: String? = nil) {
        (self.code, self.message, self.offset, self.path) = (code, message, offset, path)
    }

    public var description: String {
        message + (path.map { " at \($0)" } ?? "") + (offset.map { " at byte \($0)" } ?? "")
    }
}
