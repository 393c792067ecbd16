/// Hands a plugin its own keys, typed and bounded, and remembers which were asked for, so that a key nobody
/// asked for is an error with its line and the nearest known name.
///
/// A key with a default never throws: what is wrong with it is recorded and the default returned, so that one run
/// reports every error of the file. A required key that is missing or wrong throws, because nothing can stand in for it.
public struct ConfigReader {
    private final class Record {
        var errors: [ConfigError] = []
        var keys: [ConfigKey] = []
    }

    /// From the file's top: `policies[1]`.
    public let path: String
    public let mark: ConfigMark?
    private let entries: [ConfigNode.Entry]
    private var asked: Set<String> = []
    private let record: Record
    /// From the plugin's top: empty, or `rate.`.
    private let inner: String
    /// Only declarations are wanted: required keys get a stand-in instead of an error.
    private let describing: Bool

    /// - Parameter node: must be a mapping or nothing; anything else is recorded as an error.
    public init(_ node: ConfigNode, path: String) {
        self.init(node: node, path: path, inner: "", record: Record(), describing: false)
    }

    /// A reader over nothing that records what a plugin declares.
    public static func describing() -> ConfigReader {
        ConfigReader(
            node: ConfigNode(.null, mark: ConfigMark(line: 1, column: 1)), path: "", inner: "", record: Record(),
            describing: true)
    }

    private init(node: ConfigNode, path: String, inner: String, record: Record, describing: Bool) {
        self.path = path
        self.mark = node.mark
        self.inner = inner
        self.record = record
        self.describing = describing
        switch node.content {
        case .map(let entries): self.entries = entries
        case .null: entries = []
        default:
            entries = []
            record.errors.append(
                ConfigError(path: path, mark: node.mark, "expected a mapping of keys, found \(node.described)"))
        }
    }

    public var isDescribing: Bool { describing }
    /// Everything found wrong so far, unknown keys not among them.
    public var errors: [ConfigError] { record.errors }
    /// The keys declared so far, in the order of asking.
    public var keys: [ConfigKey] { record.keys }

    /// The whole mapping as written, for a plugin that checks combinations of its own. Declares nothing.
    public func has(_ key: String) -> Bool { entries.contains { $0.key == key } }

    /// Records an error of the plugin's own about one of its keys, and goes on.
    public func report(_ key: String?, _ message: String) {
        let entry = key.flatMap { name in entries.first { $0.key == name } }
        record.errors.append(ConfigError(path: key.map(full) ?? path, mark: entry?.value.mark ?? mark, message))
    }

    /// A key of an earlier version: an error where it stands, and no part of the reference.
    /// - Parameter message: why it is gone, and what to write now.
    public mutating func removed(_ key: String, _ message: String) {
        guard has(key) else { return }
        asked.insert(key)
        report(key, "\(key) was removed: \(message)")
    }

    /// Ends the reading: records an error for every key that nobody asked for.
    public mutating func finish() {
        for entry in entries where !asked.contains(entry.key) {
            let known = asked.sorted()
            let hint =
                nearest(entry.key, among: known).map { "; did you mean \($0)?" }
                ?? (known.isEmpty ? "; no key is known here" : "; known here: \(known.joined(separator: ", "))")
            record.errors.append(
                ConfigError(path: full(entry.key), mark: entry.mark, "unknown key \(entry.key)\(hint)"))
        }
    }

    // MARK: Typed keys

    /// `8h30m`, `90s`, `500ms`, `1d`.
    public mutating func duration(_ key: String, default fallback: Duration? = nil, in range: ClosedRange<Duration>)
        throws(ConfigError) -> Duration
    {
        try read(
            key, "duration", fallback, render: Self.text,
            bounds: "\(Self.text(range.lowerBound)) to \(Self.text(range.upperBound))",
            standIn: range.lowerBound
        ) { node throws(Wrong) in
            guard case .scalar(let text, _) = node.content, let value = Self.duration(text) else {
                throw Wrong("expected a duration such as 90s, 10m or 8h30m")
            }
            guard range.contains(value) else {
                throw Wrong(
                    "\(text) is out of bounds: \(Self.text(range.lowerBound)) to \(Self.text(range.upperBound))")
            }
            return value
        }
    }

