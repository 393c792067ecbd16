import TestSupport
import Testing

@testable import Host

/// Web pages and names that resolve to loopback, before the admin listener.
@Suite(.serialized) struct AdminAccessTests {
    private func expect(
        _ status: Int, from http: HTTP, _ method: String, _ path: String, _ headers: [String: String]
    ) async throws {
        let answer = try await http.request(method, path, headers: headers, body: method == "GET" ? nil : [])
        #expect(answer.status == status, "\(method) \(path) \(headers): \(answer.text)")
    }

    @Test func aPageOfAnotherOriginChangesNothingAndReadsNothing() async throws {
        try await Listeners.serving { served in
            let port = served.admin.port
            for origin in [
                "https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:\(port + 1)",
                "http://localhost:\(port)",
                "http://127.0.0.1:\(port).evil.example", "ftp://127.0.0.1:\(port)", "http://127.0.0.1:\(port)/",
            ] {
                let headers = ["Origin": origin]
                let answer = try await served.admin.request("POST", "/api/v1/send", headers: headers, body: [])
                #expect(answer.status == 403 && answer.text.contains("foreign-origin"), "\(origin)")
                try await expect(403, from: served.admin, "GET", "/api/v1/status", headers)
                try await expect(403, from: served.admin, "DELETE", "/api/v1/send", headers)
                try await expect(403, from: served.admin, "OPTIONS", "/api/v1/send", headers)
            }
            for scheme in ["http", "https"] {
                try await expect(
                    200, from: served.admin, "POST", "/api/v1/send", ["Origin": "\(scheme)://127.0.0.1:\(port)"])
            }
            try await expect(403, from: served.admin, "GET", "/nothing", ["Origin": "http://a"])
        }
    }

    @Test func theHostOfARequestMustBeANameOfTheListener() async throws {
        try await Listeners.serving(adminHosts: ["portcullis-admin.Portcullis.svc"]) { served in
            for host in [
                "evil.example", "evil.example:9090", "10.1.2.3:9090", "127.0.0.1.evil.example", "a@127.0.0.1",
                "127.0.0.1:x",
                "[::1", "[::1]x", "portcullis-admin", "0.0.0.0", "127.0.0.1, evil.example",
            ] {
                let answer = try await served.admin.get("/api/v1/status", headers: ["Host": host])
                // A value that is no host at all is refused as a request.
                let refused = answer.status == 403 && answer.text.contains("foreign-host") || answer.status == 400
                #expect(refused, "\(host): \(answer.status)")
                let change = try await served.admin.request("DELETE", "/api/v1/send", headers: ["Host": host], body: [])
                #expect(change.status == answer.status, "\(host)")
            }
            for host in [
                "127.0.0.1", "127.8.9.1:80", "localhost:19090", "LOCALHOST", "localhost.", "[::1]:9090",
                "portcullis-admin.portcullis.svc:9090", "PORTCULLIS-admin.portcullis.svc.",
            ] {
                try await expect(200, from: served.admin, "GET", "/api/v1/status", ["Host": host])
            }
            let two =
                "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
            let second = try await served.admin.send(Array(two.utf8))
            #expect([400, 403].contains(second.status))
            let none = "GET /api/v1/status HTTP/1.0\r\n\r\n"
            let nameless = try await served.admin.send(Array(none.utf8))
            #expect([400, 403].contains(nameless.status))
        }
    }

    @Test func aChangeMustBeJSON() async throws {
        try await Listeners.serving { served in
            for type in [
                "text/plain", "application/x-www-form-urlencoded", "", "application/jsonp", "a/b, application/json",
            ] {
                try await expect(415, from: served.admin, "POST", "/api/v1/send", ["Content-Type": type])
                try await expect(415, from: served.admin, "DELETE", "/api/v1/send", ["Content-Type": type])
            }
            for type in ["application/json", "Application/JSON; charset=utf-8"] {
                try await expect(200, from: served.admin, "POST", "/api/v1/send", ["Content-Type": type])
            }
            try await expect(200, from: served.admin, "GET", "/api/v1/status", [:])
        }
    }

    @Test func probesAndMetricsAreAnsweredUnderThePodsAddress() async throws {
        try await Listeners.serving { served in
            for path in ["/livez", "/readyz", "/readyz?verbose", "/metrics"] {
                let headers = ["Host": "10.1.2.3:9090", "Origin": "https://grafana.example"]
                try await expect(200, from: served.admin, "GET", path, headers)
            }
        }
    }
}
