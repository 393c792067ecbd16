import SignalKit

extension PluginReading {
    /// - Parameters:
    ///   - adapters: those of this build.
    ///   - routes: those of the file that are right.
    func sources(
        _ nodes: [ConfigNode], feeding adapters: [PluginID], _ routes: [HostConfiguration.Route]
    ) -> [HostConfiguration.SourceEntry] {
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
            if let feeds = head.feeds, !routes.contains(where: { $0.adapter == feeds }) {
                let hint =
                    adapters.contains(feeds) ? "add it to adapters: its keys hold for the source too" : "there is none"
                config.report("feeds", "no adapter \(feeds) is configured: \(hint)")
            }
            guard let type = plugins.sources.first(where: { $0.id == id }) else {
                findings.add(config.errors)
                continue
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