    public mutating func integer(_ key: String, default fallback: Int? = nil, in range: ClosedRange<Int>)
        throws(ConfigError) -> Int
    {
        try read(
            key, "integer", fallback, render: { String($0) }, bounds: "\(range.lowerBound) to \(range.upperBound)",
            standIn: range.lowerBound
        ) { node throws(Wrong) in
            guard case .scalar(let text, true) = node.content, let value = Int(text) else {
                throw Wrong("expected a whole number")
            }
            guard range.contains(value) else {
                throw Wrong("\(value) is out of bounds: \(range.lowerBound) to \(range.upperBound)")
            }
            return value
        }
    }

    /// `64MiB`, `512KiB`, `1GiB`, or a plain number of bytes.
    public mutating func bytes(_ key: String, default fallback: Int? = nil, in range: ClosedRange<Int>)
        throws(ConfigError) -> Int
    {
        try read(
            key, "bytes", fallback, render: Self.byteText,
            bounds: "\(Self.byteText(range.lowerBound)) to \(Self.byteText(range.upperBound))",
            standIn: range.lowerBound
        ) { node throws(Wrong) in
            guard case .scalar(let text, _) = node.content, let value = Self.byteCount(text) else {
                throw Wrong("expected a size such as 64MiB, 512KiB or 4096")
            }
            guard range.contains(value) else {
                throw Wrong(
                    "\(text) is out of bounds: \(Self.byteText(range.lowerBound)) to \(Self.byteText(range.upperBound))"
                )
            }
            return value
        }
    }

    public mutating func boolean(_ key: String, default fallback: Bool? = nil) throws(ConfigError) -> Bool {
        try read(key, "boolean", fallback, render: { String($0) }, bounds: "true or false", standIn: false) {
            node throws(Wrong) in
            switch node.content {
            case .scalar("true", true): return true
            case .scalar("false", true): return false
            default: throw Wrong("expected true or false")
            }
        }
    }

    /// Any text that is not empty, at most `longest` bytes.
    public mutating func text(_ key: String, default fallback: String? = nil, longest: Int = 1_024) throws(ConfigError)
        -> String
    {
        try read(key, "text", fallback, render: { $0 }, bounds: "", standIn: "x") { node throws(Wrong) in
            guard case .scalar(let text, _) = node.content, !text.isEmpty else { throw Wrong("expected a text") }
            guard text.utf8.count <= longest else { throw Wrong("longer than \(longest) bytes") }
            // What is a path would be cut there.
            guard !text.utf8.contains(0) else { throw Wrong("a NUL can't stand here") }
            return text
        }
    }

    /// A text that may be left out.
    public mutating func optionalText(_ key: String, longest: Int = 1_024) throws(ConfigError) -> String? {
        try read(key, "text", .some(nil), render: { $0 ?? "none" }, bounds: "", standIn: nil) {
            node throws(Wrong) -> String? in
            guard case .scalar(let text, _) = node.content, !text.isEmpty else { throw Wrong("expected a text") }
            guard text.utf8.count <= longest else { throw Wrong("longer than \(longest) bytes") }
            // What is a path would be cut there.
            guard !text.utf8.contains(0) else { throw Wrong("a NUL can't stand here") }
            return text
        }
    }

