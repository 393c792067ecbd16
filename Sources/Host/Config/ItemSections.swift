import Policies
import SignalKit

/// What every adapter of the file has beside its own keys.
enum RouteSection {
    static let reserved = ["/", "/-/ready", "/-/healthy", "/api/v2/status", "/api/v1/alerts", "/api/v1/status"]

    static func read(
        _ reader: inout ConfigReader
    ) throws(ConfigError) -> (path: String, authentication: HostConfiguration.Authentication) {
        let path = try reader.text("path", longest: 512)
        let mark = reader.mark
        let whole = reader.path
        let plain = path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !"?#%\"<>\\".utf8.contains($0) }
        if !reader.isDescribing, !path.hasPrefix("/") || !plain || reserved.contains(path) {
            reader.report(
                "path",
                reserved.contains(path)
                    ? "\(path) is taken by the host itself" : "expected a path such as /api/v1/signals/alertmanager")
        }
        guard
            let node = reader.node(
                "authenticate", fallback: nil, bounds: "none, {bearer: {token_file}} or {hmac: {key_file, header}}")
        else {
            if reader.isDescribing { return (path, .none) }
            throw ConfigError(
                path: "\(whole).authenticate", mark: mark,
                "authenticate is required: none, {bearer: {token_file: …}} or {hmac: {key_file: …}}")
        }
        return (path, try authentication(node, path: "\(whole).authenticate", &reader))
    }

    private static func authentication(
        _ node: ConfigNode, path: String, _ reader: inout ConfigReader
    ) throws(ConfigError) -> HostConfiguration.Authentication {
        let expected = "expected none, {bearer: {token_file: …}} or {hmac: {key_file: …, header: …}}"
        switch node.content {
        case .scalar("none", _): return .none
        case .scalar(let word, _):
            throw ConfigError(
                path: path, mark: node.mark, word == "mtls" ? "mtls is not in this version; \(expected)" : expected)
        case .map(let entries) where entries.count == 1:
            var inner = ConfigReader(entries[0].value, path: "\(path).\(entries[0].key)")
            let found: HostConfiguration.Authentication
            switch entries[0].key {
            case "bearer": found = .bearer(tokenFile: try inner.text("token_file", longest: 4_096))
            case "hmac":
                found = .hmac(
                    keyFile: try inner.text("key_file", longest: 4_096),
                    header: try inner.text("header", default: "X-Signature", longest: 128))
            case "kubernetes", "mtls":
                throw ConfigError(
                    path: path, mark: entries[0].mark, "\(entries[0].key) is not in this version; \(expected)")
            default: throw ConfigError(path: path, mark: entries[0].mark, expected)
            }
            inner.finish()
            if let first = inner.errors.first { throw first }
            return found
        default: throw ConfigError(path: path, mark: node.mark, expected)
        }
    }
}

/// What every policy of the file has beside its own keys, and the order that the chain must have.
enum PolicySection {
    private enum OnError: String, CaseIterable { case closed, open }

    /// Configuration may tighten a failure mode, never loosen it.
    static func mode(_ reader: inout ConfigReader, _ type: any Policy.Type) throws(ConfigError) -> FailureMode {
        guard reader.has("on_error") || reader.isDescribing else { return type.failureMode }
        let wanted: OnError = try reader.choice("on_error", default: type.failureMode == .closed ? .closed : .open)
        switch (wanted, type.failureMode) {
        case (.closed, _): return .closed
        case (.open, .open): return type.failureMode
        case (.open, .closed):
            reader.report(
                "on_error", "\(type.id) fails closed, and configuration may tighten, never loosen: leave it out")
            return .closed
        }
    }

    static func gate(_ reader: inout ConfigReader, _ name: String) throws(ConfigError) {
        guard reader.has("on_error") else { return }
        _ = reader.node("on_error")
        reader.report("on_error", "\(name) decides in the store and is closed by construction: leave it out")
    }

    /// - Parameter gate: names of the gate policies as listed.
    static func order(_ items: [Sections.Item], _ gate: [String]) -> [ConfigError] {
        guard !items.isEmpty else { return [] }
        var errors: [ConfigError] = []
        func item(_ name: String) -> Sections.Item? { items.first { $0.use == name } }
        if let persist = item("persist") {
            if let last = items.last, last.use != "persist" {
                errors.append(
                    ConfigError(
                        path: persist.path, mark: persist.useMark,
                        "persist queues what all others let pass: move it below \(last.use) (\(last.path)), to the end")
                )
            }
        } else {
            errors.append(
                ConfigError(
                    path: "policies", mark: items.last?.node.mark,
                    "persist is required, as the last policy: without it nothing is ever delivered"))
        }
        if let deduplicate = item("deduplicate") {
            if let first = gate.first, first != "deduplicate", first != "?", first != "persist", let other = item(first)
            {
                errors.append(
                    ConfigError(
                        path: deduplicate.path, mark: deduplicate.useMark,
                        "deduplicate makes the record that the other gate policies read: move it above \(first) (\(other.path))"
                    ))
            }
        } else {
            errors.append(
                ConfigError(
                    path: "policies", mark: items.first?.node.mark,
                    "deduplicate is required, as the first gate policy: it makes the record that persist queues"))
        }
        return errors
    }

    /// Alertmanager's default `repeat_interval`, twice.
    private static let twoRepeats = Duration.hours(8)

    static func warnings(_ item: Sections.Item, _ policy: any GatePolicy) -> [ConfigError] {
        if let deduplicate = policy as? Deduplicate, deduplicate.retention < twoRepeats {
            return [
                ConfigError(
                    path: "\(item.path).retention", mark: item.useMark,
                    "\(ConfigReader.text(deduplicate.retention)) is below two of Alertmanager's default repeats (4h): a problem that fires on "
                        + "may be forgotten between them, and come as a new one")
            ]
        }
        if let persist = policy as? Persist, case .unverified(let reason) = persist.durability {
            return [
                ConfigError(
                    path: "\(item.path).durability", mark: item.useMark,
                    "durability is unverified (\(reason)): what was acknowledged is as safe as that is true")
            ]
        }
        return []
    }
}

/// What every sink of the file has beside its own keys.
enum SinkSection {
    static func read(
        _ reader: inout ConfigReader
    ) throws(ConfigError) -> (name: PluginID, whenFull: HostConfiguration.WhenFull) {
        let text = try reader.text("name", longest: 63)
        let whenFull: HostConfiguration.WhenFull = try reader.choice("when_full")
        guard let name = PluginID(text) else {
            reader.report("name", "expected 1 to 63 of a-z, 0-9 and -, starting with a letter")
            return ("invalid", whenFull)
        }
        return (name, whenFull)
    }
}
