import Crypto
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import SignalKit
import TestSupport
import Testing

@testable import Host

/// The listener on real sockets, before an intake that answers what the test says.
@Suite(.serialized) struct HTTPHostTests {
    private struct Anything: SignalAdapter {
        static let id: PluginID = "alertmanager"
        init() {}
        init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {}
        func decode(_ request: InboundRequest) throws(AdapterError) -> Decoded { Decoded() }
    }

    private final class Intake: Taking {
        let requests = NIOLockedValueBox<[InboundRequest]>([])
        let hold: @Sendable () async -> Void
        init(hold: @escaping @Sendable () async -> Void = {}) { self.hold = hold }
        func take(
            _ request: InboundRequest, route: HostConfiguration.Route, requestID: String, eventLoop: (any EventLoop)?,
            deadline: ContinuousClock.Instant
        ) async -> IntakeAnswer {
            requests.withLockedValue { $0.append(request) }
            await hold()
            return .taken(Outcome(signals: [], deadLetters: []))
        }
    }

    private struct NoAPI: OperatorAPI {
        func answer(_ request: OperatorRequest) async -> OperatorAnswer {
            .document(
                status: 200,
                Array("{\"path\":\"\(request.path)\",\"origin\":\"\(request.query["origin"] ?? "")\"}".utf8))
        }
    }

    private struct Ready: Readiness {
        var storeShut: String?
        var warnings = ["durability is unverified"]
    }

    private func serving(
        _ intake: Intake = Intake(), authentication: HostConfiguration.Authentication = .none,
        limits: HostConfiguration.Limits = .init(), tls: HostConfiguration.TLS? = nil, adminToken: String? = nil,
        shut: String? = nil, _ body: (HTTP, HTTP, HTTPHost) async throws -> Void
    ) async throws {
        let (port, admin) = (try freePort(), try freePort())
        let configuration = HostConfiguration(
            server: .init(
                listen: .init(host: "127.0.0.1", port: port), admin: .init(host: "127.0.0.1", port: admin),
                adminTokenFile: adminToken, limits: limits, tls: tls),
            state: .init(store: .embedded(directory: "unused"), timeout: .seconds(1), prefix: "test"),
            routes: [.init(adapter: "alertmanager", path: "/in", authentication: authentication, plugin: Anything())],
            policies: [], gatePolicies: [], sinks: [])
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let host = try HTTPHost(
            configuration, intake: intake, api: NoAPI(), readiness: Ready(storeShut: shut), metrics: HostMetrics(),
            log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, group: group)
        let running = Task { try await host.run() }
        func end() async {
            await host.stop()
            await host.stopAdmin()
            _ = try? await running.value
            try? await group.shutdownGracefully()
        }
        do {
            try await eventually("a listener") { (try? await HTTP(port: admin).get("/livez"))?.status == 200 }
            if tls == nil {
                try await eventually("the other") { (try? await HTTP(port: port).get("/"))?.status == 404 }
            }
            try await body(HTTP(port: port), HTTP(port: admin), host)
        } catch {
            await end()
            throw error
        }
        await end()
    }

    @Test func anHMACOverTheBodyIsAskedFor() async throws {
        let secrets = try TemporaryDirectory()
        try Files.write("key\n", to: secrets.file("key"))
        let method = HostConfiguration.Authentication.hmac(keyFile: secrets.file("key"), header: "X-Signature")
        try await serving(authentication: method) { http, _, _ in
            let code = HMAC<SHA256>.authenticationCode(
                for: Array("[1]".utf8), using: SymmetricKey(data: Array("key".utf8)))
            let hex = Hex.text(code)
            let wrong = "00" + hex.dropFirst(2)
            for (signature, status) in [(hex, 200), ("sha256=\(hex)", 200), ("", 401), (wrong, 401), ("nonsense", 401)]
            {
                let answer = try await http.post("/in", "[1]", headers: ["X-Signature": signature])
                #expect(answer.status == status, "\(signature)")
            }
            let unsigned = try await http.post("/in", "[1]")
            #expect(unsigned.status == 401 && unsigned.headers["www-authenticate"] == "HMAC-SHA256")
            Files.remove(secrets.file("key"))
            #expect(try await http.post("/in", "[1]", headers: ["X-Signature": hex]).status == 503)
        }
    }

