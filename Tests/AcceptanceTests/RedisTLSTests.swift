import TestSupport
import Testing

/// A whole host on a Redis that speaks TLS and asks for a certificate.
@Suite struct RedisTLSTests {
    private let authority: TestAuthority
    private let own: TestAuthority.Certificate
    private let redis: RedisServer
    private let port: Int

    init() async throws {
        authority = try await TestAuthority()
        own = try await authority.issue("host", for: "DNS:host.test")
        port = try freePort()
        redis = try await authority.server(authority.issue("server"), port: port)
    }

    private func plan(authority: String? = nil, files: String? = nil) -> HostPlan {
        let shown = files ?? ", certificate: '\(own.certificate)', key: '\(own.key)'"
        let tls = "tls: {ca: '\(authority ?? self.authority.file)'\(shown)}"
        return HostPlan(state: "  redis: {url: 'rediss://127.0.0.1:\(port)/0', \(tls)}\n  timeout: 5s")
    }

    @Test func signalsAreTakenAndDeliveredOverTLS() async throws {
        let host = try await HostProcess(plan())
        #expect(try await host.post(Alert("One")).status == 201)
        #expect(try await host.post(Alert("One")).verdicts == ["duplicate"])
        _ = try await host.delivered(1)

        // A renewed certificate is shown from the next connection on, without a restart; until there is one, nothing is taken.
        func install(_ certificate: TestAuthority.Certificate) throws {
            try Files.write(Files.bytes(certificate.key) ?? [], to: own.key)
            try Files.write(Files.bytes(certificate.certificate) ?? [], to: own.certificate)
        }
        try install(try await authority.issue("stale", days: -1))
        try await redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        try await eventually("a store that is shut, and why") {
            host.log.contains("refuses this host's certificate") && host.log.contains("has expired on")
        }
        #expect(try await host.post(Alert("Two")).status == 503)
        try install(try await authority.issue("new", for: "DNS:host.test"))
        try await host.awaitOpen()
        #expect(try await host.post(Alert("Two")).status == 201)
        _ = try await host.delivered(2)
        #expect(host.isRunning)
    }

    /// How a host ends that can't use its store.
    private func end(_ plan: HostPlan) async throws -> String {
        do {
            _ = try await HostProcess(plan)
            throw TestFailure("it serves")
        } catch {
            return "\(error)"
        }
    }

    @Test func whatMustNotBeUsedEndsTheStartWithItsReason() async throws {
        let stranger = try await TestAuthority()
        let untrusted = try await end(plan(authority: stranger.file))
        #expect(untrusted.contains("must not be used"), "\(untrusted)")
        #expect(
            untrusted.contains("is signed by no authority in \(stranger.file) (state.redis.tls.ca)"), "\(untrusted)")
        let nameless = try await end(plan(files: ""))
        #expect(nameless.contains("client certificate"), "\(nameless)")
        let absent = try await end(plan(authority: "/none/ca.pem"))
        #expect(absent.contains("state.redis.tls.ca: can't open /none/ca.pem: No such file or directory"), "\(absent)")
        #expect(redis.isRunning)
    }

    @Test func whatCanBeKnownOfflineIsSaidByCheck() async throws {
        let host = try await HostProcess(plan())
        try Files.write("nothing", to: own.key)
        let checked = try await host.command("check")
        #expect(checked.end == .exited(0))
        #expect(checked.errors.contains("warning: "), "\(checked.errors)")
        #expect(checked.errors.contains("state.redis.tls.key: \(own.key) holds no PEM key"), "\(checked.errors)")
    }
}
