import JSON
import Kubernetes
import SignalKit
import TestAPIServer
import TestSupport
import Testing

@testable import Sinks

/// The sink before a real server on a real socket; every row of docs/kubernetes.md's table of what is survived.
struct KubernetesObjectsTests {
    private let server: TestAPIServer
    private let directory: TemporaryDirectory

    init() async throws {
        server = try await TestAPIServer(token: "letmein")
        directory = try TemporaryDirectory()
    }

    private func sink(port: Int? = nil, timeout: String = "5s") throws -> KubernetesObjects {
        try Files.write(
            """
            current-context: here
            contexts: [{name: here, context: {cluster: c, user: u, namespace: gate}}]
            clusters: [{name: c, cluster: {server: 'http://127.0.0.1:\(port ?? server.port)'}}]
            users: [{name: u, user: {token: letmein}}]
            """, to: directory.file("kubeconfig"))
        let mark = ConfigMark(line: 1, column: 1)
        let entries = [("kubeconfig", directory.file("kubeconfig")), ("timeout", timeout)].map {
            ConfigNode.Entry(key: $0.0, mark: mark, value: ConfigNode(.scalar($0.1, plain: true), mark: mark))
        }
        var reader = ConfigReader(ConfigNode(.map(entries), mark: mark), path: "sinks[0]")
        let sink = try KubernetesObjects(&reader, .silent)
        guard reader.errors.isEmpty else { throw reader.errors[0] }
        return sink
    }

    static let fingerprint = String(repeating: "ab", count: 32)

    static func delivery(
        _ state: Delivery.State, _ episode: Int64, _ version: Int64, fingerprint: String = fingerprint,
        follows: Int64? = nil, count: Int64 = 1, startsAt: Int64 = 1_000, isUpdate: Bool = false,
        hasSignal: Bool = true,
        reason: Delivery.Reason? = nil
    ) throws -> Delivery {
        let signal = try Signal(
            identity: Identity(family: "alert", fields: [.init("alertname", "A")]), name: "A",
            status: state == .firing ? .firing : .resolved, severity: "critical",
            labels: Labels([.init("alertname", "A")]), annotations: Labels([.init("summary", "\"it\" is full")]),
            target: Target(kind: "pod", namespace: "shop", name: "p.1"), startsAt: Timestamp(milliseconds: startsAt))
        return Delivery(
            id: "\(fingerprint)-\(episode)-\(version)", kind: .signal, state: state, fingerprint: fingerprint,
            episode: episode, version: version, follows: follows, count: count, first: Timestamp(milliseconds: episode),
            last: Timestamp(milliseconds: version), reason: reason, signal: hasSignal ? signal : nil, storm: nil,
            isUpdate: isUpdate, json: [])
    }

    private func storm(_ state: Delivery.State, _ version: Int64, firing: Int, isUpdate: Bool = false) -> Delivery {
        let id = String(repeating: "cd", count: 16) + "-1795489732978"
        let member = StormMember(
            fingerprint: Self.fingerprint, episode: 7, name: "A", target: nil, firing: firing > 0)
        return Delivery(
            id: "\(id)-1-\(version)", kind: .storm, state: state, fingerprint: id, episode: 1, version: version,
            follows: nil, count: 12, first: Timestamp(milliseconds: 1), last: Timestamp(milliseconds: version),
            reason: nil, signal: nil,
            storm: Storm(id: id, group: [.init("name", "A")], members: 12, firing: firing, listed: [member]),
            isUpdate: isUpdate, json: [])
    }

    private func deliver(_ sink: KubernetesObjects, _ delivery: Delivery) async throws(SinkError) {
        try await sink.deliver(delivery, DeliveryContext(attempt: 1, deadline: .now + .seconds(60)))
    }

    private func failure(_ sink: KubernetesObjects, _ delivery: Delivery) async -> SinkError? {
        do throws(SinkError) {
            try await deliver(sink, delivery)
            return nil
        } catch {
            return error
        }
    }

    /// Each object as `name state episode version`.
    private var objects: [String] {
        server.objects("signals").sorted { $0.key < $1.key }.map { name, object in
            let status = object["status"]
            return [name, status?["state"]?.text, status?["episode"]?.text, status?["version"]?.text]
                .map { $0 ?? "-" }.joined(separator: " ")
        }
    }

