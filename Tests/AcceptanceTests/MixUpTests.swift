import Glibc
import JSON
import TestAPIServer
import TestSupport
import Testing

/// A host whose watch, reviews and objects all go to one API server that offers HTTP/2 over TLS.
struct MixUpTests {
    /// The watch comes first, then senders: those with an invented token must never get in, and those with a good one always.
    /// Some seconds in CI; `PORTCULLIS_TEST_MIXUP_SECONDS=180` runs it for minutes and prints what it counted.
    @Test func besideAWatchNoInventedTokenGetsInAndNoGoodOneIsRefused() async throws {
        let asked = getenv("PORTCULLIS_TEST_MIXUP_SECONDS").flatMap { Int(String(cString: $0)) }
        let server = try await TestAPIServer(token: "letmein")
        let front = try await HTTP2Front(backend: server.port)
        let kubeconfig = try front.kubeconfig(namespace: "gate")
        var plan = HostPlan.embedded()
        plan.adapters = """
              - {use: alertmanager, path: \(HostProcess.webhookPath), authenticate: {kubernetes: {kubeconfig: '\(kubeconfig)'}}}
              - {use: kubernetes-events, path: /events, authenticate: none}
            """
        plan.sources = "  - {use: kubernetes-events-watch, feeds: kubernetes-events, kubeconfig: '\(kubeconfig)'}"
        plan.sinks = "  - {use: kubernetes, name: cluster, when_full: refuse, kubeconfig: '\(kubeconfig)'}"
        let host = try await HostProcess(plan)
        try await eventually("a watch") { server.watching == 1 }
        // From its second start on it does not list first: the watch is the first request of the process.
        #expect(try await host.stop() == .exited(0))
        try await eventually("no watch") { server.watching == 0 }
        try await host.start()
        try await host.awaitOpen()
        try await eventually("a watch") { server.watching == 1 }

        let began = ContinuousClock.now
        let until = asked.map { ContinuousClock.now + .seconds($0) }
        var (sent, wrong, stored, watches) = (0, [String](), [String](), 1)
        var round = 0
        while until.map({ ContinuousClock.now < $0 }) ?? (round < 12) {
            round += 1
            if round % 3 == 0 {
                server.endWatches()
                watches += 1
            }
            for place in 0..<8 { server.know("good-\(round)-\(place)", APIUser("u", paths: [HostProcess.webhookPath])) }
            let current = round
            let answers = try await withThrowingTaskGroup(of: (String, Int).self) { tasks in
                for place in 0..<16 {
                    let name = "\(place % 2 == 0 ? "good" : "bad")-\(current)-\(place / 2)"
                    tasks.addTask {
                        let headers = ["Authorization": "Bearer \(name)"]
                        let body = Alert.webhook([Alert(name)])
                        let answer = try await host.http.post(HostProcess.webhookPath, body, headers: headers)
                        return (name, answer.status)
                    }
                }
                return try await tasks.reduce(into: []) { $0.append($1) }
            }
            sent += answers.count
            wrong += answers.filter { $0.1 != ($0.0.hasPrefix("good") ? 201 : 401) }.map { "\($0.0): \($0.1)" }
            stored += answers.filter { $0.1 == 201 }.map(\.0)
        }
        #expect(wrong.isEmpty, "\(wrong.count) of \(sent): \(wrong.prefix(8))")
        let expected = stored.map { "\($0) firing" }.sorted()
        try await eventually("an object for each", within: .seconds(60)) {
            server.objects("signals").values
                .map { "\($0["spec"]?["name"]?.text ?? "-") \($0["status"]?["state"]?.text ?? "-")" }.sorted()
                == expected
        }
        // A status that went to another object, or a request that waited behind the watch, would have been tried again.
        let retried = try await host.metric(#"portcullis_deliveries_total{sink="cluster",result="retried"}"#)
        #expect(retried ?? 0 == 0, "\(host.log.suffix(2_000))")
        if asked != nil {
            print(
                "mix-ups: \(wrong.count) of \(sent) requests of senders, \(server.requests.count) of the host, beside",
                "\(watches) watches in", began.duration(to: .now))
        }
    }
}
