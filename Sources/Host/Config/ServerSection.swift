import SignalKit

/// `server:` of the file.
enum ServerSection {
    static func read(_ reader: inout ConfigReader) throws(ConfigError) -> HostConfiguration.Server {
        let listen = try address(&reader, "listen", default: "127.0.0.1:8080")
        let admin = try address(&reader, "admin", default: nil)
        let tokenFile = try reader.optionalText("admin_token_file")
        let limits = try reader.section("limits") { section throws(ConfigError) in try Self.limits(&section) }
        let tls: HostConfiguration.TLS? =
            if reader.has("tls") || reader.isDescribing {
                try reader.section("tls") { section throws(ConfigError) in
                    if section.has("client_ca") {
                        section.report(
                            "client_ca",
                            "client certificates are not in this version: leave it out, and use bearer or hmac")
                    }
                    _ = try section.optionalText("client_ca")
                    return HostConfiguration.TLS(
                        certificate: try section.text("certificate"), key: try section.text("key"))
                }
            } else { nil }
        if let admin, !admin.isLoopback, tokenFile == nil, !reader.isDescribing {
            reader.report("admin", "\(admin) is not on loopback: set admin_token_file, or listen on 127.0.0.1")
        }
        if let admin, admin == listen { reader.report("admin", "is the address of listen: give it another port") }
        return HostConfiguration.Server(
            listen: listen ?? .init(host: "127.0.0.1", port: 8080), admin: admin, adminTokenFile: tokenFile,
            limits: limits,
            tls: tls)
    }

    private static func limits(_ reader: inout ConfigReader) throws(ConfigError) -> HostConfiguration.Limits {
        var limits = HostConfiguration.Limits()
        limits.body = try reader.bytes("body", default: limits.body, in: (1 << 10)...(1 << 30))
        limits.inFlight = try reader.integer("in_flight", default: limits.inFlight, in: 1...100_000)
        limits.inFlightBytes = try reader.bytes(
            "in_flight_bytes", default: limits.inFlightBytes, in: (1 << 10)...(1 << 36))
        limits.deadline = try reader.duration(
            "deadline", default: limits.deadline, in: .milliseconds(100)...(.minutes(5)))
        limits.header = try reader.duration("header", default: limits.header, in: .seconds(1)...(.minutes(1)))
        // Prometheus keeps an idle connection for 5 minutes and does not replay a POST: the host must not close first.
        limits.idle = try reader.duration("idle", default: limits.idle, in: .seconds(301)...(.hours(1)))
        if limits.inFlightBytes < limits.body {
            reader.report(
                "in_flight_bytes", "is below body: the largest body would never be taken; raise it, or lower body")
        }
        return limits
    }

    private static func address(
        _ reader: inout ConfigReader, _ key: String, default fallback: String?
    ) throws(ConfigError) -> HostConfiguration.Address? {
        let text: String?
        if let fallback { text = try reader.text(key, default: fallback) } else { text = try reader.optionalText(key) }
        guard let text else { return nil }
        guard let address = HostConfiguration.Address(text) else {
            reader.report(key, "expected an address with a port, such as 127.0.0.1:8080 or [::1]:8080")
            return nil
        }
        return address
    }
}

extension HostConfiguration.Address: CustomStringConvertible {
    /// `host:port` or `[v6]:port`; nil for anything else.
    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (1...65_535).contains(port)
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("[") {
            guard host.hasSuffix("]"), host.contains(":") else { return nil }
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, !host.contains(where: \.isWhitespace) else { return nil }
        self.init(host: String(host), port: port)
    }

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    var isLoopback: Bool { host == "localhost" || host == "::1" || host.hasPrefix("127.") }
}
