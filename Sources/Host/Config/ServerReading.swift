import Redis
import SignalKit

extension HostConfiguration.Server {
    /// Reads the keys below `server`. Nil when one of them can't be used.
    init?(_ config: inout ConfigReader, _ findings: Findings) {
        let listen = config.address("listen", required: true)
        let admin = config.address("admin", required: false)
        let token = config.secretFile("admin_token_file", required: false, findings)
        let hosts = Self.adminHosts(&config, findings)
        let limits = findings.attempt { () throws(ConfigError) in
            try config.section("limits") { limits throws(ConfigError) in try HostConfiguration.Limits(&limits) }
        }
        let tls = Self.tls(&config, findings)
        if let admin {
            if admin == listen { config.report("admin", "\(admin) is server.listen already") }
            if !admin.isLoopback, !config.has("admin_token_file") {
                config.report(
                    "admin",
                    "\(admin) is off loopback, where anybody may ask: give admin_token_file, or listen on 127.0.0.1"
                )
            }
        } else if token != nil, !config.has("admin") {
            config.report("admin_token_file", "there is no admin listener: give admin as well")
        }
        guard let listen, let limits else { return nil }
        self.init(
            listen: listen, admin: admin, adminTokenFile: token, adminHosts: hosts, limits: limits, tls: tls)
    }

    private static func adminHosts(_ config: inout ConfigReader, _ findings: Findings) -> [String] {
        let read = findings.attempt { () throws(ConfigError) in
            try config.texts("admin_hosts", default: [], count: 0...32, longest: 253)
        }
        let hosts = read ?? []
        for name in hosts where !name.utf8.allSatisfy(HostConfiguration.Address.isOfName) {
            config.report("admin_hosts", "\(name) is no host name: write it without scheme, port and path")
        }
        if !hosts.isEmpty, !config.has("admin") {
            config.report("admin_hosts", "there is no admin listener: give admin as well")
        }
        return hosts
    }

    private static func tls(_ config: inout ConfigReader, _ findings: Findings) -> HostConfiguration.TLS? {
        guard config.has("tls") || config.isDescribing else { return nil }
        let read = findings.attempt { () throws(ConfigError) in
            try config.section("tls") { tls throws(ConfigError) -> HostConfiguration.TLS? in
                let certificate = tls.file("certificate")
                let key = tls.file("key")
                tls.refuse("client_ca", "client certificates are not in this version")
                guard let certificate, let key else { return nil }
                for fault in RedisTLS.faults(certificate: certificate, key: key) {
                    let mark = tls.node(fault.setting, kind: "path")?.mark
                    findings.warnOfFile("\(tls.path).\(fault.setting)", mark, fault.message)
                }
                return HostConfiguration.TLS(certificate: certificate, key: key)
            }
        }
        return read ?? nil
    }
}

extension HostConfiguration.Limits {
    init(_ config: inout ConfigReader) throws(ConfigError) {
        self.init()
        body = try config.bytes("body", default: body, in: 1 << 10...1 << 30)
        inFlight = try config.integer("in_flight", default: inFlight, in: 1...100_000)
        inFlightBytes = try config.bytes("in_flight_bytes", default: inFlightBytes, in: 1 << 10...64 << 30)
        connections = try config.integer("connections", default: connections, in: 1...100_000)
        deadline = try config.duration("deadline", default: deadline, in: .milliseconds(100)...(.minutes(5)))
        header = try config.duration("header", default: header, in: .seconds(1)...(.minutes(1)))
        // Prometheus keeps a connection for 5 minutes and does not repeat a POST that meets a closed one.
        idle = try config.duration("idle", default: idle, in: .seconds(301)...(.hours(1)))
        if inFlightBytes < body {
            let sizes = "in_flight_bytes (\(ConfigReader.byteText(inFlightBytes))) is below body"
            config.report(
                config.has("in_flight_bytes") ? "in_flight_bytes" : "body",
                "\(sizes) (\(ConfigReader.byteText(body))): a body of that size could never be taken")
        }
    }
}
