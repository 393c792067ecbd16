import JSON
import SignalKit
import Synchronization
import TestAPIServer
import TestSupport
import Testing

@testable import Sinks

/// What the sink makes of answers that are not the ones it hoped for.
struct RefusalTests {
    private let rig: ObjectRig
    private var server: TestAPIServer { rig.server }
    private var objects: [String] { rig.objects }

    private static let denial =
        #"signals "x" is forbidden: ValidatingAdmissionPolicy 'strict' with binding 'all' denied request: no"#

    init() async throws { rig = try await ObjectRig() }

    /// Which answers use up attempts, and which pause the whole sink.
    @Test func whatSpeaksOfTheWholeSinkUsesUpNoAttempt() async throws {
        let sink = try rig.sink()
        let delivery = try ObjectRig.delivery(.firing, 5, 5)
        for (answer, scope) in [
            (APIAnswer.failure(401, "Unauthorized", "Unauthorized"), SinkError.Scope.sink),
            (.failure(403, "Forbidden", #"User "u" cannot create resource "signals""#), .sink),
            (.failure(403, "Forbidden", "exceeded quota: objects"), .sink),
            (.failure(404, "NotFound", "namespaces \"gate\" not found", details: [("kind", "namespaces")]), .sink),
            (.failure(404, "NotFound", "the server could not find the requested resource"), .sink),
            (.failure(410, "Gone", "gone"), .sink), (APIAnswer(302, []), .sink),
            (.failure(429, "TooManyRequests", "busy"), .sink), (.failure(500, nil, "etcd"), .sink),
            (.failure(400, "BadRequest", #"strict decoding error: unknown field "spec.a""#), .sink),
            (.failure(422, "Invalid", "spec.name: Required value"), .delivery),
            (.failure(422, "Invalid", Self.denial), .delivery), (.failure(401, "Unauthorized", Self.denial), .delivery),
            (.failure(403, "Forbidden", Self.denial), .delivery),
            (.failure(500, nil, "etcdserver: request is too large"), .delivery),
        ] {
            server.fail("POST", "signals", .answer(answer))
            let error = await rig.failure(sink, delivery)
            #expect(error?.scope == scope, "\(answer.status): \(String(describing: error))")
            server.heal()
        }
        server.fail("POST", "signals", .answer(.failure(422, "Invalid", Self.denial)))
        #expect(await rig.failure(sink, delivery)?.message == "denied: " + Self.denial)
        #expect(await rig.failure(try rig.sink(port: 1), delivery)?.scope == .sink)
    }

    @Test func anUnknownFieldIsAskedToBeAnErrorAndAWarningIsLoggedOnce() async throws {
        let lines = Mutex<[String]>([])
        let sink = try rig.sink(
            services: Services(log: { level, text in lines.withLock { $0.append("\(level.rawValue): \(text)") } }))
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        let writes = server.requests.filter { $0.method != "GET" }
        #expect(writes.count == 2 && writes.allSatisfy { $0.query["fieldValidation"] == "Strict" })
        let object = try #require(server.objects("signals").values.first)
        var answer = APIAnswer(200, object)
        answer.headers = ["Warning": #"299 - "unknown field \"spec.size\"""#]
        for _ in 0..<3 {
            server.fail("PATCH", "signals", .answer(answer))
            try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 6, isUpdate: true))
        }
        #expect(lines.withLock { $0 } == [#"warning: the API server warns: unknown field "spec.size""#])
    }

    @Test func whatTheServerRefusesIsTriedAgainUnlessItNeverCanBe() async throws {
        let sink = try rig.sink()
        let delivery = try ObjectRig.delivery(.firing, 5, 5)
        let quota = #"signals.portcullis.dev "x" is forbidden: exceeded quota: objects"#
        for (method, answer, code, retryable) in [
            ("POST", APIAnswer.failure(403, "Forbidden", quota), SinkError.Code.overloaded, true),
            ("POST", .failure(403, "Forbidden", "cannot create resource"), .denied, true),
            ("POST", .failure(422, "Invalid", "spec.name: Required value"), .invalid, false),
            ("POST", .failure(422, "Invalid", Self.denial), .denied, true),
            ("POST", .failure(400, nil, #"admission webhook "hook" denied the request: no"#), .denied, true),
            ("POST", .failure(400, "BadRequest", #"strict decoding error: unknown field "spec.a""#), .refused, true),
            ("POST", .failure(500, nil, "etcdserver: request is too large"), .invalid, false),
            ("GET", .failure(401, "Unauthorized", "Unauthorized"), .denied, true),
            ("GET", .failure(404, "NotFound", "the server could not find the requested resource"), .refused, true),
            ("GET", .failure(429, "TooManyRequests", "storage is (re)initializing"), .overloaded, true),
            ("GET", .failure(500, "InternalError", "etcd"), .overloaded, true),
            ("GET", APIAnswer(200, Array("<html>".utf8)), .refused, true),
        ] {
            server.fail(method, "signals", .answer(answer))
            let error = await rig.failure(sink, delivery)
            #expect(error?.code == code && error?.retryable == retryable, "\(answer.status)")
        }
        server.fail("GET", "signals", .stall)
        #expect(await rig.failure(try rig.sink(timeout: "300ms"), delivery)?.code == .timeout)
        #expect(objects.isEmpty)
        try await rig.deliver(sink, delivery)
        #expect(objects == ["\(KubernetesObjectsTests.first) firing 5 5"])
        let away = try rig.sink(port: 1)
        let unreachable = await rig.failure(away, delivery)
        #expect(unreachable?.code == .unreachable && unreachable?.retryable == true)
    }

    /// Decision 0023.
    @Test func anAnswerAboutAnotherObjectIsNotTakenForTheRightOne() async throws {
        let sink = try rig.sink()
        let other = String(repeating: "ef", count: 32)
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5, fingerprint: other))
        let foreign = try #require(server.objects("signals").values.first)
        let list: JSONTree = [
            "kind": "SignalList", "apiVersion": "portcullis.dev/v1alpha1", "metadata": [:], "items": .array([foreign]),
        ]
        var elsewhere = foreign
        elsewhere["metadata"]?["namespace"] = "another"
        let delivery = try ObjectRig.delivery(.firing, 5, 5)
        for (method, body) in [
            ("GET", list), ("GET", foreign), ("POST", foreign), ("POST", ["kind": "Status", "status": "Success"]),
            ("PATCH", foreign), ("PATCH", elsewhere), ("PATCH", ["kind": "Status", "status": "Success"]),
        ] {
            server.fail(method, "signals", .answer(APIAnswer(method == "POST" ? 201 : 200, body)))
            let error = await rig.failure(sink, delivery)
            #expect(error?.code == .refused && error?.retryable == true, "\(method) \(body)")
            server.heal()
        }
        try await rig.deliver(sink, delivery)
        #expect(objects == ["\(KubernetesObjectsTests.first) firing 5 5", "sig-efefefefefefefef-1 firing 5 5"])
    }

    /// 403 and a server that is away say nothing of what is there already.
    @Test func afterARefusalTheSinkLooksBeforeItMakes() async throws {
        let quota = APIAnswer.failure(403, "Forbidden", "exceeded quota: objects")
        for (episode, fault) in [(Int64(5), APIFault.answer(quota)), (9, .reset)] {
            let (sink, other) = (try rig.sink(), try rig.sink())
            let delivery = try ObjectRig.delivery(.firing, episode, episode, follows: episode - 4, startsAt: episode)
            server.fail("POST", "signals", fault, count: 2)
            #expect(await rig.failure(sink, delivery)?.retryable == true)
            server.heal()
            // Meanwhile another host has made it, and heard more.
            try await rig.deliver(other, delivery)
            try await rig.deliver(other, ObjectRig.delivery(.firing, episode, episode + 1, count: 3, isUpdate: true))
            let there = objects
            try await rig.deliver(sink, delivery)
            #expect(objects == there)
        }
        #expect(objects.count == 2)
    }
}
