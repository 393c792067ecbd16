import JSON
import TestAPIServer
import TestSupport
import Testing

@testable import Kubernetes

struct KubernetesStreamTests {
    private static let events = "/api/v1/namespaces/demo/events"
    private let server: TestAPIServer
    private let directory: TemporaryDirectory
    private let client: KubernetesClient

    init() async throws {
        server = try await TestAPIServer()
        directory = try TemporaryDirectory()
        try Files.write(
            """
            current-context: here
            contexts: [{name: here, context: {cluster: c}}]
            clusters: [{name: c, cluster: {server: 'http://127.0.0.1:\(server.port)'}}]
            """, to: directory.file("kubeconfig"))
        client = KubernetesClient(.kubeconfig(directory.file("kubeconfig")))
    }

    private func event(_ name: String, message: String = "x") -> JSONTree {
        [
            "kind": "Event", "apiVersion": "v1", "metadata": ["name": .string(name)], "message": .string(message),
            "involvedObject": ["kind": "Pod", "name": "p"], "reason": "Failed", "type": "Warning",
        ]
    }

    private func watch(_ query: String = "&resourceVersion=100", within: Duration = .seconds(20)) throws
        -> KubernetesStream
    {
        try client.stream(KubernetesRequest(.get, Self.events + "?watch=1" + query), within: within)
    }

    private func names(_ lines: [[UInt8]]) throws -> [String] {
        try lines.map { try JSONDocument.parse($0).root["object"]?["metadata"]?["name"]?.string ?? "" }
    }

    /// All lines until the end, or until the failure that ends them.
    private func all(_ stream: KubernetesStream) async -> (lines: [[UInt8]], error: KubernetesError?) {
        var lines: [[UInt8]] = []
        do throws(KubernetesError) {
            while case let more = try await stream.next(100), !more.isEmpty { lines += more }
            return (lines, nil)
        } catch {
            return (lines, error)
        }
    }

    @Test(arguments: [nil, 1, 7, 4_096])
    func linesAreWholeHoweverTheirBytesCome(_ chunk: Int?) async throws {
        for name in ["a", "b", "ä"] { server.create(Self.events, event(name)) }
        server.fail("GET", "events", .stream(StreamShape(chunk: chunk)))
        let stream = try watch()
        var seen: [String] = []
        while seen.count < 3 { seen += try names(try await stream.next(2)) }
        #expect(seen == ["a", "b", "ä"])
        server.create(Self.events, event("later"))
        #expect(try names(try await stream.next(2)) == ["later"])
        server.endWatches()
        #expect(try await stream.next(1).isEmpty)
        // The end stays the end, and asks for nothing again.
        #expect(try await stream.next(1).isEmpty)
        #expect(server.requests.count == 1)
    }

    @Test func whatACutLeavesOfALineIsNoLine() async throws {
        for name in ["a", "b"] { server.create(Self.events, event(name)) }
        server.fail("GET", "events", .stream(StreamShape(cutAfter: 300)))
        let (lines, error) = await all(try watch())
        #expect(try names(lines) == ["a"])
        #expect(error?.code == .interrupted)
    }

    @Test func aReaderThatDoesNotReadHoldsUpTheServer() async throws {
        let message = String(repeating: "m", count: 60_000)
        for number in 0..<200 { server.create(Self.events, event("e\(number)", message: message)) }
        let stream = try watch()
        let first = try await stream.next(1)
        #expect(try names(first) == ["e0"])
        var lines: [[UInt8]] = []
        while lines.count < 199, case let more = try await stream.next(3), !more.isEmpty { lines += more }
        #expect(try names(lines) == (1..<200).map { "e\($0)" })
    }

    @Test func whatIsNotReadIsHeldWithinABound() async throws {
        let buffer = LineBuffer()
        let chunk = Array(String(repeating: "x", count: 1_023).utf8) + [UInt8(ascii: "\n")]
        var taken = 0
        while chunk.withUnsafeBytes(buffer.feed) == .taken { taken += 1 }
        #expect(taken == LineBuffer.most / 1_023 + 1)
        #expect(try await buffer.next(1).more == false || taken * 1_023 - 1_023 < LineBuffer.most)
        let rest = try await buffer.next(5_000)
        #expect(rest.lines.count == taken - 1)
        #expect(chunk.withUnsafeBytes(buffer.feed) == .taken)
        let long = [UInt8](repeating: UInt8(ascii: "y"), count: LineBuffer.longest + 1)
        #expect(long.withUnsafeBytes(buffer.feed) == .tooLong)
    }

