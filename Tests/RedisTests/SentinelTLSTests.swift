import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing

@testable import Redis

/// A master, its replica and a Sentinel that speak nothing but TLS, to each other too, and ask everybody for a certificate.
@Suite struct SentinelTLSTests {
    private let authority: TestAuthority
    private let tls: RedisTLS
    private let servers: [RedisServer]
    private let ports: [Int]
    private let sentinel: LoneSentinel

    init() async throws {
        authority = try await TestAuthority()
        let own = try await authority.issue("host")
        tls = RedisTLS(authorities: authority.file, certificate: own.certificate, key: own.key)
        ports = [try freePort(), try freePort()]
        let theirs = try await authority.issue("server")
        let master = try await authority.server(
            theirs, port: ports[0], ["--tls-replication", "yes", "--repl-diskless-sync-delay", "0"])
        let replica = try await authority.server(
            theirs, port: ports[1], ["--tls-replication", "yes", "--replicaof", "127.0.0.1 \(ports[0])"])
        servers = [master, replica]
        try await eventually("a replica in step") {
            try await master.command("INFO", "replication").string?.contains("state=online") == true
        }
        sentinel = try await LoneSentinel([("mymaster", ports[0])], tls: tls, quorum: 1)
        try await eventually("a Sentinel that knows the replica") { [sentinel] in
            let words = try await sentinel.command("SENTINEL", "master", "mymaster").list?.map(\.string) ?? []
            return words.firstIndex(of: "num-slaves").map { words[$0 + 1] } == "1"
        }
    }

    private func sentinels(
        tls: RedisTLS?, poll: Duration = .seconds(3_600),
        _ change: (_ node: inout RedisEndpoint, _ server: inout RedisEndpoint) -> Void = { _, _ in }
    ) -> Sentinels {
        var node = RedisEndpoint(.tcp(host: "127.0.0.1", port: sentinel.port), tls: tls)
        var server = RedisEndpoint(.tcp(host: "unknown", port: 0), tls: tls)
        change(&node, &server)
        return Sentinels(master: "mymaster", nodes: [node], server: server, poll: poll, patience: .seconds(5))
    }

    private func failure(_ sentinels: Sentinels) async -> RedisError? {
        do throws(RedisError) {
            _ = try await sentinels.locate(on: loops.next())
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [true, false])
    func aMasterIsFoundAndFollowed(_ bySubscription: Bool) async throws {
        let all = sentinels(tls: tls, poll: bySubscription ? .seconds(3_600) : .milliseconds(100))
        let master = try await all.locate(on: loops.next())
        #expect(master.address == .tcp(host: "127.0.0.1", port: ports[0]))
        let connection = try await RedisConnection.connect(to: master, on: loops.next(), timeout: .seconds(20))
        #expect(try await connection.send(RedisCommand("ROLE")).list?.first?.string == "master")
        connection.close()

        let found = NIOLockedValueBox<Set<RedisEndpoint.Address>>([])
        let watching = Task {
            await all.watch(on: loops.next()) { address in found.withLockedValue { _ = $0.insert(address) } }
        }
        if bySubscription {
            try await eventually("a subscription") {
                try await sentinel.command("CLIENT", "LIST").string?.contains(" sub=1 ") == true
            }
        }
        try await eventually("a replica that can be promoted") {
            (try? await sentinel.command("SENTINEL", "failover", "mymaster")) != nil
        }
        let new = RedisEndpoint.Address.tcp(host: "127.0.0.1", port: ports[1])
        try await eventually("the new master", within: .seconds(30)) { found.withLockedValue { $0 } == [new] }
        let next = try await all.locate(on: loops.next())
        #expect(next.address == new && next.tls == tls)
        watching.cancel()
        await watching.value
    }

    @Test func whatIsWrongWithTLSIsSaidOfTheSentinel() async throws {
        let stranger = try await TestAuthority()
        var wrong = tls
        wrong.authorities = stranger.file
        let untrusted = await failure(sentinels(tls: wrong))
        #expect(untrusted?.code == .rejected)
        #expect(
            untrusted?.message.hasPrefix("Sentinel 127.0.0.1:\(sentinel.port): the certificate of ") == true,
            "\(untrusted?.message ?? "")")
        let nameless = await failure(sentinels(tls: RedisTLS(authorities: tls.authorities)))
        #expect(nameless?.message.contains("client certificate") == true, "\(nameless?.message ?? "")")
        let plain = await failure(sentinels(tls: nil))
        #expect(plain?.code == .refused)
        #expect(plain?.message.contains("or give state.redis.tls") == true, "\(plain?.message ?? "")")
        _ = stranger
    }

    @Test func usersOfFewRightsWillDo() async throws {
        // As docs/operations.md has it for the Sentinels; of the servers nothing but the login is needed here.
        _ = try await sentinel.command(
            "ACL", "SETUSER", "watcher", "on", ">pw", "resetkeys", "-@all", "+sentinel|get-master-addr-by-name",
            "+subscribe", "resetchannels", "&+switch-master")
        for server in servers {
            try await server.command("ACL", "SETUSER", "gate", "on", ">pw2", "resetkeys", "-@all", "+role")
        }
        let all = sentinels(tls: tls, poll: .milliseconds(100)) { node, server in
            (node.username, node.password) = ("watcher", { "pw" })
            (server.username, server.password) = ("gate", { "pw2" })
        }
        let master = try await all.locate(on: loops.next())
        let connection = try await RedisConnection.connect(to: master, on: loops.next(), timeout: .seconds(20))
        #expect(try await connection.send(RedisCommand("ROLE")).list?.first?.string == "master")
        #expect(try await connection.send([RedisCommand("PING")])[0].serverError?.code == .noPermission)
        connection.close()
        let watching = Task { await all.watch(on: loops.next()) { _ in } }
        try await eventually("a subscription of that user") {
            let clients = try await sentinel.command("CLIENT", "LIST").string ?? ""
            return clients.split(whereSeparator: \.isNewline).contains {
                $0.contains(" user=watcher ") && $0.contains(" sub=1 ")
            }
        }
        try await eventually("an answer to the poll") { all.sentinels.map { $0 == (1, 1) } == true }
        watching.cancel()
        await watching.value
    }
}
