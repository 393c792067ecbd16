import Glibc
import JSON
import Kubernetes
import SignalKit
import TestAPIServer
import TestSupport
import Testing

@testable import Adapters

/// The watch where no fault of the server is needed: before the tests' own, and before a real one whose kubeconfig
/// `PORTCULLIS_TEST_KUBECONFIG` names, with a context whose namespace may be written to.
struct ClusterWatchTests {
    enum Cluster: String, Sendable {
        case own, real
        static var all: [Cluster] { getenv("PORTCULLIS_TEST_KUBECONFIG") == nil ? [.own] : [.own, .real] }
    }

    private static func kubeconfig(
        _ cluster: Cluster, _ directory: TemporaryDirectory
    ) async throws -> (file: String, server: TestAPIServer?) {
        guard cluster == .own else { return (String(cString: getenv("PORTCULLIS_TEST_KUBECONFIG")), nil) }
        let server = try await TestAPIServer()
        try Files.write(
            """
            current-context: here
            contexts: [{name: here, context: {cluster: c, namespace: gate}}]
            clusters: [{name: c, cluster: {server: 'http://127.0.0.1:\(server.port)'}}]
            """, to: directory.file("kubeconfig"))
        return (directory.file("kubeconfig"), server)
    }

    @Test(arguments: Cluster.all)
    func whatIsThereIsListedAndWhatComesIsWatched(_ cluster: Cluster) async throws {
        let directory = try TemporaryDirectory()
        let (file, server) = try await Self.kubeconfig(cluster, directory)
        defer { _ = server }
        let client = KubernetesClient(.kubeconfig(file))
        let namespace = client.namespace ?? "default"
        let collection = "/api/v1/namespaces/\(namespace)/events"
        let run = String(UInt32.random(in: 0 ... .max), radix: 16)

        func create(_ name: String) async throws {
            let event: JSONTree = [
                "kind": "Event", "apiVersion": "v1", "metadata": ["name": .string("\(name)-\(run)")],
                "involvedObject": ["kind": "Pod", "name": "p", "namespace": .string(namespace), "apiVersion": "v1"],
                "reason": "Failed", "type": "Warning", "message": "x", "count": 1,
            ]
            _ = try await client.send(KubernetesRequest(.post, collection, body: event.text()))
        }
        let intake = RecordingIntake()
        func mine() -> [String] { intake.taken.filter { $0.contains(run) }.map { $0.replacing("-\(run)", with: "") } }

        let mark = ConfigMark(line: 1, column: 1)
        func scalar(_ text: String) -> ConfigNode { ConfigNode(.scalar(text, plain: true), mark: mark) }
        var reader = ConfigReader(
            ConfigNode(
                .map([
                    .init(key: "kubeconfig", mark: mark, value: scalar(file)),
                    .init(key: "namespaces", mark: mark, value: ConfigNode(.list([scalar(namespace)]), mark: mark)),
                ]), mark: mark), path: "sources[0]")
        let source = try KubernetesEventsWatch(&reader, .silent)

        try await create("early")
        let running = Task { try await source.run(intake) }
        defer { running.cancel() }
        try await eventually("the list") { mine() == ["early 1"] && intake.isWatching }
        try await create("late")
        try await eventually("the watch") { mine() == ["early 1", "late 1"] }
        let change = KubernetesRequest(
            .patch, "\(collection)/late-\(run)", body: Array(#"{"count":5}"#.utf8),
            contentType: "application/merge-patch+json")
        _ = try await client.send(change)
        try await eventually("the count") { mine() == ["early 1", "late 1", "late 5"] }
        for name in ["early", "late"] {
            _ = try await client.send(KubernetesRequest(.delete, "\(collection)/\(name)-\(run)"))
        }
        running.cancel()
        _ = await running.result
        // Whoever goes on from there hears of nothing twice.
        let again = Task { try await source.run(intake) }
        try await eventually("it watches again") { intake.isWatching }
        again.cancel()
        _ = await again.result
        #expect(mine() == ["early 1", "late 1", "late 5"])
    }
}
