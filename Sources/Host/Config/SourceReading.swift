import SignalKit

extension PluginReading {
    /// - Parameter adapters: the file's list of them. Whether they are right is told where they stand.
    func sources(_ nodes: [ConfigNode], feeding adapters: [ConfigNode]) -> [HostConfiguration.SourceEntry] {
        var lines: [PluginID: Int] = [:]
        var sources: [HostConfiguration.SourceEntry] = []
        for (index, node) in nodes.enumerated() {
            var config = ConfigReader(node, path: "sources[\(index)]")
            guard case .map = node.content else {
                findings.add(config.errors.isEmpty ? [Self.noMapping(config)] : config.errors)
                continue
            }
            let id = use(&config, .source, known: plugins.sources.map { $0.id })
            let head = SourceHead(&config)
            guard let type = plugins.sources.first(where: { $0.id == id }) else {
                findings.add(config.errors)
                continue
            }
            if let feeds = head.feeds, let wrong = Self.wrong(feeds, of: type, adapters) {
                config.report("feeds", wrong)
            }
            let name = head.name ?? type.id
            if let line = lines[name] {
                config.report("name", "\(name) is the source of line \(line) already: what it keeps goes by its name")
            } else {
                lines[name] = node.mark.line
            }
            let plugin = build(&config, type) { config, services throws(ConfigError) -> any SignalSource in
                try type.init(&config, services)
            }
            guard let plugin, let feeds = head.feeds else { continue }
            sources.append(.init(name: name, use: type.id, feeds: feeds, plugin: plugin))
        }
        return sources
    }

    private static func wrong(
        _ feeds: PluginID, of type: any SignalSource.Type, _ adapters: [ConfigNode]
    ) -> String? {
        guard type.feeds.contains(feeds) else {
            let readers = type.feeds.map(\.description).sorted().joined(separator: " or ")
            return "what \(type.id) fetches is read by \(readers), not by \(feeds)"
        }
        let isThere = adapters.contains { adapter in
            guard case .scalar(let word, _)? = adapter["use"]?.content else { return false }
            return word == feeds.description
        }
        return isThere ? nil : "the file has no adapter \(feeds): add it to adapters, its keys hold for the source too"
    }
}

/// What every entry of `sources` has, whatever the source.
struct SourceHead {
    let name: PluginID?
    let feeds: PluginID?

    init(_ config: inout ConfigReader) {
        let bounds = "1 to 63 of a-z, 0-9 and -, a letter first"
        func id(_ text: String) throws(Misshapen) -> PluginID {
            guard let id = PluginID(text) else { throw Misshapen("expected \(bounds)") }
            return id
        }
        name = config.shaped("name", kind: "text", bounds: bounds, fallback: "the source's id", id)
        feeds = config.shaped("feeds", kind: "text", bounds: "an adapter of the file", required: true, id)
    }
}
