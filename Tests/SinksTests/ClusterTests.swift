import Glibc
import JSON
import Kubernetes
import SignalKit
import TestAPIServer
import TestSupport
import Testing

@testable import Sinks

/// What needs no fault of the server: before the tests' own, and before a real one whose kubeconfig
/// `PORTCULLIS_TEST_KUBECONFIG` names. That one needs the CustomResourceDefinition of deploy/kubernetes/base and a context with a
/// namespace that may be written to; the objects made there are deleted again.
struct ClusterTests {
    enum Cluster: String, Sendable {
        case own, real
        static var all: [Cluster] { getenv("PORTCULLIS_TEST_KUBECONFIG") == nil ? [.own] : [.own, .real] }
    }

    /// A cluster as its users see it, with a problem of its own for each test.
    private struct Seat {
        let server: TestAPIServer?
        let directory: TemporaryDirectory
        let client: KubernetesClient
        let kubeconfig: String
        let fingerprint = (0..<8).map { _ in
            let word = String(UInt32.random(in: 0 ... .max), radix: 16)
            return String(repeating: "0", count: 8 - word.count) + word
        }.joined()

        init(_ cluster: Cluster) async throws {
            directory = try TemporaryDirectory()
            switch cluster {
            case .own:
                let own = try await TestAPIServer()
                try Files.write(
                    """
                    current-context: here
                    contexts: [{name: here, context: {cluster: c, namespace: gate}}]
                    clusters: [{name: c, cluster: {server: 'http://127.0.0.1:\(own.port)'}}]
                    """, to: directory.file("kubeconfig"))
                (server, kubeconfig) = (own, directory.file("kubeconfig"))
            case .real:
                (server, kubeconfig) = (nil, String(cString: getenv("PORTCULLIS_TEST_KUBECONFIG")))
            }
            client = KubernetesClient(.kubeconfig(kubeconfig))
        }

        func sink() throws -> KubernetesObjects {
            let mark = ConfigMark(line: 1, column: 1)
            let entry = ConfigNode.Entry(
                key: "kubeconfig", mark: mark, value: ConfigNode(.scalar(kubeconfig, plain: true), mark: mark))
            var reader = ConfigReader(ConfigNode(.map([entry]), mark: mark), path: "sinks[0]")
            return try KubernetesObjects(&reader, .silent)
        }

        func deliver(
            _ sink: KubernetesObjects, _ state: Delivery.State, _ episode: Int64, _ version: Int64,
            follows: Int64? = nil, startsAt: Int64 = 1_000, isUpdate: Bool = false
        ) async throws {
            let delivery = try ObjectRig.delivery(
                state, episode, version, fingerprint: fingerprint, follows: follows, startsAt: startsAt,
                isUpdate: isUpdate)
            try await sink.deliver(delivery, DeliveryContext(attempt: 1, deadline: .now + .seconds(60)))
        }

        private var collection: String {
            "/apis/portcullis.dev/v1alpha1/namespaces/\(client.namespace ?? "default")/signals"
        }

        /// Of this test's problem: `number state episode version`.
        func objects() async throws -> [String] {
            let selector = KubernetesRequest.encoded("portcullis.dev/fingerprint=\(fingerprint.prefix(40))")
            let answer = try await client.send(KubernetesRequest(.get, collection + "?labelSelector=\(selector)"))
            let items = try JSONDocument.parse(answer.body).root["items"]?.array
            return try #require(items).map { object in
                let name = object["metadata"]?["name"]?.string ?? "-"
                let words = ["state", "episode", "version"].map { object["status"]?[$0]?.string ?? "-" }
                return ([String(name.split(separator: "-").last ?? "-")] + words).joined(separator: " ")
            }.sorted()
        }

        private func path(_ number: Int) -> String { "\(collection)/sig-\(fingerprint.prefix(16))-\(number)" }

        func delete(_ number: Int) async throws {
            _ = try await client.send(KubernetesRequest(.delete, path(number)))
        }

