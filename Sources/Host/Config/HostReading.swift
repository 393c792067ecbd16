import SignalKit

extension HostConfiguration {
    /// bytes of a file
    static let longestFile = 1 << 20

    /// Reads and checks a file. Opens nothing else.
    static func load(
        file: String, plugins: Plugins, services: Services = .silent
    ) -> Result<HostConfiguration, ConfigFailure> {
        func failure(_ message: String) -> Result<HostConfiguration, ConfigFailure> {
            .failure(ConfigFailure(file: file, errors: [ConfigError(path: "", mark: nil, message)]))
        }
        let bytes: [UInt8]
        do {
            bytes = try InputFile.bytes(file, limit: longestFile)
        } catch {
            return failure(error.message)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { return failure("it is not UTF-8") }
        return read(text, file: file, plugins: plugins, services: services)
    }

    /// - Parameter file: its name, for the errors.
    /// - Returns: the configuration, or every error of the text at once.
    static func read(
        _ text: String, file: String, plugins: Plugins, services: Services = .silent
    ) -> Result<HostConfiguration, ConfigFailure> {
        let findings = Findings()
        findings.add(plugins.clashes)
        let root: ConfigNode
        do throws(ConfigError) {
            root = try YAMLDocument.read(text)
            guard case .map = root.content else {
                throw ConfigError(
                    path: "", mark: root.mark,
                    "expected server, state, adapters, policies and sinks, found \(root.described)")
            }
        } catch {
            return .failure(ConfigFailure(file: file, errors: findings.errors + [error]))
        }
        var top = ConfigReader(root, path: "")
        let sections = Sections(&top, findings)
        let reading = PluginReading(plugins: plugins, services: services, findings: findings)
        let routes = reading.routes(sections.adapters)
        let sources = reading.sources(sections.sources, feeding: sections.adapters)
        let policies = reading.policies(sections.policies, list: root.place(of: "policies"))
        let sinks = reading.sinks(sections.sinks)
        top.finish()
        findings.add(top.errors)
        findings.add(Contradictions.find(root))

        guard findings.errors.isEmpty, let server = sections.server, let state = sections.state else {
            return .failure(
                ConfigFailure(
                    file: file, errors: findings.errors, warnings: findings.warnings + findings.fileWarnings))
        }
        var configuration = HostConfiguration(
            server: server, state: state, routes: routes, policies: policies.inProcess,
            gatePolicies: policies.gate, sinks: sinks, sources: sources)
        let oddities = Oddities.find(root, configuration)
        configuration.warnings = (findings.warnings + oddities).byPlace
        configuration.fileWarnings = findings.fileWarnings.byPlace
        return .success(configuration)
    }

    /// The file's top.
    struct Sections {
        let server: Server?
        let state: State?
        let adapters: [ConfigNode]
        let sources: [ConfigNode]
        let policies: [ConfigNode]
        let sinks: [ConfigNode]

        init(_ top: inout ConfigReader, _ findings: Findings) {
            let server = findings.attempt { () throws(ConfigError) in
                try top.section("server") { server throws(ConfigError) in Server(&server, findings) }
            }
            self.server = server ?? nil
            let deadline = (server ?? nil)?.limits.deadline ?? Limits().deadline
            let state = findings.attempt { () throws(ConfigError) in
                try top.section("state") { state throws(ConfigError) in
                    State(&state, deadline: deadline, findings)
                }
            }
            self.state = state ?? nil
            adapters = top.items("adapters", required: true, bounds: "one adapter or more")
            sources = top.items("sources", required: false, bounds: "what the host fetches by itself")
            policies = top.items("policies", required: true, bounds: "deduplicate and persist at least")
            sinks = top.items("sinks", required: true, bounds: "one sink or more")
        }
    }
}

extension ConfigNode {
    /// Where a key of a mapping stands.
    func place(of key: String) -> ConfigMark? {
        guard case .map(let entries) = content else { return nil }
        return entries.first { $0.key == key }?.mark
    }

    subscript(key: String) -> ConfigNode? {
        guard case .map(let entries) = content else { return nil }
        return entries.first { $0.key == key }?.value
    }

    var items: [ConfigNode] {
        guard case .list(let items) = content else { return [] }
        return items
    }
}

/// Keys of several sections that are right by themselves and can't go together. Read from the text, so that they are told with
/// whatever else is wrong.
enum Contradictions {
    static func find(_ root: ConfigNode) -> [ConfigError] {
        guard let redis = root["state"]?["redis"] else { return [] }
        let ways = ["embedded", "url", "sentinel"].filter { redis.place(of: $0) != nil }
        var found: [ConfigError] = []
        for (index, node) in (root["policies"]?.items ?? []).enumerated() {
            guard case .scalar("persist", _)? = node["use"]?.content, let durability = node["durability"] else {
                continue
            }
            let path = "policies[\(index)].durability"
            // A Sentinel fails over to a replica, whose log is another.
            if ways == ["sentinel"], case .scalar("fsync", _) = durability.content {
                found.append(
                    ConfigError(
                        path: path, mark: durability.mark,
                        "with Sentinel give {replicas: 1} or more: an fsync on a master that is then failed over saves nobody"
                    ))
            }
            if ways == ["embedded"], let replicas = durability["replicas"] {
                found.append(
                    ConfigError(
                        path: "\(path).replicas", mark: replicas.mark,
                        "the embedded server has no replicas: give fsync"))
            }
        }
        return found
    }
}

/// What is allowed, and probably not meant.
enum Oddities {
    static func find(_ root: ConfigNode, _ configuration: HostConfiguration) -> [ConfigError] {
        var found: [ConfigError] = []
        for (index, node) in (root["policies"]?.items ?? []).enumerated() {
            let path = "policies[\(index)]"
            switch node["use"]?.content {
            case .scalar("deduplicate", _)?:
                if let retention = node["retention"], case .scalar(let text, _) = retention.content,
                    let value = ConfigReader.duration(text), value < .hours(24)
                {
                    found.append(
                        ConfigError(
                            path: "\(path).retention", mark: retention.mark,
                            "\(text) is below two repeats of kube-prometheus (repeat_interval: 12h): a problem that still fires "
                                + "may end as forgotten and then be delivered as a new one"))
                }
            case .scalar("persist", _)?:
                if let reason = node["durability"]?["unverified"] {
                    found.append(
                        ConfigError(
                            path: "\(path).durability", mark: reason.mark,
                            "nobody verifies that the store keeps what was acknowledged"))
                }
            default: continue
            }
        }
        if !configuration.server.listen.isLoopback {
            for (index, route) in configuration.routes.enumerated() where route.authentication == .none {
                let node = root["adapters"]?.items[index]["authenticate"]
                found.append(
                    ConfigError(
                        path: "adapters[\(index)].authenticate", mark: node?.mark,
                        "anybody who reaches \(configuration.server.listen) may post here"))
            }
        }
        return found
    }
}