    private static let first = "sig-abababababababab-1"
    private static let second = "sig-abababababababab-2"

    @Test func aProblemIsAnObjectFromItsStartToItsEnd() async throws {
        let sink = try sink()
        try await deliver(sink, Self.delivery(.firing, 5, 5))
        let object = try #require(server.objects("signals")[Self.first])
        #expect(
            object["metadata"]?["labels"]?["portcullis.dev/fingerprint"]?.text == String(Self.fingerprint.prefix(40)))
        #expect(object["spec"]?["fingerprint"]?.text == Self.fingerprint)
        #expect(object["spec"]?["name"]?.text == "A" && object["spec"]?["severity"]?.text == "critical")
        #expect(object["spec"]?["target"]?["name"]?.text == "p.1")
        #expect(object["spec"]?["annotations"]?["summary"]?.text == "\"it\" is full")
        #expect(object["spec"]?["startsAt"]?.text == "1970-01-01T00:00:01.000Z")
        try await deliver(sink, Self.delivery(.firing, 5, 6, count: 9, isUpdate: true))
        #expect(server.objects("signals")[Self.first]?["status"]?["count"] == .integer(9))
        try await deliver(sink, Self.delivery(.resolved, 5, 7, isUpdate: true))
        #expect(objects == ["\(Self.first) resolved 5 7"])
        #expect(server.objects("signals")[Self.first]?["status"]?["resolvedAt"]?.text == "1970-01-01T00:00:00.007Z")
        try await deliver(sink, Self.delivery(.firing, 9, 9, follows: 5, startsAt: 2_000))
        #expect(objects == ["\(Self.first) resolved 5 7", "\(Self.second) firing 9 9"])
    }

    @Test func redeliveriesAndTwoHostsAtOnceMakeOne() async throws {
        let (one, other) = (try sink(), try sink())
        let delivery = try Self.delivery(.firing, 5, 5)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for place in 0..<20 { tasks.addTask { try await deliver(place % 2 == 0 ? one : other, delivery) } }
            try await tasks.waitForAll()
        }
        #expect(objects == ["\(Self.first) firing 5 5"])
    }

    @Test func aLostReplyToTheCreateMakesNoSecond() async throws {
        let sink = try sink()
        let delivery = try Self.delivery(.firing, 5, 5)
        // Twice: libcurl itself repeats a request whose kept connection ends before any answer.
        server.fail("POST", "signals", .loseReply, count: 2)
        #expect(await failure(sink, delivery)?.retryable == true)
        #expect(objects == ["\(Self.first) - - -"])
        server.fail("PATCH", "signals", .loseReply, count: 2)
        #expect(await failure(sink, delivery)?.retryable == true)
        try await deliver(sink, delivery)
        #expect(objects == ["\(Self.first) firing 5 5"])
        #expect(server.requests.filter { $0.method == "POST" }.count == 2)
        // Once is hidden by that repeat: its 409 makes the sink look again.
        server.fail("POST", "signals", .loseReply)
        try await deliver(sink, Self.delivery(.firing, 9, 9, follows: 5, startsAt: 2_000))
        #expect(objects == ["\(Self.first) resolved 5 9", "\(Self.second) firing 9 9"])
    }

    @Test func aStoreThatForgotAdoptsWhatTheClusterStillHolds() async throws {
        let sink = try sink()
        try await deliver(sink, Self.delivery(.firing, 5, 5))
        // Redis is empty: the next repeat is a new episode that follows none.
        try await deliver(sink, Self.delivery(.firing, 50, 50))
        #expect(objects == ["\(Self.first) firing 50 50"])
        try await deliver(sink, Self.delivery(.resolved, 50, 51))
        #expect(objects == ["\(Self.first) resolved 50 51"])
        // Empty once more, and a late repeat of what is done.
        try await deliver(sink, Self.delivery(.firing, 70, 70))
        #expect(objects == ["\(Self.first) resolved 50 51"])
        try await deliver(sink, Self.delivery(.firing, 80, 80, startsAt: 9_000))
        #expect(objects.last == "\(Self.second) firing 80 80")
    }

    @Test func anEndOfSomethingNeverSeenEndsWhatTheClusterHolds() async throws {
        let sink = try sink()
        try await deliver(sink, Self.delivery(.resolved, 0, 4))
        #expect(objects.isEmpty)
        try await deliver(sink, Self.delivery(.firing, 5, 5))
        try await deliver(sink, Self.delivery(.resolved, 0, 60))
        #expect(objects == ["\(Self.first) resolved 5 60"])
    }

    @Test func whatEndedByItselfIsNotDone() async throws {
        let sink = try sink()
        try await deliver(sink, Self.delivery(.firing, 5, 5))
        try await deliver(sink, Self.delivery(.resolved, 5, 6, isUpdate: true, hasSignal: false, reason: .expired))
        #expect(server.objects("signals")[Self.first]?["status"]?["reason"]?.text == "expired")
        try await deliver(sink, Self.delivery(.firing, 50, 50))
        #expect(objects.last == "\(Self.second) firing 50 50")
    }

    @Test func anObjectDeletedByHandDoesNotComeBackWhileItsProblemGoesOn() async throws {
        let sink = try sink()
        try await deliver(sink, Self.delivery(.firing, 5, 5))
        server.delete("signals", Self.first)
        try await deliver(sink, Self.delivery(.firing, 5, 6, isUpdate: true))
        try await deliver(sink, Self.delivery(.resolved, 5, 7, isUpdate: true))
        #expect(objects.isEmpty)
        try await deliver(sink, Self.delivery(.firing, 9, 9, follows: 5, startsAt: 2_000))
        #expect(objects == ["\(Self.first) firing 9 9"])
    }

    @Test func afterAnObjectWasCompletedALaterEpisodeGetsTheNextNumber() async throws {
        let sink = try sink()
        try await deliver(sink, Self.delivery(.firing, 5, 5))
        server.patch("signals", Self.first, status: ["completed": true])
        try await deliver(sink, Self.delivery(.firing, 5, 6, count: 3, isUpdate: true))
        #expect(objects == ["\(Self.first) firing 5 6"])
        // Redis is empty, the problem still the same: it is done.
        try await deliver(sink, Self.delivery(.firing, 40, 40))
        #expect(objects == ["\(Self.first) firing 5 6"])
        try await deliver(sink, Self.delivery(.firing, 50, 50, follows: 5))
        #expect(objects == ["\(Self.first) firing 5 6", "\(Self.second) firing 50 50"])
    }

    @Test func anEpisodeThatFollowsEndsTheOneBefore() async throws {
        let sink = try sink()
        try await deliver(sink, Self.delivery(.firing, 5, 5))
        server.fail("POST", "signals", .reset, count: 2)
        let next = try Self.delivery(.firing, 9, 9, follows: 5)
        // Between the two steps the process could die.
        #expect(await failure(sink, next)?.retryable == true)
        #expect(objects == ["\(Self.first) resolved 5 9"])
        try await deliver(sink, next)
        #expect(objects == ["\(Self.first) resolved 5 9", "\(Self.second) firing 9 9"])
    }

    @Test func anotherProblemWithTheSameBeginningHasALongerName() async throws {
        let sink = try sink()
        let other = String(Self.fingerprint.prefix(16)) + String(repeating: "0", count: 48)
        let cut = String(Self.fingerprint.prefix(40)) + String(repeating: "0", count: 24)
        try await deliver(sink, Self.delivery(.firing, 5, 5))
        try await deliver(sink, Self.delivery(.firing, 6, 6, fingerprint: other))
        #expect(objects == ["\(Self.first) firing 5 5", "sig-abababababababab00000000-1 firing 6 6"])
        // The label is the same too: the full fingerprint decides, and the number is free.
        try await deliver(sink, Self.delivery(.firing, 7, 7, fingerprint: cut))
        #expect(objects.contains("\(Self.second) firing 7 7"))
        try await deliver(sink, Self.delivery(.resolved, 5, 8, isUpdate: true))
        #expect(objects.contains("\(Self.first) resolved 5 8") && objects.contains("\(Self.second) firing 7 7"))
    }

    @Test func aConflictIsLookedAtAgain() async throws {
        let sink = try sink()
        try await deliver(sink, Self.delivery(.firing, 5, 5))
        server.fail("PATCH", "signals", .answer(.failure(409, "Conflict", "the object has been modified")), count: 2)
        try await deliver(sink, Self.delivery(.resolved, 5, 6, isUpdate: true))
        #expect(objects == ["\(Self.first) resolved 5 6"])
        server.fail("PATCH", "signals", .answer(.failure(409, "Conflict", "the object has been modified")), count: 100)
        #expect(await failure(sink, try Self.delivery(.firing, 5, 7, isUpdate: true))?.retryable == true)
    }

    @Test func whatTheServerRefusesIsTriedAgainUnlessItNeverCanBe() async throws {
        let sink = try sink(timeout: "300ms")
        let delivery = try Self.delivery(.firing, 5, 5)
        let quota = #"signals.portcullis.dev "x" is forbidden: exceeded quota: objects"#
        for (method, answer, code, retryable) in [
            ("POST", APIAnswer.failure(403, "Forbidden", quota), SinkError.Code.overloaded, true),
            ("POST", .failure(403, "Forbidden", "cannot create resource"), .denied, true),
            ("POST", .failure(422, "Invalid", "spec.name: Required value"), .invalid, false),
            ("GET", .failure(401, "Unauthorized", "Unauthorized"), .denied, true),
            ("GET", .failure(404, "NotFound", "the server could not find the requested resource"), .refused, true),
            ("GET", .failure(429, "TooManyRequests", "storage is (re)initializing"), .overloaded, true),
            ("GET", .failure(500, "InternalError", "etcd"), .overloaded, true),
            ("GET", APIAnswer(200, Array("<html>".utf8)), .refused, true),
        ] {
            server.fail(method, "signals", .answer(answer))
            let error = await failure(sink, delivery)
            #expect(error?.code == code && error?.retryable == retryable, "\(answer.status)")
        }
        server.fail("GET", "signals", .stall)
        #expect(await failure(sink, delivery)?.code == .timeout)
        #expect(objects.isEmpty)
        try await deliver(sink, delivery)
        #expect(objects == ["\(Self.first) firing 5 5"])
        let away = try self.sink(port: 1)
        let unreachable = await failure(away, delivery)
        #expect(unreachable?.code == .unreachable && unreachable?.retryable == true)
    }

    @Test func aStormIsOneObjectUpdatedClosedAndResolved() async throws {
        let sink = try sink()
        try await deliver(sink, storm(.open, 5, firing: 12))
        try await deliver(sink, storm(.open, 6, firing: 11, isUpdate: true))
        let object = try #require(server.objects("signals").first?.value)
        #expect(object["status"]?["storm"]?["members"] == .integer(12))
        #expect(object["status"]?["storm"]?["firing"] == .integer(11))
        try await deliver(sink, storm(.open, 5, firing: 12))
        try await deliver(sink, storm(.closed, 7, firing: 1, isUpdate: true))
        try await deliver(sink, storm(.resolved, 8, firing: 0, isUpdate: true))
        #expect(objects == ["storm-\(String(repeating: "cd", count: 16))-1795489732978 resolved 1 8"])
        server.delete("signals", "storm-\(String(repeating: "cd", count: 16))-1795489732978")
        try await deliver(sink, storm(.resolved, 9, firing: 0, isUpdate: true))
        #expect(objects.isEmpty)
    }

    @Test func whateverTheOrderTheLastEpisodeIsTheOneThatIsActive() async throws {
        let all = [
            try Self.delivery(.firing, 5, 5), try Self.delivery(.firing, 5, 6, count: 4),
            try Self.delivery(.resolved, 5, 7), try Self.delivery(.firing, 9, 9, follows: 5, startsAt: 2_000),
        ]
        let sink = try sink()
        for order in Self.permutations(Array(all.indices)) {
            for place in order + order.prefix(2) { try await deliver(sink, all[place]) }
            let found = server.objects("signals")
            let active = found.filter { $0.value["status"]?["state"]?.text == "firing" }
            #expect(active.count == 1, "\(order): \(objects)")
            #expect(active.first?.value["status"]?["version"]?.text == "9", "\(order): \(objects)")
            let episodes = found.values.compactMap { $0["status"]?["episode"]?.text }
            #expect(Set(episodes).count == found.count, "\(order): \(objects)")
            for name in found.keys { server.delete("signals", name) }
        }
    }

    private static func permutations(_ items: [Int]) -> [[Int]] {
        guard items.count > 1 else { return [items] }
        return items.flatMap { item in permutations(items.filter { $0 != item }).map { [item] + $0 } }
    }
}
