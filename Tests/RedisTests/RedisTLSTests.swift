import NIOCore
import TestSupport
import Testing

@testable import Redis

/// A real redis-server that speaks TLS, with certificates of a private authority.
@Suite struct RedisTLSTests {
    private let authority: TestAuthority
    /// One that nobody trusts.
    private let stranger: TestAuthority
    private let own: TestAuthority.Certificate
    private let port: Int

    init() async throws {
        authority = try await TestAuthority()
        stranger = try await TestAuthority()
        own = try await authority.issue("host", for: "DNS:host.test")
        port = try freePort()
    }

    /// All that is needed, to be changed in one place.
    private var tls: RedisTLS {
        RedisTLS(authorities: authority.file, certificate: own.certificate, key: own.key)
    }

    private func server(
        for subjects: String = "IP:127.0.0.1", days: Int = 2, clients: String = "yes", _ further: String...
    ) async throws -> RedisServer {
        try await authority.server(
            authority.issue("server", for: subjects, days: days), port: port, clients: clients, further)
    }

    private func connect(
        _ tls: RedisTLS?, host: String = "127.0.0.1", timeout: Duration = .seconds(20),
        _ change: (inout RedisEndpoint) -> Void = { _ in }
    ) async throws(RedisError) -> RedisConnection {
        var endpoint = RedisEndpoint(.tcp(host: host, port: port), tls: tls)
        change(&endpoint)
        return try await RedisConnection.connect(to: endpoint, on: loops.next(), timeout: timeout)
    }

    /// How connecting with that fails.
    private func failure(
        _ tls: RedisTLS?, host: String = "127.0.0.1", timeout: Duration = .seconds(20)
    ) async -> RedisError? {
        do throws(RedisError) {
            let connection = try await connect(tls, host: host, timeout: timeout)
            // A server that judges late may have let the greeting through.
            defer { connection.close() }
            _ = try await connection.send(RedisCommand("PING"))
            return nil
        } catch {
            return error
        }
    }

    @Test func whatEitherSideProvesIsEnough() async throws {
        let server = try await server()
        let connection = try await connect(tls)
        let long = String(repeating: "x", count: 1 << 20)
        #expect(try await connection.send(RedisCommand("ECHO", long)).string == long)
        let (closed, close) = AsyncStream.makeStream(of: RedisError.self)
        connection.onClose { close.yield($0) }
        server.kill()
        var ends = closed.makeAsyncIterator()
        #expect(await ends.next()?.code == .reset)
    }

    @Test func anAuthorityThatIsNotTrustedIsRejected() async throws {
        let server = try await server()
        var other = tls
        other.authorities = stranger.file
        let own = await failure(other)
        #expect(own?.code == .rejected, "\(String(describing: own))")
        #expect(own?.message.contains("is signed by no authority in") == true)
        #expect(own?.message.contains("state.redis.tls.ca") == true)
        other.authorities = nil
        let systems = await failure(other)
        #expect(systems?.code == .rejected)
        #expect(systems?.message.contains("no authority that this system trusts") == true, "\(systems?.message ?? "")")
        #expect(server.isRunning)
    }

    @Test func aCertificateForAnotherNameIsRejected() async throws {
        let server = try await server(for: "DNS:redis.test, IP:127.0.0.9")
        let byAddress = await failure(tls)
        #expect(byAddress?.code == .rejected)
        #expect(byAddress?.message.contains("is not for the address 127.0.0.1") == true, "\(byAddress?.message ?? "")")
        let byName = await failure(tls, host: "localhost")
        #expect(byName?.code == .rejected)
        #expect(byName?.message.contains("is not for the name localhost") == true, "\(byName?.message ?? "")")
        var named = tls
        named.serverName = "redis.test"
        #expect(await failure(named) == nil)
        named.serverName = "redis_1"
        #expect(await failure(named)?.message.contains("no certificate can be for the name redis_1") == true)
        #expect(server.isRunning)
    }

    @Test func aCertificateForTheNameThatIsConnectedToWillDo() async throws {
        let server = try await server(for: "DNS:localhost")
        #expect(await failure(tls, host: "localhost") == nil)
        #expect(await failure(tls)?.code == .rejected)
        #expect(server.isRunning)
    }

    @Test func anExpiredCertificateIsRejectedWithItsDay() async throws {
        let server = try await server(days: -1)
        let expired = await failure(tls)
        #expect(expired?.code == .rejected)
        #expect(expired?.message.contains("has expired on 20") == true, "\(expired?.message ?? "")")
        #expect(server.isRunning)
    }

    @Test func aServerThatWantsAClientsCertificateSaysSo() async throws {
        let server = try await server()
        var without = tls
        (without.certificate, without.key) = (nil, nil)
        let missing = await failure(without)
        #expect(missing?.code == .rejected || missing?.code == .refused)
        #expect(missing?.message.contains("client certificate") == true, "\(missing?.message ?? "")")
        #expect(missing?.message.contains("state.redis.tls.certificate and key") == true)

        let forged = try await stranger.issue("host")
        var strange = tls
        (strange.certificate, strange.key) = (forged.certificate, forged.key)
        let unknown = await failure(strange)
        #expect(unknown?.code == .rejected, "\(String(describing: unknown))")
        #expect(unknown?.message.contains("refuses this host's certificate") == true, "\(unknown?.message ?? "")")

        let stale = try await authority.issue("stale", days: -1)
        (strange.certificate, strange.key) = (stale.certificate, stale.key)
        let expired = await failure(strange)
        #expect(expired?.code == .rejected, "\(String(describing: expired))")
        #expect(expired?.message.contains("stale.pem has expired on") == true, "\(expired?.message ?? "")")
        #expect(server.isRunning)
    }