    @Test func aSecretThatCannotBeReadLetsNobodyIn() async throws {
        try await serving(authentication: .bearer(tokenFile: "/nowhere/token")) { http, _, _ in
            let answer = try await http.post("/in", "[]", headers: ["Authorization": "Bearer x"])
            #expect(answer.status == 503)
        }
    }

    @Test func aRequestIsAnsweredByItsDeadline() async throws {
        let (gate, open) = AsyncStream<Void>.makeStream()
        let intake = Intake { for await _ in gate {} }
        var limits = HostConfiguration.Limits()
        limits.deadline = .milliseconds(300)
        try await serving(intake, limits: limits) { http, _, _ in
            let answer = try await http.post("/in", "[]")
            #expect(answer.status == 503)
            #expect(answer.headers["retry-after"] != nil)
            open.finish()
        }
    }

    @Test func aBodyThatNeverEndsIsAnsweredByTheDeadlineToo() async throws {
        var limits = HostConfiguration.Limits()
        limits.deadline = .milliseconds(300)
        let intake = Intake()
        try await serving(intake, limits: limits) { http, _, _ in
            let connection = try HTTPConnection(port: http.port)
            try await connection.send(Array("POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[".utf8))
            #expect(try await connection.response().status == 503)
            #expect(intake.requests.withLockedValue { $0.isEmpty })
        }
    }

    @Test func aHeaderThatNeverEndsLosesItsConnection() async throws {
        var limits = HostConfiguration.Limits()
        limits.header = .milliseconds(300)
        try await serving(limits: limits) { http, _, _ in
            let connection = try HTTPConnection(port: http.port)
            try await connection.send(Array("POST /in HTTP/1.1\r\nHost:".utf8))
            try await connection.awaitEnd()
            // One that is quick enough keeps its connection.
            let other = try HTTPConnection(port: http.port)
            for _ in 0..<2 {
                try await other.send(Array("POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]".utf8))
                #expect(try await other.response().status == 200)
            }
        }
    }

    @Test func requestsPastTheBoundAreA503AtOnce() async throws {
        let (gate, open) = AsyncStream<Void>.makeStream()
        let intake = Intake { for await _ in gate {} }
        var limits = HostConfiguration.Limits()
        limits.inFlight = 1
        try await serving(intake, limits: limits) { http, _, _ in
            async let held = http.post("/in", "[]")
            try await eventually("one in flight") { intake.requests.withLockedValue { $0.count } == 1 }
            #expect(try await http.post("/in", "[]").status == 503)
            open.finish()
            #expect(try await held.status == 200)
            #expect(try await http.post("/in", "[]").status == 200)
        }
    }

    @Test func aCutConnectionGivesItsRoomBack() async throws {
        let intake = Intake()
        var limits = HostConfiguration.Limits()
        limits.inFlight = 1
        try await serving(intake, limits: limits) { http, _, _ in
            for _ in 0..<5 {
                let connection = try HTTPConnection(port: http.port)
                try await connection.send(Array("POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[".utf8))
                connection.close()
                try await eventually("room again") { try await http.post("/in", "[]").status == 200 }
            }
            #expect(intake.requests.withLockedValue { $0.allSatisfy { $0.body == Array("[]".utf8) } })
        }
    }

    @Test func anExpectingSenderIsToldToGoOn() async throws {
        try await serving { http, _, _ in
            // curl would wait half a minute for the word to go on, and gives up after ten seconds.
            let run = try await ChildProcess.run(
                "curl",
                [
                    "--silent", "--show-error", "--max-time", "10", "--expect100-timeout", "30", "--header",
                    "Expect: 100-continue",
                    "--header", "Content-Type: application/json", "--data", "[]", "--write-out", "%{http_code}",
                    "http://127.0.0.1:\(http.port)/in",
                ])
            #expect(run.output.hasSuffix("200"), "\(run.output)\(run.errors)")
        }
    }

