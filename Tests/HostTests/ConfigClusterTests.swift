import Redis
import SignalKit
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
