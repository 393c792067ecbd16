import SignalKit

/// What came of reading a file: a configuration when there is no error, and everything that is wrong with it at once.
struct ConfigurationReading: Sendable {
    let file: String
    var configuration: HostConfiguration?
    var errors: [ConfigError] = []
    var warnings: [ConfigError] = []

    /// `file:line:column: path: message`, in the order of the file.
    static func line(_ error: ConfigError, file: String) -> String {
        let place = error.mark.map { ":\($0.line):\($0.column)" } ?? ""
        return "\(file)\(place): \(error.path.isEmpty ? "" : "\(error.path): ")\(error.message)"
    }

    mutating func sort() {
        let first = ConfigMark(line: 0, column: 0)
        errors.sort { ($0.mark ?? first, $0.path) < ($1.mark ?? first, $1.path) }
        warnings.sort { ($0.mark ?? first, $0.path) < ($1.mark ?? first, $1.path) }
    }
}

extension HostConfiguration {
    /// Reads and checks a whole file. Opens nothing, and asks nobody.
    static func read(
        _ text: String, file: String, plugins: Plugins, services: Services = .silent
    ) -> ConfigurationReading {
        var reading = ConfigurationReading(file: file)
        for name in plugins.duplicates {
            reading.errors.append(
                ConfigError(path: "", mark: nil, "this build has two plugins of one name: \(name); rename one"))
        }
        do throws(ConfigError) {
            let root = try YAML.read(text)
            var sections = Sections(plugins: plugins, services: services)
            reading.configuration = sections.read(root)
            reading.errors += sections.errors
            reading.warnings += sections.warnings
        } catch {
            reading.errors.append(error)
        }
        if !reading.errors.isEmpty { reading.configuration = nil }
        reading.sort()
        return reading
    }
}

/// Reads the top of the file, and goes on after every error that it can go on after.
struct Sections {
    let plugins: Plugins
    let services: Services
    var errors: [ConfigError] = []
    var warnings: [ConfigError] = []

    init(plugins: Plugins, services: Services) { (self.plugins, self.services) = (plugins, services) }

    mutating func read(_ root: ConfigNode) -> HostConfiguration? {
        var top = ConfigReader(root, path: "")
        let server = collect { () throws(ConfigError) in
            try top.section("server") { section throws(ConfigError) in try ServerSection.read(&section) }
        }
        let state = collect { () throws(ConfigError) in
            try top.section("state") { section throws(ConfigError) in try StateSection.read(&section) }
        }
        let adapters = items(&top, "adapters", required: true)
        let sources = items(&top, "sources", required: false)
        let policies = items(&top, "policies", required: true)
        let sinks = items(&top, "sinks", required: true)
        top.finish()

        for source in sources { unknown("source", source, known: plugins.sources.map { $0.id }) }
        let routes = routes(adapters)
        let chain = chain(policies)
        let entries = entries(sinks)
        errors += top.errors
        guard let server, let state else { return nil }
        if state.timeout >= server.limits.deadline {
            errors.append(
                ConfigError(
                    path: "state.timeout", mark: nil,
                    "\(ConfigReader.text(state.timeout)) is not below server.limits.deadline "
                        + "(\(ConfigReader.text(server.limits.deadline))): lower it, or raise that"))
        }
        if !server.listen.isLoopback {
            for route in routes where route.authentication == .none {
                warnings.append(
                    ConfigError(
                        path: "adapters", mark: nil,
                        "\(route.path) takes signals from anybody who reaches \(server.listen): authenticate is none"))
            }
        }
        return HostConfiguration(
            server: server, state: state, routes: routes, policies: chain.inProcess, gatePolicies: chain.gate,
            sinks: entries,
            warnings: warnings)
    }

    /// Runs `body`, and keeps what it throws.
    private mutating func collect<Value>(_ body: () throws(ConfigError) -> Value) -> Value? {
        do throws(ConfigError) {
            return try body()
        } catch {
            errors.append(error)
            return nil
        }
    }

    // MARK: Lists

    struct Item {
        let use: String
        let useMark: ConfigMark
        let node: ConfigNode
        let path: String
    }

    private mutating func items(_ top: inout ConfigReader, _ key: String, required: Bool) -> [Item] {
        guard let node = top.node(key, kind: "list", fallback: required ? nil : "[]") else {
            if required { errors.append(ConfigError(path: key, mark: top.mark, "\(key) is required: a list")) }
            return []
        }
        let list: [ConfigNode]
        switch node.content {
        case .list(let items): list = items
        case .null: list = []
        default:
            errors.append(ConfigError(path: key, mark: node.mark, "expected a list, found \(node.described)"))
            return []
        }
        if required && list.isEmpty {
            errors.append(ConfigError(path: key, mark: node.mark, "\(key) is empty: name at least one"))
        }
        var found: [Item] = []
        for (place, item) in list.enumerated() {
            let path = "\(key)[\(place)]"
            guard case .map(let entries) = item.content else {
                errors.append(
                    ConfigError(
                        path: path, mark: item.mark, "expected a mapping such as {use: …}, found \(item.described)"))
                continue
            }
            guard let use = entries.first(where: { $0.key == "use" }), case .scalar(let name, _) = use.value.content
            else {
                errors.append(
                    ConfigError(path: "\(path).use", mark: item.mark, "use is required: the name of a plugin"))
                continue
            }
            found.append(Item(use: name, useMark: use.value.mark, node: item, path: path))
        }
        return found
    }

