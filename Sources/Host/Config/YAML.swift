import SignalKit
import Yams

/// A configuration file as nodes with their places.
enum YAML {
    /// Nodes that a file may have with its aliases written out: more is a file that was made to be large.
    static let mostNodes = 100_000
    static let mostDepth = 64

    /// - Throws: `ConfigError` with the place of the first fault.
    static func read(_ text: String) throws(ConfigError) -> ConfigNode {
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch {
            throw fault(error)
        }
        guard let root else { return ConfigNode(.null, mark: ConfigMark(line: 1, column: 1)) }
        var left = mostNodes
        return try convert(root, depth: 0, &left)
    }

    private static func convert(_ node: Node, depth: Int, _ left: inout Int) throws(ConfigError) -> ConfigNode {
        let mark = node.mark.map { ConfigMark(line: $0.line, column: $0.column) } ?? ConfigMark(line: 1, column: 1)
        left -= 1
        guard left > 0, depth < mostDepth else {
            throw ConfigError(path: "", mark: mark, "too much of it: \(mostNodes) nodes, \(mostDepth) deep at most")
        }
        switch node {
        case .scalar(let scalar):
            let plain = scalar.style == .plain || scalar.style == .any
            if plain, ["", "~", "null"].contains(scalar.string) { return ConfigNode(.null, mark: mark) }
            return ConfigNode(.scalar(scalar.string, plain: plain), mark: mark)
        case .sequence(let items):
            var list: [ConfigNode] = []
            for item in items { list.append(try convert(item, depth: depth + 1, &left)) }
            return ConfigNode(.list(list), mark: mark)
        case .mapping(let members):
            var entries: [ConfigNode.Entry] = []
            for (key, value) in members {
                guard case .scalar(let name) = key else {
                    throw ConfigError(path: "", mark: mark, "a key must be a plain word")
                }
                let place = key.mark.map { ConfigMark(line: $0.line, column: $0.column) } ?? mark
                entries.append(.init(key: name.string, mark: place, value: try convert(value, depth: depth + 1, &left)))
            }
            return ConfigNode(.map(entries), mark: mark)
        case .alias:
            throw ConfigError(path: "", mark: mark, "an alias of nothing")
        }
    }

    private static func fault(_ error: any Error) -> ConfigError {
        guard let error = error as? YamlError else {
            return ConfigError(path: "", mark: ConfigMark(line: 1, column: 1), "not YAML: \(error)")
        }
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return ConfigError(
                path: "", mark: ConfigMark(line: mark.line, column: mark.column), "not YAML: \(problem)")
        case .duplicatedKeysInMapping(let keys, let context):
            return ConfigError(
                path: "", mark: ConfigMark(line: context.mark.line, column: context.mark.column),
                "a key twice in one mapping: \(keys.joined(separator: ", "))")
        default:
            return ConfigError(path: "", mark: ConfigMark(line: 1, column: 1), "not YAML: \(error)")
        }
    }
}
