/// Three real Alertmanagers that tell each other what they have sent, on free loopback ports.
public final class AlertmanagerMesh: Sendable {
    public let ports: [Int]
    private let directory: TemporaryDirectory
    private let children: [ChildProcess]

    /// - Parameter webhooks: where each of them posts.
    public init(webhooks: [String]) async throws {
        let directory = try TemporaryDirectory()
        self.directory = directory
        let configs = webhooks.map { "{url: '\($0)', send_resolved: true}" }.joined(separator: ", ")
        try Files.write(
            """
            global: {resolve_timeout: 5m}
            route: {receiver: portcullis, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
            receivers:
              - name: portcullis
                webhook_configs: [\(configs)]
            """, to: directory.file("alertmanager.yml"))
        let ports = try (0..<3).map { _ in try freePort() }
        let gossip = try (0..<3).map { _ in try freePort() }
        self.ports = ports
        children = try (0..<3).map { place in
            let peers = gossip.filter { $0 != gossip[place] }.map { "--cluster.peer=127.0.0.1:\($0)" }
            return try ChildProcess(
                "prometheus-alertmanager",
                [
                    "--config.file=\(directory.file("alertmanager.yml"))",
                    "--storage.path=\(directory.file("data-\(place)"))",
                    "--web.listen-address=127.0.0.1:\(ports[place])",
                    "--cluster.listen-address=127.0.0.1:\(gossip[place])", "--cluster.peer-timeout=1s",
                    "--cluster.settle-timeout=1s",
                ] + peers, in: directory, name: "alertmanager-\(place)")
        }
        for (place, port) in ports.enumerated() {
            let child = children[place]
            try await eventually(
                "Alertmanager \(place) with its peers", within: .seconds(60), every: .milliseconds(100)
            ) {
                guard child.isRunning else { throw TestFailure("Alertmanager ended: \(child.errors)") }
                let status = try? await HTTP(port: port).get("/api/v2/status", timeout: .seconds(2))
                guard let status, status.status == 200 else { return false }
                return status.text.split(separator: "\"address\"").count == 4 && status.text.contains("\"ready\"")
            }
        }
    }

    /// How many alerts each of them holds.
    public func alerts() async throws -> [Int] {
        var counts: [Int] = []
        for port in ports {
            let text = try await HTTP(port: port).get("/api/v2/alerts").text
            counts.append(text.split(separator: "\"generatorURL\"").count - 1)
        }
        return counts
    }
}