    private mutating func unknown(_ kind: String, _ item: Item, known: [PluginID]) {
        let names = known.map(\.description)
        let hint =
            nearest(item.use, among: names).map { "; did you mean \($0)?" }
            ?? (names.isEmpty ? "; this build has none" : "; this build has \(names.sorted().joined(separator: ", "))")
        errors.append(
            ConfigError(path: "\(item.path).use", mark: item.useMark, "no \(kind) is called \(item.use)\(hint)"))
    }

    /// Reads one item's own keys and its plugin's. Nil when either can't be read.
    private mutating func plugin<Own, Made>(
        _ item: Item, _ own: (inout ConfigReader) throws(ConfigError) -> Own,
        _ make: (inout ConfigReader, Services) throws(ConfigError) -> Made
    ) -> (own: Own, made: Made)? {
        var reader = ConfigReader(item.node, path: item.path)
        var thrown: [ConfigError] = []
        var found: Own?
        var made: Made?
        _ = try? reader.text("use")
        do throws(ConfigError) { found = try own(&reader) } catch { thrown.append(error) }
        do throws(ConfigError) { made = try make(&reader, services) } catch { thrown.append(error) }
        reader.finish()
        errors += reader.errors + thrown
        guard let found, let made else { return nil }
        return (found, made)
    }

    // MARK: Adapters

    private mutating func routes(_ items: [Item]) -> [HostConfiguration.Route] {
        var routes: [HostConfiguration.Route] = []
        var taken: [String: String] = [:]
        for item in items {
            guard let type = plugins.adapters.first(where: { $0.id.description == item.use }) else {
                unknown("adapter", item, known: plugins.adapters.map { $0.id })
                continue
            }
            let read = plugin(item, { reader throws(ConfigError) in try RouteSection.read(&reader) }) {
                reader, services throws(ConfigError) -> any SignalAdapter in try type.init(&reader, services)
            }
            guard let read else { continue }
            if let other = taken[read.own.path] {
                errors.append(
                    ConfigError(
                        path: "\(item.path).path", mark: item.node.mark,
                        "\(read.own.path) is the path of \(other) already"))
            }
            taken[read.own.path] = item.path
            routes.append(
                .init(adapter: type.id, path: read.own.path, authentication: read.own.authentication, plugin: read.made)
            )
        }
        return routes
    }

    // MARK: Policies

    private mutating func chain(_ items: [Item]) -> (
        inProcess: [HostConfiguration.InProcessPolicy], gate: [any GatePolicy]
    ) {
        var inProcess: [HostConfiguration.InProcessPolicy] = []
        var gate: [(item: Item, policy: any GatePolicy)] = []
        var firstGate: Item?
        var gateNames: [String] = []
        for item in items {
            if let type = plugins.policies.first(where: { $0.id.description == item.use }) {
                if let firstGate {
                    errors.append(
                        ConfigError(
                            path: item.path, mark: item.useMark,
                            "\(item.use) decides in the host, before the gate: move it above \(firstGate.use) (\(firstGate.path))"
                        ))
                }
                let read = plugin(item, { reader throws(ConfigError) in try PolicySection.mode(&reader, type) }) {
                    reader, services throws(ConfigError) -> any Policy in try type.init(&reader, services)
                }
                if let read { inProcess.append(.init(id: type.id, mode: read.own, plugin: read.made)) }
            } else if let type = plugins.gatePolicies.first(where: { $0.id.description == item.use }) {
                if firstGate == nil { firstGate = item }
                if gateNames.contains(item.use) {
                    errors.append(
                        ConfigError(
                            path: item.path, mark: item.useMark, "\(item.use) is here twice: the gate takes it once"))
                }
                gateNames.append(item.use)
                let read = plugin(item, { reader throws(ConfigError) in try PolicySection.gate(&reader, item.use) }) {
                    reader, services throws(ConfigError) -> any GatePolicy in try type.init(&reader, services)
                }
                if let read { gate.append((item, read.made)) }
            } else {
                unknown("policy", item, known: plugins.policies.map { $0.id } + plugins.gatePolicies.map { $0.id })
                gateNames.append("?")
            }
        }
        errors += PolicySection.order(items, gateNames)
        for (item, policy) in gate { warnings += PolicySection.warnings(item, policy) }
        return (inProcess, gate.map(\.policy))
    }

    // MARK: Sinks

    private mutating func entries(_ items: [Item]) -> [HostConfiguration.SinkEntry] {
        var entries: [HostConfiguration.SinkEntry] = []
        var names: Set<PluginID> = []
        for item in items {
            guard let type = plugins.sinks.first(where: { $0.id.description == item.use }) else {
                unknown("sink", item, known: plugins.sinks.map { $0.id })
                continue
            }
            let read = plugin(item, { reader throws(ConfigError) in try SinkSection.read(&reader) }) {
                reader, services throws(ConfigError) -> any Sink in try type.init(&reader, services)
            }
            guard let read else { continue }
            if !names.insert(read.own.name).inserted {
                errors.append(
                    ConfigError(
                        path: "\(item.path).name", mark: item.node.mark,
                        "\(read.own.name) is the name of another sink already: a queue belongs to one"))
            }
            entries.append(.init(name: read.own.name, use: type.id, whenFull: read.own.whenFull, plugin: read.made))
        }
        return entries
    }
}