    @Test func aServerOfTLS12SaysTheSame() async throws {
        let server = try await server("--tls-protocols", "TLSv1.2")
        #expect(await failure(tls) == nil)
        var without = tls
        (without.certificate, without.key) = (nil, nil)
        let missing = await failure(without)
        #expect(missing?.message.contains("client certificate") == true, "\(missing?.message ?? "")")
        #expect(server.isRunning)
    }

    @Test func aServerOfOldTLSIsRejected() async throws {
        let server = try await server("--tls-protocols", "TLSv1.1", "--tls-ciphers", "ALL:@SECLEVEL=0")
        let old = await failure(tls)
        #expect(old?.code == .rejected, "\(String(describing: old))")
        #expect(old?.message.contains("no TLS with") == true)
        #expect(server.isRunning)
    }

    @Test func plainTextToATLSPortIsNamed() async throws {
        let server = try await server()
        let plain = await failure(nil)
        #expect(plain?.code == .refused)
        #expect(plain?.message.contains("its port is for TLS (write rediss://") == true, "\(plain?.message ?? "")")
        #expect(server.isRunning)
        // As servers other than Redis refuse it.
        let polite = try await FakeServer(["\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}\u{46}"])
        do throws(RedisError) {
            _ = try await RedisConnection.connect(to: polite.endpoint, on: loops.next(), timeout: .seconds(20))
            Issue.record("connected")
        } catch {
            #expect(error.code == .refused)
        }
    }

    @Test func tlsToAPlainPortIsNamed() async throws {
        let server = try await RedisServer(["--port", String(port)])
        let silent = await failure(tls, timeout: .milliseconds(500))
        #expect(silent?.code == .timedOut)
        #expect(silent?.message.contains("its port is for plain text") == true, "\(silent?.message ?? "")")
        #expect(server.isRunning)
    }

    @Test func aRotatedCertificateHoldsFromTheNextConnectionOn() async throws {
        let server = try await server()
        #expect(await failure(tls) == nil)
        let forged = try await stranger.issue("host")
        try Files.write(Files.bytes(forged.key) ?? [], to: own.key)
        let halfway = await failure(tls)
        #expect(halfway?.code == .rejected)
        #expect(halfway?.message.contains("is not the key of") == true, "\(halfway?.message ?? "")")
        try Files.write(Files.bytes(forged.certificate) ?? [], to: own.certificate)
        #expect(await failure(tls)?.message.contains("refuses this host's certificate") == true)
        _ = try await authority.issue("host", for: "DNS:host.test")
        #expect(await failure(tls) == nil)
        #expect(server.isRunning)
    }

    @Test func filesThatCannotBeUsedAreNamed() async throws {
        let broken = authority.directory.file("broken")
        try Files.write("-----BEGIN CERTIFICATE-----\nnone\n", to: broken)
        func faults(_ change: (inout RedisTLS) -> Void) -> [String] {
            var changed = tls
            change(&changed)
            return changed.faults().map { "\($0.setting): \($0.message)" }
        }
        #expect(faults { _ in } == [])
        #expect(faults { $0 = RedisTLS() } == [])
        #expect(
            faults { ($0.authorities, $0.certificate, $0.key) = ("/none/a", "/none/c", "/none/k") } == [
                "ca: can't open /none/a: No such file or directory",
                "certificate: can't open /none/c: No such file or directory",
                "key: can't open /none/k: No such file or directory",
            ])
        #expect(
            faults { ($0.authorities, $0.certificate, $0.key) = (broken, own.key, own.certificate) } == [
                "ca: \(broken) holds no PEM certificate, or a broken one",
                "certificate: \(own.key) holds no PEM certificate, or a broken one",
                "key: \(own.certificate) holds no PEM key that can be read without a passphrase",
            ])
        let other = try await authority.issue("other")
        #expect(faults { $0.key = other.key } == ["key: \(other.key) is not the key of \(own.certificate)"])
        let stale = try await authority.issue("stale", days: -1)
        let told = faults { ($0.certificate, $0.key) = (stale.certificate, stale.key) }
        #expect(told.count == 1 && told[0].hasPrefix("certificate: \(stale.certificate) has expired on 20"), "\(told)")
        var away = tls
        away.authorities = "/none/a"
        let refused = await failure(away)
        #expect(refused?.code == .rejected)
        #expect(refused?.message == "state.redis.tls.ca: can't open /none/a: No such file or directory")
    }

    @Test func aUserOfFewRightsLogsInOverTLS() async throws {
        let server = try await server()
        try await server.command("ACL", "SETUSER", "gate", "on", ">pw", "resetkeys", "~{p}:*", "-@all", "+get", "+ping")
        let connection = try await connect(tls) { ($0.username, $0.password) = ("gate", { "pw" }) }
        #expect(try await connection.send(RedisCommand("GET", "{p}:k")) == .null)
        for command in [RedisCommand("GET", "other"), RedisCommand("SET", "{p}:k", "v")] {
            #expect(try await connection.send([command])[0].serverError?.code == .noPermission)
        }
        do throws(RedisError) {
            _ = try await connect(tls) { ($0.username, $0.password) = ("gate", { "wrong" }) }
            Issue.record("logged in")
        } catch {
            #expect(error.code == .noAuth && error.message.contains("state.redis.username and password_file"))
        }
    }
}