    @Test func aWatchThatTheServerRefusesSaysWhy() async throws {
        server.forget()
        let (lines, none) = await all(try watch())
        #expect(lines.count == 1 && none == nil)
        let error = try KubernetesError(watched: #require(try JSONDocument.parse(lines[0]).root["object"]))
        #expect(error.code == .expired && error.reason == "Expired")
        server.fail("GET", "events", .answer(.reinitializing))
        let busy = await all(try watch()).error
        #expect(busy?.code == .overloaded && busy?.retryAfter == 1)
        #expect(await all(try watch("&resourceVersion=abc")).error?.status == 500)
        server.fail("GET", "events", .answer(APIAnswer(200, [])))
        let silent = await all(try watch())
        #expect(silent.lines.isEmpty && silent.error == nil)
    }

    @Test func aWatchEndsWithItsDeadlineAndWithItsReader() async throws {
        #expect(await all(try watch(within: .milliseconds(200))).error?.code == .timeout)
        try await eventually("no watch is left") { server.watching == 0 }
        let reading = Task { [self] in await all(try watch()) }
        try await eventually("a watch") { server.watching == 1 }
        reading.cancel()
        #expect(try await reading.value.error?.code == .interrupted)
        try await eventually("no watch is left") { server.watching == 0 }
        var stream: KubernetesStream? = try watch()
        try await eventually("a watch") { server.watching == 1 }
        _ = stream
        stream = nil
        try await eventually("no watch is left") { server.watching == 0 }
    }
}

/// The server of the tests against a real one.
struct TestAPIServerTests {
    private static let events = "/api/v1/namespaces/demo/events"
    private static let widgets = "/apis/example.test/v1/namespaces/demo/widgets"

    private func recorded(_ name: String) throws -> [UInt8] {
        let bytes = Array(try Repository.text("Tests/KubernetesTests/Fixtures/\(name)").utf8)
        // A file of the repository ends with a line break, an answer does not.
        return name.hasSuffix(".json") ? Array(bytes.dropLast()) : bytes
    }

    /// - Parameter body: JSON to post; nil to get.
    private func curl(_ server: TestAPIServer, _ path: String, _ body: String? = nil) async throws -> [UInt8] {
        let post = body.map { ["--json", $0] } ?? []
        let url = "http://127.0.0.1:\(server.port)\(path)"
        let run = try await ChildProcess.run("curl", ["--silent", "--max-time", "10"] + post + [url])
        #expect(run.end == .exited(0))
        return Array(run.output.utf8)
    }

    @Test func itAnswersAsARealOneDid() async throws {
        let server = try await TestAPIServer()
        let event = try recorded("event.json")
        server.create(Self.events, JSONTree(try JSONDocument.parse(event).root))
        let widget = #"{"apiVersion":"example.test/v1","kind":"Widget","metadata":{"name":"w1"}}"#
        _ = try await curl(server, Self.widgets, widget)
        #expect(try await curl(server, Self.widgets, widget) == recorded("409-custom.json"))
        let again = String(decoding: event, as: UTF8.self)
        #expect(try await curl(server, Self.events, again) == recorded("409-event.json"))
        let bad = "?watch=1&resourceVersion=abc"
        #expect(try await curl(server, Self.events + bad) == recorded("500-watch.json"))
        // The numbers of versions are this server's own.
        func renumbered(_ text: [UInt8]) -> String {
            String(decoding: text, as: UTF8.self).replacing(#/(current: |resourceVersion": ")[0-9]+/#) { "\($0.1)N" }
        }
        let future = try await curl(server, Self.events + "?resourceVersion=99999999")
        #expect(try renumbered(future) == renumbered(recorded("504-list.json")))
        let read = try await curl(server, Self.events + "/ev-core-1")
        #expect(
            renumbered(read).replacing("2026-08-01T12:00:00Z", with: "T")
                == renumbered(event).replacing("2026-11-23T04:14:03Z", with: "T", maxReplacements: 1))
        server.forget()
        #expect(try await curl(server, Self.events + "?watch=1&resourceVersion=100") == recorded("410-watch.jsonl"))
        let closed = try await TestAPIServer(token: "t")
        #expect(try await curl(closed, Self.events) == recorded("401.json"))
        #expect(APIAnswer.reinitializing.body == (try recorded("429.json")))
        let token = #"{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"x"}}"#
        let review = try await curl(server, "/apis/authentication.k8s.io/v1/tokenreviews", token)
        let status = try JSONDocument.parse(review).root["status"]
        #expect(status?["authenticated"] == nil && status?["error"]?.string == "invalid bearer token")
    }

    @Test func listsComeInPagesOfOneMoment() async throws {
        let server = try await TestAPIServer()
        for number in 0..<5 {
            server.create(Self.events, ["kind": "Event", "metadata": ["name": .string("e\(number)")]])
        }
        var names: [String] = []
        var next = ""
        repeat {
            let query = "?limit=2" + (next.isEmpty ? "" : "&continue=\(KubernetesRequest.encoded(next))")
            let page = try JSONDocument.parse(try await curl(server, "/api/v1/events" + query)).root
            names += page["items"]?.array?.compactMap { $0["metadata"]?["name"]?.string } ?? []
            next = page["metadata"]?["continue"]?.string ?? ""
        } while !next.isEmpty
        #expect(names == ["e0", "e1", "e2", "e3", "e4"])
        server.forget()
        let old = try JSONDocument.parse(try await curl(server, "/api/v1/events?limit=2&continue=100")).root
        #expect(old["reason"]?.string == "Expired" && old["metadata"]?["continue"]?.string != nil)
        let recorded = try JSONDocument.parse(recorded("410-continue.json")).root
        #expect(old["message"]?.string == recorded["message"]?.string)
    }
}