    public mutating func choice<Choice: RawRepresentable & CaseIterable>(_ key: String, default fallback: Choice? = nil)
        throws(ConfigError) -> Choice where Choice.RawValue == String
    {
        let known = Choice.allCases.map(\.rawValue)
        guard let first = Choice.allCases.first else {
            throw ConfigError(path: full(key), mark: mark, "no choice exists")
        }
        return try read(
            key, "choice", fallback, render: \.rawValue, bounds: known.joined(separator: ", "), standIn: first
        ) {
            node throws(Wrong) in
            guard case .scalar(let text, _) = node.content, let value = Choice(rawValue: text) else {
                throw Wrong("expected one of \(known.joined(separator: ", "))")
            }
            return value
        }
    }

    /// A list of texts, none of them empty or longer than `longest` bytes.
    public mutating func texts(
        _ key: String, default fallback: [String]? = nil, count range: ClosedRange<Int> = 0...256, longest: Int = 1_024
    ) throws(ConfigError) -> [String] {
        try read(
            key, "list", fallback, render: { "[\($0.joined(separator: ", "))]" },
            bounds: "\(range.lowerBound) to \(range.upperBound) texts", standIn: []
        ) { node throws(Wrong) in
            guard case .list(let items) = node.content else {
                throw Wrong("expected a list of texts, found \(node.described)")
            }
            guard range.contains(items.count) else {
                throw Wrong("expected \(range.lowerBound) to \(range.upperBound) texts, found \(items.count)")
            }
            var texts: [String] = []
            for item in items {
                guard case .scalar(let text, _) = item.content, !text.isEmpty else {
                    throw Wrong("expected texts that are not empty, found \(item.described)", item.mark)
                }
                guard text.utf8.count <= longest else { throw Wrong("longer than \(longest) bytes", item.mark) }
                texts.append(text)
            }
            return texts
        }
    }

    /// A nested mapping with keys of its own; absent reads as empty, so that its keys have their defaults.
    public mutating func section<Value>(_ key: String, _ body: (inout ConfigReader) throws(ConfigError) -> Value)
        throws(ConfigError) -> Value
    {
        asked.insert(key)
        let node =
            entries.first { $0.key == key }?.value ?? ConfigNode(.null, mark: mark ?? ConfigMark(line: 1, column: 1))
        var nested = ConfigReader(
            node: node, path: full(key), inner: "\(inner)\(key).", record: record, describing: describing)
        let value = try body(&nested)
        nested.finish()
        return value
    }

    /// The raw node, for shapes that the typed methods do not cover. Nil when absent.
    public mutating func node(_ key: String, kind: String = "node", fallback: String? = "none", bounds: String = "")
        -> ConfigNode?
    {
        declare(key, kind, fallback, bounds)
        return entries.first { $0.key == key }?.value
    }

    // MARK: Reading one key

    private struct Wrong: Error {
        let message: String
        let mark: ConfigMark?
        init(_ message: String, _ mark: ConfigMark? = nil) { (self.message, self.mark) = (message, mark) }
    }

    private func full(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    private mutating func declare(_ key: String, _ kind: String, _ fallback: String?, _ bounds: String) {
        asked.insert(key)
        record.keys.append(ConfigKey(path: inner + key, kind: kind, fallback: fallback, bounds: bounds))
    }

    private mutating func read<Value>(
        _ key: String, _ kind: String, _ fallback: Value?, render: (Value) -> String, bounds: String, standIn: Value,
        _ parse: (ConfigNode) throws(Wrong) -> Value
    ) throws(ConfigError) -> Value {
        declare(key, kind, fallback.map(render), bounds)
        guard let entry = entries.first(where: { $0.key == key }) else {
            if let fallback { return fallback }
            if describing { return standIn }
            throw ConfigError(
                path: full(key), mark: mark, "\(key) is required: \(kind)\(bounds.isEmpty ? "" : ", \(bounds)")")
        }
        do {
            return try parse(entry.value)
        } catch {
            let wrong = ConfigError(path: full(key), mark: error.mark ?? entry.value.mark, error.message)
            guard let fallback else { throw wrong }
            record.errors.append(wrong)
            return fallback
        }
    }
}