    @Test func aSaneRequestIDIsKeptAndAnotherIsNot() async throws {
        try await serving { http, _, _ in
            let kept = try await http.post("/in", "[]", headers: ["X-Request-Id": "abc-1"])
            #expect(kept.headers["x-request-id"] == "abc-1")
            let replaced = try await http.post("/in", "[]", headers: ["X-Request-Id": "a b\"c"])
            #expect(replaced.headers["x-request-id"]?.count == 32)
        }
    }

    @Test func theAdminListenerAnswersProbesAndOperators() async throws {
        try await serving { _, admin, host in
            #expect(try await admin.get("/readyz").text == "ok\n")
            let verbose = try await admin.get("/readyz?verbose").text
            #expect(verbose.contains("store: ok"))
            #expect(verbose.contains("warning: durability is unverified"))
            #expect(try await admin.get("/api/v1/dead-letters?origin=adapter%2Fx").text.contains("adapter/x"))
            #expect(try await admin.get("/nothing").status == 404)
            #expect(try await admin.post("/livez", "").status == 405)
            await host.stop()
            let stopping = try await admin.get("/readyz")
            #expect(stopping.status == 503)
            #expect(stopping.text == "stopping\n")
        }
    }

    @Test func aStoreThatIsShutIsDegradedAndStillReady() async throws {
        try await serving(shut: "timed-out") { _, admin, _ in
            let ready = try await admin.get("/readyz")
            #expect(ready.status == 200)
            #expect(ready.text == "degraded\n")
            #expect(try await admin.get("/readyz?verbose").text.contains("store: shut (timed-out)"))
        }
    }

    @Test func theOperatorAPIAsksForItsToken() async throws {
        let secrets = try TemporaryDirectory()
        try Files.write("letmein", to: secrets.file("token"))
        try await serving(adminToken: secrets.file("token")) { _, admin, _ in
            let refused = try await admin.get("/api/v1/status")
            #expect(refused.status == 401)
            #expect(try await admin.get("/api/v1/status", headers: ["Authorization": "Bearer letmein"]).status == 200)
            #expect(try await admin.get("/metrics").status == 200)
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
        try await serving(tls: .init(certificate: files.file("tls.pem"), key: files.file("tls.key"), clientCA: nil)) {
            http, _, _ in
            func subject() async throws -> String {
                let run = try await ChildProcess.run(
                    "curl",
                    [
                        "--silent", "--show-error", "--verbose", "--insecure", "--data", "[]",
                        "--header", "Content-Type: application/json", "https://127.0.0.1:\(http.port)/in",
                    ])
                #expect(run.end == .exited(0), "\(run.errors)")
                return run.errors
            }
            try await eventually("TLS") { try await subject().contains("CN=first") }
            try await certify("second")
            try await eventually("the second certificate") { try await subject().contains("CN=second") }
            try Files.write("broken", to: files.file("tls.pem"))
            let deadline = ContinuousClock.now + .seconds(2)
            while ContinuousClock.now < deadline { #expect(try await subject().contains("CN=second")) }
        }
    }

    @Test func anAddressThatIsTakenIsAClearError() async throws {
        let port = try freePort()
        try await serving { http, _, _ in
            let configuration = HostConfiguration(
                server: .init(
                    listen: .init(host: "127.0.0.1", port: http.port), admin: nil, adminTokenFile: nil, limits: .init(),
                    tls: nil),
                state: .init(store: .embedded(directory: "unused"), timeout: .seconds(1), prefix: "test"), routes: [],
                policies: [], gatePolicies: [], sinks: [])
            let host = try HTTPHost(
                configuration, intake: Intake(), api: NoAPI(), readiness: Ready(), metrics: HostMetrics(),
                log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                group: MultiThreadedEventLoopGroup.singleton)
            let error = await #expect(throws: StartError.self) { try await host.run() }
            #expect(error?.description.contains("can't listen on 127.0.0.1:\(http.port)") == true)
        }
        _ = port
    }
}
