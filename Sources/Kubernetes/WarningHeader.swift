/// A `Warning:` header as the API server writes it: `299 - "unknown field \"spec.size\""` (RFC 7234, 5.5).
enum WarningHeader {
    /// of one answer
    static let most = 16
    private static let longest = 512

    /// The text between the quotation marks; all of it when there are none.
    static func text(_ value: String) -> String {
        guard let open = value.firstIndex(of: "\"") else { return String(value.prefix(longest)) }
        var text = ""
        var isEscaped = false
        for character in value[value.index(after: open)...].prefix(longest) {
            if !isEscaped, character == "\"" { break }
            isEscaped = !isEscaped && character == "\\"
            if !isEscaped { text.append(character) }
        }
        return text
    }
}
