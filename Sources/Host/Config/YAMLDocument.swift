import SignalKit
import Yams

/// A YAML text as nodes with their places.
enum YAMLDocument {
    /// A configuration has a few hundred; this is where expanding aliases ends.
    static let mostNodes = 10_000
    /// The deepest key of a configuration is at 6.
    static let deepest = 64
    /// Few enough that what they expand to, one inside the other, can still be walked and compared.
    static let mostAliases = 16

    /// - Throws: the first thing that makes it no YAML, or no configuration: a second document, a key given twice,
    ///   a key that is not text, a tag, too many nodes.
    static func read(_ text: String) throws(ConfigError) -> ConfigNode {
        try boundAliases(text)
        let root: Node?
        do {
            root = try Yams.compose(yaml: text, .default, .default, .utf8)
        } catch {
            throw reading(error, text)
        }
        guard let root else {
            throw ConfigError(path: "", mark: ConfigMark(line: 1, column: 1), "the file says nothing")
        }
        var left = mostNodes
        return try node(root, depth: 0, &left)
    }

    private static func node(_ node: Node, depth: Int, _ left: inout Int) throws(ConfigError) -> ConfigNode {
        let mark = ConfigMark(node.mark)
        left -= 1
        guard left >= 0 else { throw ConfigError(path: "", mark: mark, "more than \(mostNodes) values") }
        guard depth < deepest else { throw ConfigError(path: "", mark: mark, "more than \(deepest) levels") }
        switch node {
        case .scalar(let scalar): return try ConfigNode(content(scalar, mark), mark: mark)
        case .sequence(let sequence):
            var items: [ConfigNode] = []
            for item in sequence { items.append(try Self.node(item, depth: depth + 1, &left)) }
            return ConfigNode(.list(items), mark: mark)
        case .mapping(let mapping):
            var entries: [ConfigNode.Entry] = []
            for (key, value) in mapping {
                let place = ConfigMark(key.mark)
                guard case .scalar(let name) = key else {
                    throw ConfigError(path: "", mark: place, "a key must be a text")
                }
                guard !entries.contains(where: { $0.key == name.string }) else {
                    throw ConfigError(path: "", mark: place, "\(name.string) is given twice in one mapping")
                }
                let value = try Self.node(value, depth: depth + 1, &left)
                entries.append(.init(key: name.string, mark: place, value: value))
            }
            return ConfigNode(.map(entries), mark: mark)
        case .alias: throw ConfigError(path: "", mark: mark, "an alias without its anchor")
        }
    }

    private static func content(_ scalar: Node.Scalar, _ mark: ConfigMark) throws(ConfigError) -> ConfigNode.Content {
        let text = scalar.string
        let tag = scalar.tag.rawValue
        guard scalar.style == .plain, tag != Tag.Name.str.rawValue, tag != Tag.Name.nonSpecific.rawValue else {
            return .scalar(text, plain: false)
        }
        guard tag.isEmpty || tag.hasPrefix("tag:yaml.org,2002:") else {
            throw ConfigError(path: "", mark: mark, "tags such as \(tag) are not read here")
        }
        // The words of YAML 1.1 and 1.2 for nothing.
        return ["", "~", "null", "Null", "NULL"].contains(text) ? .null : .scalar(text, plain: true)
    }

    /// Counts what may be an alias: a star before a name, where a value may begin. Before the text is composed,
    /// because composing compares keys, and keys may be aliases too.
    private static func boundAliases(_ text: String) throws(ConfigError) {
        var (line, column, count) = (1, 0, 0)
        var (before, last) = (UInt8(ascii: "\n"), UInt8(ascii: "\n"))
        for byte in text.utf8 {
            let named =
                byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
                || byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") || byte == UInt8(ascii: "_")
            if last == UInt8(ascii: "*"), named, " \n\r\t[{,".utf8.contains(before) {
                count += 1
                guard count <= mostAliases else {
                    throw ConfigError(
                        path: "", mark: ConfigMark(line: line, column: column), "more than \(mostAliases) aliases")
                }
            }
            // UTF-8's continuation bytes are of the character before them.
            if byte & 0xC0 != 0x80 { column += 1 }
            (before, last) = (last, byte)
            if byte == UInt8(ascii: "\n") { (line, column) = (line + 1, 0) }
        }
    }

    private static func reading(_ error: any Error, _ text: String) -> ConfigError {
        func found(_ mark: Mark, _ message: String) -> ConfigError {
            ConfigError(path: "", mark: ConfigMark(mark), message)
        }
        switch error {
        case YamlError.scanner(let context, let problem, let mark, _),
            YamlError.parser(let context, let problem, let mark, _):
            let began = context.map { ", \($0.text) that begins at \($0.mark)" } ?? ""
            let tab = character(at: mark, of: text) == "\t" ? "; indent with spaces, not with a tab" : ""
            return found(mark, "not YAML: \(problem)\(began)\(tab)")
        case YamlError.composer(_, let problem, let mark, _):
            guard problem.contains("another document") else { return found(mark, "not YAML: \(problem)") }
            return found(mark, "a second document begins here; a configuration is one")
        case YamlError.duplicatedKeysInMapping(let keys, let context):
            return found(context.mark, "\(keys.joined(separator: ", ")) is given twice in one mapping, first here")
        case YamlError.reader(let problem, let offset, _, _):
            return ConfigError(path: "", mark: offset.map { place($0, in: text) }, "not YAML: \(problem)")
        default: return ConfigError(path: "", mark: nil, "not YAML: \(error)")
        }
    }

    private static func character(at mark: Mark, of text: String) -> Character? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.indices.contains(mark.line - 1) else { return nil }
        return lines[mark.line - 1].dropFirst(mark.column - 1).first
    }

    private static func place(_ offset: Int, in text: String) -> ConfigMark {
        let before = text.prefix(offset)
        let line = before.reduce(1) { $0 + ($1.isNewline ? 1 : 0) }
        let column = before.lastIndex(where: \.isNewline).map { before.distance(from: $0, to: before.endIndex) }
        return ConfigMark(line: line, column: column ?? before.count + 1)
    }
}

extension ConfigMark {
    fileprivate init(_ mark: Mark?) { self.init(line: mark?.line ?? 1, column: mark?.column ?? 1) }
}
