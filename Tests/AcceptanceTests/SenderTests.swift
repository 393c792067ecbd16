import JSON
import TestSupport
import Testing

/// Real senders, as Debian ships them.
@Suite(.serialized) struct SenderTests {
    private static func rules(_ expression: String) -> String {
        """
        groups:
          - name: test
            rules: [{alert: AlwaysFiring, expr: '\(expression)', labels: {namespace: shop, severity: page}}]
        """
    }

    /// Signals that came in by an adapter so far.
    private func received(_ host: HostProcess, _ adapter: String) async throws -> Double {
        try await host.total("received", "adapter=\"\(adapter)\"")
    }

    @Test func prometheusAndAlertmanagerTogetherMakeOneDeliveryThroughAnOutageOfRedis() async throws {
        let redis = try await RedisServer.durable()
        let host = try await HostProcess(.on(redis, timeout: "500ms"))
        let alertmanager = try await Alertmanager(
            webhook: "http://127.0.0.1:\(host.port)\(HostProcess.webhookPath)", repeatInterval: "2s")
        let prometheus = try await Prometheus(
            rules: Self.rules("vector(1)"), alertmanagers: [host.port, alertmanager.port])

        func heardByBothRoads(_ when: String) async throws {
            let before = (try await received(host, "prometheus"), try await received(host, "alertmanager"))
            try await eventually("both senders \(when)", within: .seconds(90), every: .milliseconds(200)) {
                let now = (try await received(host, "prometheus"), try await received(host, "alertmanager"))
                return now.0 > before.0 && now.1 > before.1
            }
        }
        try await heardByBothRoads("at first")
        let firing = try await host.deliveries(1)
        #expect(firing.map(\.name) == ["AlwaysFiring"])

        try await redis.stop()
        try await eventually("a 503 to both senders", within: .seconds(60), every: .milliseconds(200)) {
            try await host.total("responses", "503") >= 2
        }
        try await redis.start()
        try await host.awaitOpen()
        try await heardByBothRoads("after the outage")
        #expect(try host.deliveries().map(\.state) == ["firing"])

        try await prometheus.replaceRules(Self.rules("vector(1) > 2"))
        let all = try await host.deliveries(2, within: .seconds(60))
        #expect(all.map(\.state) == ["firing", "resolved"])
        #expect(Set(all.map(\.episode)).count == 1)
        try await eventually("the end at Alertmanager", within: .seconds(30)) {
            try await alertmanager.http.get("/api/v2/alerts").text.trimmed == "[]"
        }
        let heard = try await received(host, "prometheus")
        try await eventually("Prometheus saying again that it ended", within: .seconds(60), every: .milliseconds(200)) {
            try await received(host, "prometheus") > heard
        }
        #expect(try host.deliveries().count == 2)
    }

    @Test func amtoolAddsAnAlert() async throws {
        let host = try await HostProcess(.embedded())
        let run = try await ChildProcess.run(
            "amtool",
            ["alert", "add", "--alertmanager.url=http://127.0.0.1:\(host.port)", "FromAmtool", "severity=page"])
        #expect(run.end == .exited(0), "\(run.output)\(run.errors)")
        #expect(try await host.deliveries(1).map(\.name) == ["FromAmtool"])
    }

    @Test func prometheusFindsTheEndpointsOfAnAlertmanager() async throws {
        let host = try await HostProcess(.embedded())
        let status = Answer(try await host.http.get("/api/v2/status"))
        #expect(status.status == 200)
        #expect(status.document?["cluster"]?["status"]?.string != nil)
        for key in ["version", "revision", "branch", "buildUser", "buildDate", "goVersion"] {
            #expect(status.document?["versionInfo"]?[key]?.string != nil, "\(key)")
        }
        #expect(status.document?["config"]?["original"]?.string != nil)
        #expect(status.document?["uptime"]?.string != nil)
        #expect(try await host.http.get("/-/ready").status == 200)
        #expect(try await host.http.get("/-/healthy").status == 200)
        #expect(try await host.http.post("/api/v1/alerts", "[]").status == 410)
    }
}

extension String {
    fileprivate var trimmed: String { String(drop { $0.isWhitespace }.prefix { !$0.isWhitespace }) }
}
