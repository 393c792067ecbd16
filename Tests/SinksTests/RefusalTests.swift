import JSON
import SignalKit
import TestAPIServer
import TestSupport
import Testing

@testable import Sinks

/// What the sink makes of answers that are not the ones it hoped for.
struct RefusalTests {
    private let rig: ObjectRig
    private var server: TestAPIServer { rig.server }
    private var objects: [String] { rig.objects }

    init() async throws { rig = try await ObjectRig() }

    @Test func whatTheServerRefusesIsTriedAgainUnlessItNeverCanBe() async throws {
        let sink = try rig.sink()
        let delivery = try ObjectRig.delivery(.firing, 5, 5)
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

    /// Decision 0023: whatever hands an answer to the wrong request, nothing is written by it.
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
