import Crypto
import Logging
import NIOPosix
import TestSupport
import Testing

@testable import Host

/// The listener on real sockets, before an intake that answers what the test says.
@Suite(.serialized) struct HTTPHostTests {
    @Test func anHMACOverTheBodyIsAskedFor() async throws {
        let secrets = try TemporaryDirectory()
        try Files.write("key\n", to: secrets.file("key"))
        let method = HostConfiguration.Authentication.hmac(keyFile: secrets.file("key"), header: "X-Signature")
        try await Listeners.serving(authentication: method) { served in
            let code = HMAC<SHA256>.authenticationCode(
                for: Array("[1]".utf8), using: SymmetricKey(data: Array("key".utf8)))
            let hex = Hex.text(Array(code))
            let wrong = "00" + hex.dropFirst(2)
            for (signature, status) in [(hex, 200), ("sha256=\(hex)", 200), ("", 401), (wrong, 401), ("nonsense", 401)]
            {
                let answer = try await served.http.post("/in", "[1]", headers: ["X-Signature": signature])
                #expect(answer.status == status, "\(signature)")
            }
            let unsigned = try await served.http.post("/in", "[1]")
            #expect(unsigned.status == 401 && unsigned.headers["www-authenticate"] == "HMAC-SHA256")
            Files.remove(secrets.file("key"))
            #expect(try await served.http.post("/in", "[1]", headers: ["X-Signature": hex]).status == 503)
        }
    }

    @Test func aSecretThatCannotBeReadLetsNobodyIn() async throws {
        try await Listeners.serving(authentication: .bearer(tokenFile: "/nowhere/token")) { served in
            let answer = try await served.http.post("/in", "[]", headers: ["Authorization": "Bearer x"])
            #expect(answer.status == 503)
        }
    }

    @Test func aSaneRequestIDIsKeptAndAnotherIsNot() async throws {
        try await Listeners.serving { served in
            let kept = try await served.http.post("/in", "[]", headers: ["X-Request-Id": "abc-1"])
            #expect(kept.headers["x-request-id"] == "abc-1")
            let replaced = try await served.http.post("/in", "[]", headers: ["X-Request-Id": "a b\"c"])
            #expect(replaced.headers["x-request-id"]?.count == 32)
        }
    }

    @Test func theAdminListenerAnswersProbesAndOperators() async throws {
        try await Listeners.serving { served in
            #expect(try await served.admin.get("/readyz").text == "ok\n")
            let verbose = try await served.admin.get("/readyz?verbose").text
            #expect(verbose.contains("store: ok"))
            #expect(verbose.contains("warning: durability is unverified"))
            #expect(try await served.admin.get("/api/v1/dead-letters?origin=adapter%2Fx").text.contains("adapter/x"))
            #expect(try await served.admin.get("/nothing").status == 404)
            #expect(try await served.admin.post("/livez", "").status == 405)
            await served.host.stopSenders()
            let stopping = try await served.admin.get("/readyz")
            #expect(stopping.status == 503)
            #expect(stopping.text == "stopping\n")
        }
    }

    @Test func aStoreThatIsShutIsDegradedAndStillReady() async throws {
        try await Listeners.serving(shut: "timed-out") { served in
            let ready = try await served.admin.get("/readyz")
            #expect(ready.status == 200)
            #expect(ready.text == "degraded\n")
            #expect(try await served.admin.get("/readyz?verbose").text.contains("store: shut (timed-out)"))
        }
    }

    @Test func theOperatorAPIAsksForItsToken() async throws {
        let secrets = try TemporaryDirectory()
        try Files.write("letmein", to: secrets.file("token"))
        try await Listeners.serving(adminToken: secrets.file("token")) { served in
            let refused = try await served.admin.get("/api/v1/status")
            #expect(refused.status == 401)
            for (value, status) in [
                ("Bearer letmein", 200), ("Bearer  letmein", 200), ("bearer    letmein", 200), ("Bearer\tletmein", 401),
                ("Bearer \tletmein", 401), ("Bearer", 401), ("Bearerletmein", 401), ("Bearer  letme", 401),
            ] {
                let answer = try await served.admin.get("/api/v1/status", headers: ["Authorization": value])
                #expect(answer.status == status, "\(value)")
            }
            #expect(try await served.admin.get("/metrics").status == 200)
        }
    }

    @Test func aChangedCertificateHoldsFromTheNextConnectionOn() async throws {
        let files = try TemporaryDirectory()
        func certify(_ name: String) async throws {
            let made = try await ChildProcess.run(
                "openssl",
                [
                    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj",
                    "/CN=\(name)", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", files.file("new.key"), "-out",
                    files.file("new.pem"),
                ])
            #expect(made.end == .exited(0), "\(made.errors)")
            // As a certificate manager does it: whole, or not at all.
            _ = try await ChildProcess.run("mv", [files.file("new.key"), files.file("tls.key")])
            _ = try await ChildProcess.run("mv", [files.file("new.pem"), files.file("tls.pem")])
        }
        try await certify("first")
        try await Listeners.serving(
            tls: .init(certificate: files.file("tls.pem"), key: files.file("tls.key"))
        ) {
            served in
            func subject() async throws -> String {
                let run = try await ChildProcess.run(
                    "curl",
                    [
                        "--silent", "--show-error", "--verbose", "--insecure", "--data", "[]",
                        "--header", "Content-Type: application/json", "https://127.0.0.1:\(served.http.port)/in",
                    ])
                return run.end == .exited(0) ? run.errors : "curl \(run.end): \(run.errors)"
            }
            try await eventually("TLS") { try await subject().contains("CN=first") }
            try await certify("second")
            try await eventually("the second certificate") { try await subject().contains("CN=second") }
            try Files.write("broken", to: files.file("tls.pem"))
            let deadline = ContinuousClock.now + .seconds(2)
            while ContinuousClock.now < deadline {
                let told = try await subject()
                #expect(told.contains("CN=second"), "\(told)")
            }
        }
    }

    @Test func anAddressThatIsTakenIsAClearError() async throws {
        let port = try freePort()
        try await Listeners.serving { served in
            let configuration = HostConfiguration(
                server: .init(
                    listen: .init(host: "127.0.0.1", port: served.http.port), admin: nil, adminTokenFile: nil,
                    limits: .init(),
                    tls: nil),
                state: .init(store: .embedded(directory: "unused"), timeout: .seconds(1), prefix: "test"), routes: [],
                policies: [], gatePolicies: [], sinks: [])
            let host = try HTTPHost(
                configuration, intake: Listeners.Intake(), api: Listeners.NoAPI(), readiness: Listeners.Ready(),
                metrics: HostMetrics(),
                log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                group: MultiThreadedEventLoopGroup.singleton)
            let error = await #expect(throws: StartError.self) { try await host.runSenders() }
            #expect(error?.description.contains("can't listen on 127.0.0.1:\(served.http.port)") == true)
        }
        _ = port
    }
}
