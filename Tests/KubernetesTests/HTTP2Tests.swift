import Glibc
import JSON
import TestAPIServer
import TestSupport
import Testing

@testable import Kubernetes

/// The client before a server that offers HTTP/2 over TLS: a real proxy (nghttpx) in front of the tests' API server.
struct HTTP2Tests {
    private static let events = "/api/v1/namespaces/demo/events"
    private let server: TestAPIServer
    private let front: HTTP2Front
    private let client: KubernetesClient
    private let reviewer: KubernetesClient

    init() async throws {
        server = try await TestAPIServer(token: "letmein")
        front = try await HTTP2Front(backend: server.port)
        let kubeconfig = try front.kubeconfig()
        client = KubernetesClient(.kubeconfig(kubeconfig))
        reviewer = KubernetesClient(.kubeconfig(kubeconfig), for: .reviews)
    }

    private func watch(from version: String = "100") throws -> KubernetesStream {
        try client.stream(
            KubernetesRequest(.get, Self.events + "?watch=1&resourceVersion=\(version)"), within: .seconds(60))
    }

    @Test func aServerThatOffersHTTP2IsSpokenToInHTTP11() async throws {
        let stream = try watch()
        try await stream.opened()
        try await withThrowingTaskGroup(of: Int.self) { tasks in
            for number in 0..<50 {
                let body = #"{"kind":"Event","apiVersion":"v1","metadata":{"name":"e\#(number)"}}"#
                tasks.addTask {
                    try await client.send(KubernetesRequest(.post, Self.events, body: Array(body.utf8))).status
                }
            }
            for try await status in tasks { #expect(status == 201) }
        }
        var lines = 0
        while lines < 50 { lines += try await stream.next(100).count }
        #expect(lines == 50)
        server.endWatches()
        #expect(try await stream.next(1).isEmpty)
        try await eventually("the watch in the proxy's log") { front.log.contains { $0.contains("watch=1") } }
        #expect(front.log.count >= 51 && front.log.allSatisfy { $0.hasPrefix("http/1.1 ") })
    }

    /// libcurl 7.88.1 wrote requests behind a never-ending watch and gave their answers to other requests, as soon as one handle
    /// had a connection of HTTP/1.1 and one of HTTP/2 (decision 0023). A few seconds in CI;
    /// `PORTCULLIS_TEST_MIXUP_SECONDS=180` runs it for minutes and prints what it counted.
    @Test func behindAWatchEachRequestGetsItsOwnAnswer() async throws {
        let asked = getenv("PORTCULLIS_TEST_MIXUP_SECONDS").flatMap { Int(String(cString: $0)) }
        server.know("known", APIUser("somebody"))
        let stream = try watch()
        try await stream.opened()
        let (until, began) = (asked.map { ContinuousClock.now + .seconds($0) }, ContinuousClock.now)
        let watching = Task { try await watchAgainAndAgain(after: stream) }
        let counts = try await withThrowingTaskGroup(of: Counts.self) { tasks in
            for worker in 0..<8 { tasks.addTask { try await requests(of: worker, until: until) } }
            return try await tasks.reduce(into: Counts()) { $0.add($1) }
        }
        watching.cancel()
        let watches = try await watching.value
        #expect(counts.mixedUp.isEmpty, "\(counts.mixedUp.count) of \(counts.sent): \(counts.mixedUp.prefix(5))")
        #expect(watches > 1)
        if asked != nil {
            print(
                "mix-ups: \(counts.mixedUp.count) of \(counts.sent) requests beside \(watches) watches in",
                began.duration(to: .now))
        }
    }

    private struct Counts {
        var sent = 0
        var mixedUp: [String] = []
        mutating func add(_ other: Counts) { (sent, mixedUp) = (sent + other.sent, mixedUp + other.mixedUp) }
    }

    /// - Parameter until: nil for a fixed number of rounds.
    private func requests(of worker: Int, until: ContinuousClock.Instant?) async throws -> Counts {
        var counts = Counts()
        var round = 0
        while until.map({ ContinuousClock.now < $0 }) ?? (round < 60) {
            round += 1
            let name = "w\(worker)-\(round)"
            let token = round % 2 == 0 ? "known" : "invented-\(name)"
            let review = #"{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"\#(token)"}}"#
            let event = #"{"kind":"Event","apiVersion":"v1","metadata":{"name":"\#(name)"}}"#
            for (sender, request, path, right) in [
                (
                    reviewer,
                    KubernetesRequest(
                        .post, "/apis/authentication.k8s.io/v1/tokenreviews", body: Array(review.utf8)),
                    ["spec", "token"], token
                ),
                (client, KubernetesRequest(.post, Self.events, body: Array(event.utf8)), ["metadata", "name"], name),
                (client, KubernetesRequest(.get, Self.events + "/\(name)"), ["metadata", "name"], name),
            ] {
                counts.sent += 1
                do throws(KubernetesError) {
                    let answer = try await sender.send(request, within: .seconds(20))
                    let root = (try? JSONDocument.parse(answer.body))?.root
                    let got = path.reduce(root) { $0?[$1] }?.string
                    if got != right { counts.mixedUp.append("\(name): \(got ?? "another kind of answer")") }
                } catch {
                    counts.mixedUp.append("\(name): \(error)")
                }
            }
        }
        return counts
    }

    /// - Returns: how many watches there were.
    private func watchAgainAndAgain(after first: KubernetesStream) async throws -> Int {
        var (stream, watches) = (first, 1)
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(150))
            server.endWatches()
            while !Task.isCancelled, let lines = try? await stream.next(100), !lines.isEmpty {}
            guard let page = try? await client.send(KubernetesRequest(.get, Self.events + "?limit=1")) else { continue }
            let version = (try? JSONDocument.parse(page.body))?.root["metadata"]?["resourceVersion"]?.string
            stream = try watch(from: version ?? "")
            try? await stream.opened()
            watches += 1
        }
        return watches
    }
}