        func complete(_ number: Int) async throws {
            _ = try await client.send(
                KubernetesRequest(
                    .patch, path(number) + "/status", body: Array(#"{"status":{"completed":true}}"#.utf8),
                    contentType: "application/merge-patch+json"))
        }

        func clear() async throws {
            for object in try await objects() {
                try await delete(object.split(separator: " ").first.flatMap { Int($0) } ?? 0)
            }
        }
    }

    @Test(arguments: Cluster.all)
    func anEpisodeIsOneObjectFromItsStartToItsEnd(_ cluster: Cluster) async throws {
        let seat = try await Seat(cluster)
        let sink = try seat.sink()
        try await seat.deliver(sink, .firing, 5, 5)
        try await seat.deliver(sink, .firing, 5, 6, isUpdate: true)
        #expect(try await seat.objects() == ["1 firing 5 6"])
        try await seat.deliver(sink, .resolved, 5, 7, isUpdate: true)
        try await seat.deliver(sink, .firing, 5, 6, isUpdate: true)
        #expect(try await seat.objects() == ["1 resolved 5 7"])
        try await seat.clear()
    }

    @Test(arguments: Cluster.all)
    func redeliveriesAndManyAtOnceMakeOne(_ cluster: Cluster) async throws {
        let seat = try await Seat(cluster)
        let sinks = (0..<2).map { _ in try? seat.sink() }
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for place in 0..<12 {
                tasks.addTask { try await seat.deliver(#require(sinks[place % 2]), .firing, 5, 5) }
            }
            try await tasks.waitForAll()
        }
        #expect(try await seat.objects() == ["1 firing 5 5"])
        try await seat.clear()
    }

    @Test(arguments: Cluster.all)
    func anEmptiedStoreAdoptsAndWhatIsDoneIsDone(_ cluster: Cluster) async throws {
        let seat = try await Seat(cluster)
        let sink = try seat.sink()
        try await seat.deliver(sink, .firing, 5, 5)
        try await seat.deliver(sink, .firing, 50, 50)
        #expect(try await seat.objects() == ["1 firing 50 50"])
        try await seat.complete(1)
        try await seat.deliver(sink, .firing, 60, 60)
        #expect(try await seat.objects() == ["1 firing 50 50"])
        try await seat.deliver(sink, .firing, 70, 70, follows: 50, startsAt: 9_000)
        #expect(try await seat.objects() == ["1 firing 50 50", "2 firing 70 70"])
        // What somebody else owns of the status is left alone, and so is what a resolve does not speak of.
        try await seat.deliver(sink, .resolved, 70, 71, isUpdate: true)
        #expect(try await seat.objects() == ["1 firing 50 50", "2 resolved 70 71"])
        try await seat.clear()
    }

    @Test(arguments: Cluster.all)
    func whatWasDeletedByHandStaysAway(_ cluster: Cluster) async throws {
        let seat = try await Seat(cluster)
        let sink = try seat.sink()
        try await seat.deliver(sink, .firing, 5, 5)
        try await seat.delete(1)
        try await seat.deliver(sink, .firing, 5, 6, isUpdate: true)
        #expect(try await seat.objects() == [])
        try await seat.deliver(sink, .firing, 9, 9, follows: 5, startsAt: 9_000)
        #expect(try await seat.objects() == ["1 firing 9 9"])
        try await seat.clear()
    }

    @Test(arguments: Cluster.all)
    func whateverTheOrderTheLatestEpisodeIsActiveAlone(_ cluster: Cluster) async throws {
        for first in 0..<4 {
            let seat = try await Seat(cluster)
            let sink = try seat.sink()
            for step in 0..<8 {
                // Each of the four orders that begin elsewhere, and all of it twice.
                switch (first + step) % 4 {
                case 0: try await seat.deliver(sink, .firing, 5, 5)
                case 1: try await seat.deliver(sink, .firing, 5, 6)
                case 2: try await seat.deliver(sink, .resolved, 5, 7)
                default: try await seat.deliver(sink, .firing, 9, 9, follows: 5, startsAt: 2_000)
                }
            }
            let objects = try await seat.objects()
            #expect(objects.filter { $0.contains("firing") }.map { $0.dropFirst(2) } == ["firing 9 9"])
            try await seat.clear()
        }
    }
}
