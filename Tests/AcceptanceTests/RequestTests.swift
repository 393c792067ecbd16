import JSON
import TestSupport
import Testing

/// What the listener says to a request that it does not take.
@Suite struct RequestTests {
    @Test func pathsMethodsAndTypesHaveTheirStatus() async throws {
        let host = try await HostProcess(.embedded())
        let body = Alert.webhook([Alert("A")])
        #expect(try await host.http.post("/api/v1/signals/nothing", body).status == 404)
        #expect(try await host.http.request("PUT", HostProcess.webhookPath, body: Array(body.utf8)).status == 405)
        #expect(
            try await host.http.post(HostProcess.webhookPath, body, headers: ["Content-Type": "text/plain"]).status
                == 415)
        #expect(
            try await host.http.post(
                HostProcess.webhookPath, body, headers: ["Content-Type": "application/json; charset=utf-8"]
            )
            .status == 201)
        #expect(try await host.http.post(HostProcess.webhookPath, body, headers: ["Content-Type": ""]).status == 202)
        #expect(try await host.http.send(Array("GARBAGE\r\n\r\n".utf8)).status == 400)
    }

    @Test func aRequestThatBreaksHTTPOrIsCompressedIsRefusedByName() async throws {
        let host = try await HostProcess(.embedded())
        for path in [HostProcess.webhookPath, "/api/v2/alerts"] {
            func answer(_ fields: String, _ body: String = "") async throws -> HTTPResponse {
                try await host.http.send(Array("POST \(path) HTTP/1.1\r\n\(fields)\r\n\r\n\(body)".utf8))
            }
            let none = try await answer("Content-Length: 2", "[]")
            #expect(none.status == 400 && none.text.contains("one Host header"))
            let two = try await answer("Host: x\r\nHost: x\r\nContent-Length: 2", "[]")
            #expect(two.status == 400 && two.text.contains("one Host header"))
            let chunk = try await answer("Host: x\r\nTransfer-Encoding: chunked", "2\r\n[]\r\nnone\r\n")
            #expect(chunk.status == 400 && chunk.text.contains("chunk"))
            // The first bytes of what gzip makes.
            let gzip = try await host.http.post(
                path, [0x1f, 0x8b, 8, 0, 0x53, 0x94], headers: ["Content-Encoding": "gzip"])
            #expect(gzip.status == 415 && gzip.text.contains("content coding"))
            #expect(gzip.headers["accept-encoding"] == "identity")
            for coding in ["gzip, chunked", "gzip\r\nTransfer-Encoding: chunked", "Deflate ,chunked"] {
                let answer = try await answer("Host: x\r\nTransfer-Encoding: \(coding)", "2\r\n[]\r\n0\r\n\r\n")
                #expect(answer.status == 415 && answer.text.contains("transfer coding"), "\(coding)")
            }
        }
    }

    @Test func aBearerTokenIsAskedForAndReadAgainWhenItsFileChanges() async throws {
        let secrets = try TemporaryDirectory()
        try Files.write("correct\n", to: secrets.file("token"))
        var plan = HostPlan.embedded()
        plan.adapters = """
              - {use: alertmanager, path: \(HostProcess.webhookPath), authenticate: {bearer: {token_file: '\(secrets.file("token"))'}}}
            """
        let host = try await HostProcess(plan)
        func status(_ authorization: String) async throws -> Int {
            try await host.http.post(
                HostProcess.webhookPath, Alert.webhook([Alert("A")]), headers: ["Authorization": authorization]
            ).status
        }
        #expect(try await status("") == 401)
        #expect([401, 403].contains(try await status("Bearer wrong")))
        #expect(try await status("Bearer correct") == 201)
        #expect(try await status("Bearer   correct") == 202)
        #expect(try await status("Bearer\tcorrect") == 401)
        try Files.write("changed\n", to: secrets.file("token"))
        try await eventually("the new token") { try await status("Bearer changed") == 202 }
        #expect([401, 403].contains(try await status("Bearer correct")))
        #expect(!host.log.contains("correct"))
    }

    @Test func everyAnswerNamesItsRequest() async throws {
        let host = try await HostProcess(.embedded())
        let taken = try await host.post(Alert("A"))
        let id = try #require(taken.document?["request_id"]?.string)
        try await eventually("the request in the log") { host.log.contains(id) }
        let refused = Answer(try await host.http.post(HostProcess.webhookPath, "nonsense"))
        #expect(refused.document?["request_id"]?.string != nil)
    }

    @Test func theMetricsPassPromtool() async throws {
        let host = try await HostProcess(.embedded())
        _ = try await host.post(Alert("A"))
        _ = try await host.http.post(HostProcess.webhookPath, "nonsense")
        let metrics = try await host.admin.get("/metrics")
        #expect(metrics.status == 200)
        let check = try await ChildProcess.run("promtool", ["check", "metrics"], input: metrics.text)
        #expect(check.end == .exited(0), "\(check.output)\(check.errors)")
    }
}
