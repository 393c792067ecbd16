import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// What a file says of the servers around the host becomes this.
@Suite struct ConfigClusterTests {
    @Test func sentinelsNameTheStore() throws {
        let file = fineFile.replacing("durability: fsync", with: "durability: {replicas: 2}")
        func store(_ redis: String) throws -> HostConfiguration.Store {
            try fine(file.replacing("embedded: {directory: ./var}", with: redis), .standard).state.store
        }
        #expect(
            try store("sentinel: {master: m, nodes: ['s:1', '[::1]:2']}")
                == .sentinel(
                    .init(master: "m", nodes: [.init(host: "s", port: 1), .init(host: "::1", port: 2)]),
                    username: nil, passwordFile: nil))
        let full = try store(
            "sentinel: {master: m, nodes: [s:1], username: a, password_file: ./a}, username: b, password_file: ./b")
        #expect(
            full
                == .sentinel(
                    .init(master: "m", nodes: [.init(host: "s", port: 1)], username: "a", passwordFile: "./a"),
                    username: "b", passwordFile: "./b"))
        #expect(full.description == "redis m by Sentinel")
    }

    @Test func tlsIsReadWithItsFiles() throws {
        func configuration(_ redis: String, _ durability: String) throws -> HostConfiguration {
            try fine(
                fineFile.replacing("durability: fsync", with: "durability: \(durability)")
                    .replacing("{embedded: {directory: ./var}}", with: redis), .standard)
        }
        let all = "tls: {ca: /none/a, certificate: /none/c, key: /none/k, server_name: redis.test}"
        let tls = RedisTLS(
            authorities: "/none/a", certificate: "/none/c", key: "/none/k", serverName: "redis.test")
        let one = try configuration("{url: rediss://h, \(all)}", "fsync")
        #expect(
            one.state.store == .tcp(host: "h", port: 6_379, database: 0, username: nil, passwordFile: nil, tls: tls))
        #expect((one.state.store.located(RecordedLog().logger).locator as? RedisEndpoint)?.tls == tls)
        // What is not there is not needed on the machine where a file is checked.
        #expect(
            one.warnings.map { $0.line(in: "f") } == [
                "f:5:38: state.redis.tls.ca: can't open /none/a: No such file or directory",
                "f:5:60: state.redis.tls.certificate: can't open /none/c: No such file or directory",
                "f:5:74: state.redis.tls.key: can't open /none/k: No such file or directory",
            ])
        let many = try configuration("{sentinel: {master: m, nodes: [s:1, t:1, u:1]}, \(all)}", "{replicas: 1}")
        guard case .sentinel(let sentinel, _, _) = many.state.store else {
            Issue.record("\(many.state.store)")
            return
        }
        #expect(sentinel.tls == tls)
        let plain = try configuration("{sentinel: {master: m, nodes: [s:1, t:1, u:1]}}", "{replicas: 1}")
        guard case .sentinel(let other, _, _) = plain.state.store else { return }
        #expect(other.tls == nil && plain.warnings.isEmpty)
    }

    /// No error: the file may be on another machine than the one on which the configuration is checked.
    @Test func everyFileThatCannotBeReadIsAWarning() async throws {
        let files = try TemporaryDirectory()
        try Files.write("", to: files.file("empty"))
        try Files.write("secret", to: files.file("fine"))
        func warnings(_ changes: (String, String)...) throws -> [String] {
            let text = changes.reduce(fineFile) { $0.replacing($1.0, with: $1.1) }
            let read = try fine(text)
            // They are told at the start and by `check`, and are gone when the file is there.
            #expect(read.warnings.isEmpty)
            return read.fileWarnings.map { $0.line(in: "f").replacing(files.path, with: "D") }
        }
        let none = "No such file or directory"
        func authenticate(_ way: String, _ key: String, _ file: String) throws -> [String] {
            try warnings(("authenticate: none", "authenticate: {\(way): {\(key): \(file)}}"))
        }
        #expect(
            try authenticate("hmac", "key_file", "/none/k") == [
                "f:7:70: adapters[0].authenticate.hmac.key_file: can't open /none/k: \(none)"
            ])
        #expect(
            try authenticate("bearer", "token_file", files.file("empty")) == [
                "f:7:74: adapters[0].authenticate.bearer.token_file: D/empty is empty"
            ])
        #expect(try authenticate("bearer", "token_file", files.file("fine")) == [])
        let admin = "  admin: 127.0.0.1:9090\n"
        #expect(
            try warnings((admin, admin + "  admin_token_file: /none/t\n")) == [
                "f:4:21: server.admin_token_file: can't open /none/t: \(none)"
            ])
        let store = "{embedded: {directory: ./var}}"
        #expect(
            try warnings((store, "{url: redis://h, password_file: /none/p}")) == [
                "f:5:42: state.redis.password_file: can't open /none/p: \(none)"
            ])
        #expect(
            try warnings((admin, admin + "  tls: {certificate: /none/c, key: /none/k}\n")) == [
                "f:4:22: server.tls.certificate: can't open /none/c: \(none)",
                "f:4:36: server.tls.key: can't open /none/k: \(none)",
            ])
        let authority = try await TestAuthority()
        let (mine, other) = (try await authority.issue("mine"), try await authority.issue("other"))
        func pair(_ certificate: String, _ key: String) throws -> [String] {
            try warnings((admin, admin + "  tls: {certificate: \(certificate), key: \(key)}\n"))
        }
        #expect(try pair(mine.certificate, mine.key) == [])
        #expect(
            try pair(mine.certificate, other.key).map {
                $0.hasSuffix("\(other.key) is not the key of \(mine.certificate)")
            }
                == [true])
        let past = try await authority.issue("past", days: -1)
        let expired = try pair(past.certificate, past.key)
        #expect(expired.count == 1 && expired[0].contains("server.tls.certificate: \(past.certificate) has expired on"))
    }

    @Test func oneSentinelAloneIsAWarning() throws {
        let read = try fine(
            fineFile.replacing("durability: fsync", with: "durability: {replicas: 2}")
                .replacing("{embedded: {directory: ./var}}", with: "{sentinel: {master: m, nodes: [s:1]}}"), .standard)
        #expect(
            read.warnings.map { $0.line(in: "f") } == [
                "f:5:40: state.redis.sentinel.nodes: one Sentinel alone can't fail over, and is missed when it is away: name all of them, three in different places at least"
            ])
    }

    @Test func kubernetesVouchesForASender() throws {
        func authentication(_ text: String) throws -> HostConfiguration.Authentication {
            try fine(fineFile.replacing("authenticate: none", with: "authenticate: {kubernetes: \(text)}"))
                .routes[0].authentication
        }
        #expect(try authentication("{}") == .kubernetes(.init(kubeconfig: nil, audiences: [])))
        #expect(
            try authentication("{kubeconfig: ./k, audiences: [portcullis, other]}")
                == .kubernetes(.init(kubeconfig: "./k", audiences: ["portcullis", "other"])))
    }

    @Test func aSourceGoesByItsIdUnlessItHasAName() throws {
        let read = try fine(
            fineFile.replacing(
                "policies:",
                with: """
                      - {use: kubernetes-events, path: /events, authenticate: none}
                    sources:
                      - {use: kubernetes-events-watch, feeds: kubernetes-events}
                      - {use: kubernetes-events-watch, feeds: kubernetes-events, name: shop, namespaces: [shop]}
                    policies:
                    """), .standard)
        #expect(read.sources.map(\.name) == ["kubernetes-events-watch", "shop"])
        #expect(read.sources.map(\.use) == ["kubernetes-events-watch", "kubernetes-events-watch"])
        #expect(read.sources.map(\.feeds) == ["kubernetes-events", "kubernetes-events"])
    }

    /// A source that names no adapter of its build could be put into no file.
    @Test func whatASourceFeedsIsInTheBuild() {
        let adapters = Set(Plugins.standard.adapters.map { $0.id })
        for source in Plugins.standard.sources {
            #expect(!source.feeds.isEmpty && source.feeds.isSubset(of: adapters))
        }
    }
}
