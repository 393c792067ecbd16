import JSON

/// A real Alertmanager on free loopback ports.
public final class Alertmanager: Sendable {
    public let port: Int
    public let http: HTTP
    private let directory: TemporaryDirectory
    private let child: ChildProcess

    /// - Parameter webhook: where it posts; retries and groups are as quick as its configuration allows.
    public init(webhook: String, groupInterval: String = "1s", repeatInterval: String = "1h") async throws {
        directory = try TemporaryDirectory()
        port = try freePort()
        http = HTTP(port: port)
        try Files.write(
            """
            global: {resolve_timeout: 5m}
            route: {receiver: portcullis, group_by: [alertname], group_wait: 0s, group_interval: \(groupInterval), repeat_interval: \(repeatInterval)}
            receivers:
              - name: portcullis
                webhook_configs: [{url: '\(webhook)', send_resolved: true}]
            """, to: directory.file("alertmanager.yml"))
        child = try ChildProcess(
            "prometheus-alertmanager",
            [
                "--config.file=\(directory.file("alertmanager.yml"))", "--storage.path=\(directory.file("data"))",
                "--web.listen-address=127.0.0.1:\(port)", "--cluster.listen-address=",
            ], in: directory, name: "alertmanager")
        try await awaitReady(http, "Alertmanager", child)
    }

    public var log: String { child.errors }
}

/// A real Prometheus with the rules a test gives it, on a free loopback port. It scrapes once a second.
public final class Prometheus: Sendable {
    public let port: Int
    public let http: HTTP
    private let directory: TemporaryDirectory
    private let child: ChildProcess

    /// - Parameters:
    ///   - rules: the text of a rule file.
    ///   - alertmanagers: ports on loopback that take `POST /api/v2/alerts`.
    ///   - scrapes: ports on loopback that answer `GET /metrics`; their job is called portcullis.
    public init(rules: String, alertmanagers: [Int] = [], scrapes: [Int] = []) async throws {
        directory = try TemporaryDirectory()
        port = try freePort()
        http = HTTP(port: port)
        func targets(_ ports: [Int]) -> String { ports.map { "'127.0.0.1:\($0)'" }.joined(separator: ", ") }
        try Files.write(rules, to: directory.file("rules.yml"))
        try Files.write(
            """
            global: {evaluation_interval: 1s, scrape_interval: 1s}
            rule_files: [rules.yml]
            alerting:
              alertmanagers:
                - {api_version: v2, static_configs: [{targets: [\(targets(alertmanagers))]}]}
            scrape_configs:
              - {job_name: portcullis, static_configs: [{targets: [\(targets(scrapes))]}]}
            """, to: directory.file("prometheus.yml"))
        // A firing alert's endsAt is 4 resend delays ahead: far enough for a machine that is busy with other tests.
        child = try ChildProcess(
            "prometheus",
            [
                "--config.file=\(directory.file("prometheus.yml"))", "--storage.tsdb.path=\(directory.file("data"))",
                "--web.listen-address=127.0.0.1:\(port)", "--web.enable-lifecycle", "--rules.alert.resend-delay=10s",
            ], in: directory, name: "prometheus")
        try await awaitReady(http, "Prometheus", child)
    }

    /// The values that an expression has now, one for each series; not those that are no number.
    /// - Throws: `TestFailure` with Prometheus's words when it is no expression.
    public func query(_ expression: String) async throws -> [Double] {
        let answer = try await http.post(
            "/api/v1/query", "query=\(Self.encoded(expression))",
            headers: ["Content-Type": "application/x-www-form-urlencoded"])
        guard answer.status == 200 else { throw TestFailure("\(expression): \(answer.text)") }
        let result = try JSONDocument.parse(answer.body).root["data"]?["result"]?.array
        return (result.map { Array($0) } ?? []).compactMap { series in
            let pair = series["value"]?.array.map { Array($0) } ?? []
            return pair.last?.string.flatMap { Double($0) }.flatMap { $0.isNaN ? nil : $0 }
        }
    }

    /// As a form has it.
    private static func encoded(_ text: String) -> String {
        text.utf8.map { byte in
            let scalar = Unicode.Scalar(byte)
            if scalar.isASCII, scalar.properties.isAlphabetic || scalar.properties.numericType != nil {
                return String(scalar)
            }
            return "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }

    /// Takes another rule file, as an operator's reload does.
    public func replaceRules(_ rules: String) async throws {
        try Files.write(rules, to: directory.file("rules.yml"))
        let answer = try await http.post("/-/reload", "")
        guard answer.status == 200 else { throw TestFailure("Prometheus refused the rules: \(answer.text)") }
    }

    public var log: String { child.errors }
}

private func awaitReady(_ http: HTTP, _ name: String, _ child: ChildProcess) async throws {
    try await eventually("\(name) ready", within: .seconds(30), every: .milliseconds(50)) {
        guard child.isRunning else { throw TestFailure("\(name) ended: \(child.errors)") }
        return (try? await http.get("/-/ready", timeout: .seconds(2)))?.status == 200
    }
}
