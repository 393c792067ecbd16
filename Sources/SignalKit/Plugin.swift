/// One word that names a plugin everywhere: its key in the configuration, its file, its metric label.
///
/// Shape: 1 to 63 of `a-z`, `0-9` and `-`, starting with a letter (the DNS label of RFC 1123, so that it is
/// also safe as a metric label value and a file name).
public struct PluginID: Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    public let description: String

    /// The id, or nil when `text` is not of the shape above.
    public init?(_ text: String) {
        let bytes = text.utf8
        guard (1...63).contains(bytes.count), let first = bytes.first,
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first)
        else { return nil }
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                continue
            default: return nil
            }
        }
        description = text
    }

    /// A literal in a plugin's own source; a malformed one is a programming error and traps at first use.
    public init(stringLiteral text: String) {
        guard let id = PluginID(text) else { preconditionFailure("\(text): a plugin id is 1 to 63 of a-z, 0-9, -") }
        self = id
    }
}

/// What a plugin may ask of the process around it.
public struct Services: Sendable {
    public enum Level: String, Sendable { case debug, info, warning, error }

    /// Writes one operator-facing line. Never pass a secret or a signal's content.
    public let log: @Sendable (Level, String) -> Void

    public init(log: @escaping @Sendable (Level, String) -> Void) { self.log = log }

    /// For tests: a process that says nothing.
    public static let silent = Services { _, _ in }
}

/// Anything that the configuration can name.
public protocol Plugin: Sendable {
    /// The word that selects this plugin: `use: <id>`.
    static var id: PluginID { get }

    /// Reads the plugin's keys. Reading is all it does: no I/O, no socket, no thread.
    init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError)
}
