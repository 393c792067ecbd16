import JSON
import SignalKit
import Synchronization
import TestAPIServer
import TestSupport
import Testing

@testable import Adapters

/// The source before a real server on a real socket.
struct KubernetesEventsWatchTests {
    private static let collection = "/api/v1/namespaces/shop/events"
    private let server: TestAPIServer
    private let directory: TemporaryDirectory
    private let intake = RecordingIntake()
    private let said = Said()

    private final class Said: Sendable {
        let lines = Mutex<[String]>([])
        func holds(_ words: String) -> Bool { lines.withLock { $0.contains { $0.contains(words) } } }
    }

    init() async throws {
        server = try await TestAPIServer()
        directory = try TemporaryDirectory()
    }

    private func source(_ namespaces: [String] = ["*"]) throws -> KubernetesEventsWatch {
        try Files.write(
            """
            current-context: here
            contexts: [{name: here, context: {cluster: c}}]
            clusters: [{name: c, cluster: {server: 'http://127.0.0.1:\(server.port)'}}]
            """, to: directory.file("kubeconfig"))
        let mark = ConfigMark(line: 1, column: 1)
        func scalar(_ text: String) -> ConfigNode { ConfigNode(.scalar(text, plain: true), mark: mark) }
        let entries: [ConfigNode.Entry] = [
            .init(key: "kubeconfig", mark: mark, value: scalar(directory.file("kubeconfig"))),
            .init(key: "namespaces", mark: mark, value: ConfigNode(.list(namespaces.map(scalar)), mark: mark)),
        ]
        var reader = ConfigReader(ConfigNode(.map(entries), mark: mark), path: "sources[0]")
        return try KubernetesEventsWatch(
            &reader, Services(log: { [said] _, line in said.lines.withLock { $0.append(line) } }))
    }

    private func event(_ name: String, count: Int64 = 1, message: String = "x", namespace: String = "shop") -> JSONTree
    {
        [
            "kind": "Event", "apiVersion": "v1", "metadata": ["name": .string(name), "uid": .string("uid of \(name)")],
            "involvedObject": ["kind": "Pod", "name": .string(name), "namespace": .string(namespace)],
            "reason": "Failed", "type": "Warning", "message": .string(message), "count": .integer(count),
        ]
    }

    private func create(_ name: String, message: String = "x", namespace: String = "shop") {
        server.create(
            "/api/v1/namespaces/\(namespace)/events", event(name, message: message, namespace: namespace))
    }

    /// Runs a source until the body has ended.
    private func running(_ source: KubernetesEventsWatch, _ body: () async throws -> Void) async throws {
        let run = Task { [intake] in try await source.run(intake) }
        defer { run.cancel() }
        try await body()
        run.cancel()
        _ = await run.result
    }

    private func taken(_ names: [String]) async throws {
        _ = try await eventually(find: "\(names) taken; there are \(intake.taken)") {
            intake.taken == names ? true : nil
        }
    }

    private func asked(_ what: (APIRequest) -> Bool) -> Int { server.requests.filter(what).count }
    private var lists: Int { asked { $0.query["watch"] == nil } }
    private func watches(from version: String) -> Int { asked { $0.query["resourceVersion"] == version } }

    @Test func itListsThenWatches() async throws {
        create("a")
        try await running(source()) {
            try await taken(["a 1"])
            try await eventually("it watches") { intake.isWatching && server.watching == 1 }
            create("b")
            try await taken(["a 1", "b 1"])
            server.patch("events", "b", ["count": 7])
            try await taken(["a 1", "b 1", "b 7"])
            server.delete("events", "a")
            try await eventually("the end of an event moves it too") { intake.checkpoints[""] == "104" }
        }
        // Never before what lies before was taken.
        let moves = intake.state.withLock { $0.moves.map { "\($0.to) \($0.taken)" } }
        #expect(moves == ["101 1", "102 2", "103 3", "104 3"])
        #expect(!intake.isWatching)
    }

    @Test func itGoesOnFromWhereItWas() async throws {
        create("a")
        try await running(source()) { try await taken(["a 1"]) }
        create("b")
        try await running(source()) { try await taken(["a 1", "b 1"]) }
        #expect(lists == 1 && watches(from: "101") >= 1)
    }

    @Test(arguments: [true, false])
    func aPlaceThatTheServerHasForgottenIsListedAgainAndItsReplaysAbsorbed(_ midway: Bool) async throws {
        create("a")
        create("b")
        try await running(source()) {
            try await taken(["a 1", "b 1"])
            try await eventually("it watches") { server.watching == 1 }
            if midway {
                server.patch("events", "b", ["count": 2])
                try await taken(["a 1", "b 1", "b 2"])
                server.forget()
                server.endWatches()
                create("c")
                try await taken(["a 1", "b 1", "b 2", "c 1"])
            }
        }
        if !midway {
            server.patch("events", "b", ["count": 2])
            server.forget()
            create("c")
            try await running(source()) {
                try await eventually("b and c are taken") { intake.taken.count == 4 }
                #expect(intake.taken.suffix(2).sorted() == ["b 2", "c 1"])
            }
        }
        #expect(lists == 2)
    }

    @Test func aWatchThatEndsWithoutALineIsNotBelieved() async throws {
        create("a")
        try await running(source()) {
            try await taken(["a 1"])
            try await eventually("it watches") { server.watching == 1 }
            server.fail("GET", "events", .answer(APIAnswer(200, [])))
            create("b")
            try await taken(["a 1", "b 1"])
            server.endWatches()
            try await eventually("the silent watch, and another list") { lists == 2 && server.watching == 1 }
        }
        #expect(intake.taken == ["a 1", "b 1"])
    }

