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
