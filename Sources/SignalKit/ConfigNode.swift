/// Where something stands in a file: both from 1.
public struct ConfigMark: Hashable, Comparable, Sendable {
    public let line: Int
    public let column: Int
    public init(line: Int, column: Int) { (self.line, self.column) = (line, column) }
    public static func < (left: ConfigMark, right: ConfigMark) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// A piece of the configuration with its place in the file.
public struct ConfigNode: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        public let key: String
        public let mark: ConfigMark
        public let value: ConfigNode
        public init(key: String, mark: ConfigMark, value: ConfigNode) {
            (self.key, self.mark, self.value) = (key, mark, value)
        }
    }

    public indirect enum Content: Hashable, Sendable {
        /// As written, without quotes. `plain` is false for a quoted one, which is never a number or a boolean.
        case scalar(String, plain: Bool)
        case list([ConfigNode])
        case map([Entry])
        case null
    }

    public let content: Content
    public let mark: ConfigMark
    public init(_ content: Content, mark: ConfigMark) { (self.content, self.mark) = (content, mark) }

    /// What it is, in words for an error.
    public var described: String {
        switch content {
        case .scalar: "a value"
        case .list: "a list"
        case .map: "a mapping"
        case .null: "nothing"
        }
    }
}

/// One thing wrong with the configuration.
public struct ConfigError: Error, Hashable, Sendable {
    /// `policies[1].retention`
    public let path: String
    public let mark: ConfigMark?
    /// What is wrong and what to do.
    public let message: String

    public init(path: String, mark: ConfigMark?, _ message: String) {
        (self.path, self.mark, self.message) = (path, mark, message)
    }
}

/// A key as a plugin declares it by reading it.
public struct ConfigKey: Hashable, Sendable {
    /// From the plugin's own top: `rate.count`.
    public let path: String
    /// `duration`, `integer`, `bytes`, `text`, `choice`, `list`, `boolean`, `path`, `node`
    public let kind: String
    /// As a person would write it; nil when the key is required.
    public let fallback: String?
    /// As a person would read it: `1s to 24h`; empty when anything goes.
    public let bounds: String
    public init(path: String, kind: String, fallback: String?, bounds: String) {
        (self.path, self.kind, self.fallback, self.bounds) = (path, kind, fallback, bounds)
    }
}