    @Test func whatTheServerSaysToWaitIsWaited() async throws {
        server.fail("GET", "events", .answer(.reinitializing))
        server.fail("GET", "events", .answer(.failure(504, "Timeout", "Timeout: Too large resource version")))
        server.fail("GET", "events", .reset)
        create("a")
        try await running(source()) { try await taken(["a 1"]) }
        #expect(said.holds("overloaded: storage is (re)initializing"))
        #expect(said.holds("unavailable: Timeout"))
    }

    @Test func aPlaceThatIsNoneIsGivenUp() async throws {
        intake.state.withLock { $0.checkpoints[""] = "abc" }
        create("a")
        try await running(source()) { try await taken(["a 1"]) }
        #expect(watches(from: "abc") == 3)
    }

    @Test func whileTheIntakeRefusesNothingIsReadOn() async throws {
        create("a")
        try await running(source()) {
            try await taken(["a 1"])
            intake.answer(503)
            create("b")
            try await eventually("b is refused, again and again") { intake.state.withLock { $0.refused } >= 3 }
            #expect(intake.checkpoints[""] == "101")
            intake.answer(202)
            try await taken(["a 1", "b 1"])
            try await eventually("it has moved on") { intake.checkpoints[""] == "102" }
            intake.state.withLock { $0.isAway = true }
            create("c")
            intake.state.withLock { $0.isAway = false }
            try await taken(["a 1", "b 1", "c 1"])
        }
    }

    /// What the server keeps for an hour is missed when nothing is read for longer.
    @Test func aWatchThatIsRefusedCountsAsNone() async throws {
        try await running(source()) {
            try await eventually("it watches") { intake.isWatching && server.watching == 1 }
            intake.answer(503)
            create("a")
            try await eventually("it counts as none") { !intake.isWatching }
            #expect(server.watching == 1)
            intake.answer(201)
            try await taken(["a 1"])
            try await eventually("it watches again") { intake.isWatching }
        }
    }

    /// One event spoils neither a list nor a watch.
    @Test func anEventThatIsTooDeepIsReadPast() async throws {
        var deep: JSONTree = "x"
        for _ in 0..<100 { deep = ["f": deep] }
        func createDeep(_ name: String) {
            guard case .object(var members) = event(name) else { return }
            members["surprise"] = deep
            server.create(Self.collection, .object(members))
        }
        createDeep("a")
        create("b")
        try await running(source()) {
            try await taken(["unreadable"])
            try await eventually("it watches") { server.watching == 1 }
            createDeep("c")
            create("d")
            try await eventually("it has moved on") { intake.checkpoints[""] == "104" }
        }
        #expect(lists == 1)
    }

    @Test func aLineThatIsCutIsReadAgainFromWhereItWas() async throws {
        try await running(source()) {
            try await eventually("it watches") { server.watching == 1 }
            server.fail("GET", "events", .stream(StreamShape(cutAfter: 20, chunk: 7)))
            server.endWatches()
            try await eventually("the shaped watch") { server.watching == 1 && lists == 2 }
            create("a")
            try await taken(["a 1"])
        }
    }

    @Test(arguments: [#"{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd"}}"#, "{not json", "[]"])
    func anErrorOrGarbageAmongTheLinesIsToldAndWaitedOut(_ line: String) async throws {
        create("a")
        try await running(source()) {
            try await taken(["a 1"])
            try await eventually("it watches") { server.watching == 1 }
            server.fail("GET", "events", .answer(APIAnswer(200, Array((line + "\n").utf8))))
            create("b")
            try await taken(["a 1", "b 1"])
            server.endWatches()
            try await eventually("the broken watch is over") { watches(from: "102") >= 2 && server.watching == 1 }
            create("c")
            try await taken(["a 1", "b 1", "c 1"])
        }
        #expect(lists == 1)
        #expect(said.holds("again in"))
    }

    @Test func anEventOfTwoMebibytesIsHandedOverWhole() async throws {
        try await running(source()) {
            try await eventually("it watches") { server.watching == 1 }
            create("big", message: String(repeating: "m", count: 2 << 20))
            create("small")
            try await taken(["big 1", "small 1"])
        }
    }

    @Test func anEventThatTheAdapterCannotReadDoesNotHoldUpTheOthers() async throws {
        create("a")
        intake.answer(400)
        try await running(source()) {
            try await eventually("it has moved on") { intake.checkpoints[""] == "101" }
            intake.answer(201)
            create("b")
            try await taken(["b 1"])
        }
        #expect(said.holds("an event is left out: the adapter answered 400; uid uid of a"))
        #expect(intake.state.withLock(\.dropped) == 1)
    }

    @Test func namespacesHaveWatchesOfTheirOwnAndPatternsOneForAll() async throws {
        create("a")
        create("b", namespace: "mart")
        create("c", namespace: "kube-system")
        try await running(source(["shop", "mart"])) {
            try await eventually("both are taken") { intake.taken.sorted() == ["a 1", "b 1"] }
            try await eventually("both are watched") { server.watching == 2 }
        }
        #expect(intake.checkpoints.keys.sorted() == ["mart", "shop"])
        #expect(asked { $0.path == "/api/v1/events" } == 0)
        try await running(source(["kube-*"])) {
            try await eventually("the third is taken") { intake.taken.count == 3 }
        }
        #expect(intake.taken.last == "c 1")
    }

    @Test func aListComesInPages() async throws {
        for number in 0..<1_100 { create("e\(number)") }
        try await running(source()) {
            try await eventually("all are taken") { intake.taken.count == 1_100 }
            try await eventually("it watches") { server.watching == 1 }
        }
        #expect(lists == 3)
        #expect(Set(intake.taken).count == 1_100)
        let largest = intake.state.withLock { $0.bodies.map(\.count).max() ?? 0 }
        #expect(largest < 200_000)
    }
}
