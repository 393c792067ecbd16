import JSON
import Kubernetes
import SignalKit
import TestAPIServer
import TestSupport
import Testing

@testable import Sinks

/// Every row of docs/kubernetes.md's table of what is survived.
struct KubernetesObjectsTests {
    private let rig: ObjectRig
    private var server: TestAPIServer { rig.server }
    private var objects: [String] { rig.objects }

    init() async throws { rig = try await ObjectRig() }

    static let first = "sig-abababababababab-1"
    static let second = "sig-abababababababab-2"

    @Test func aProblemIsAnObjectFromItsStartToItsEnd() async throws {
        let sink = try rig.sink()
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        let object = try #require(server.objects("signals")[Self.first])
        #expect(
            object["metadata"]?["labels"]?["portcullis.dev/fingerprint"]?.text
                == String(ObjectRig.fingerprint.prefix(40)))
        #expect(object["spec"]?["fingerprint"]?.text == ObjectRig.fingerprint)
        #expect(object["spec"]?["name"]?.text == "A" && object["spec"]?["severity"]?.text == "critical")
        #expect(object["spec"]?["target"]?["name"]?.text == "p.1")
        #expect(object["spec"]?["annotations"]?["summary"]?.text == "\"it\" is full")
        #expect(object["spec"]?["startsAt"]?.text == "1970-01-01T00:00:01.000Z")
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 6, count: 9, isUpdate: true))
        #expect(server.objects("signals")[Self.first]?["status"]?["count"] == .integer(9))
        try await rig.deliver(sink, ObjectRig.delivery(.resolved, 5, 7, isUpdate: true))
        #expect(objects == ["\(Self.first) resolved 5 7"])
        #expect(server.objects("signals")[Self.first]?["status"]?["resolvedAt"]?.text == "1970-01-01T00:00:00.007Z")
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 9, 9, follows: 5, startsAt: 2_000))
        #expect(objects == ["\(Self.first) resolved 5 7", "\(Self.second) firing 9 9"])
    }

    @Test func redeliveriesAndTwoHostsAtOnceMakeOne() async throws {
        let (one, other) = (try rig.sink(), try rig.sink())
        let delivery = try ObjectRig.delivery(.firing, 5, 5)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for place in 0..<20 { tasks.addTask { try await rig.deliver(place % 2 == 0 ? one : other, delivery) } }
            try await tasks.waitForAll()
        }
        #expect(objects == ["\(Self.first) firing 5 5"])
    }

    @Test func aLostReplyToTheCreateMakesNoSecond() async throws {
        let sink = try rig.sink()
        let delivery = try ObjectRig.delivery(.firing, 5, 5)
        // Twice: libcurl itself repeats a request whose kept connection ends before any answer.
        server.fail("POST", "signals", .loseReply, count: 2)
        #expect(await rig.failure(sink, delivery)?.retryable == true)
        server.heal()
        #expect(objects == ["\(Self.first) - - -"])
        server.fail("PATCH", "signals", .loseReply, count: 2)
        #expect(await rig.failure(sink, delivery)?.retryable == true)
        server.heal()
        try await rig.deliver(sink, delivery)
        #expect(objects == ["\(Self.first) firing 5 5"])
        // Once is hidden by that repeat, whose 409 makes the sink look again; on a fresh connection there is none.
        server.fail("POST", "signals", .loseReply)
        let next = try ObjectRig.delivery(.firing, 9, 9, follows: 5, startsAt: 2_000)
        if await rig.failure(sink, next) != nil { try await rig.deliver(sink, next) }
        #expect(objects == ["\(Self.first) resolved 5 9", "\(Self.second) firing 9 9"])
    }

    @Test func aStoreThatForgotAdoptsWhatTheClusterStillHolds() async throws {
        let sink = try rig.sink()
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        // Redis is empty: the next repeat is a new episode that follows none.
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 50, 50))
        #expect(objects == ["\(Self.first) firing 50 50"])
        try await rig.deliver(sink, ObjectRig.delivery(.resolved, 50, 51))
        #expect(objects == ["\(Self.first) resolved 50 51"])
        // Empty once more, and a late repeat of what is done.
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 70, 70))
        #expect(objects == ["\(Self.first) resolved 50 51"])
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 80, 80, startsAt: 9_000))
        #expect(objects.last == "\(Self.second) firing 80 80")
    }

    @Test func anEndOfSomethingNeverSeenEndsWhatTheClusterHolds() async throws {
        let sink = try rig.sink()
        try await rig.deliver(sink, ObjectRig.delivery(.resolved, 0, 4))
        #expect(objects.isEmpty)
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        try await rig.deliver(sink, ObjectRig.delivery(.resolved, 0, 60))
        #expect(objects == ["\(Self.first) resolved 5 60"])
    }

    @Test func whatEndedByItselfIsNotDone() async throws {
        let sink = try rig.sink()
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        try await rig.deliver(
            sink, ObjectRig.delivery(.resolved, 5, 6, isUpdate: true, hasSignal: false, reason: .expired))
        #expect(server.objects("signals")[Self.first]?["status"]?["reason"]?.text == "expired")
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 50, 50))
        #expect(objects.last == "\(Self.second) firing 50 50")
    }

    @Test func anObjectDeletedByHandDoesNotComeBackWhileItsProblemGoesOn() async throws {
        let sink = try rig.sink()
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        server.delete("signals", Self.first)
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 6, isUpdate: true))
        try await rig.deliver(sink, ObjectRig.delivery(.resolved, 5, 7, isUpdate: true))
        #expect(objects.isEmpty)
        for _ in 0..<2 {
            try await rig.deliver(sink, ObjectRig.delivery(.firing, 9, 9, follows: 5, startsAt: 2_000))
            #expect(objects == ["\(Self.first) firing 9 9"])
        }
    }

    @Test func afterAnObjectWasCompletedALaterEpisodeGetsTheNextNumber() async throws {
        let sink = try rig.sink()
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        server.patch("signals", Self.first, status: ["completed": true])
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 6, count: 3, isUpdate: true))
        #expect(objects == ["\(Self.first) firing 5 6"])
        // Redis is empty, the problem still the same: it is done.
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 40, 40))
        #expect(objects == ["\(Self.first) firing 5 6"])
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 50, 50, follows: 5))
        #expect(objects == ["\(Self.first) firing 5 6", "\(Self.second) firing 50 50"])
    }

    @Test func anEpisodeThatFollowsEndsTheOneBefore() async throws {
        let sink = try rig.sink()
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        server.fail("POST", "signals", .reset, count: 2)
        let next = try ObjectRig.delivery(.firing, 9, 9, follows: 5)
        // Between the two steps the process could die.
        #expect(await rig.failure(sink, next)?.retryable == true)
        // Only a kept connection made libcurl repeat the request.
        server.heal()
        #expect(objects == ["\(Self.first) resolved 5 9"])
        try await rig.deliver(sink, next)
        #expect(objects == ["\(Self.first) resolved 5 9", "\(Self.second) firing 9 9"])
    }

    @Test func anotherProblemWithTheSameBeginningHasALongerName() async throws {
        let sink = try rig.sink()
        let other = String(ObjectRig.fingerprint.prefix(16)) + String(repeating: "0", count: 48)
        let cut = String(ObjectRig.fingerprint.prefix(40)) + String(repeating: "0", count: 24)
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 6, 6, fingerprint: other))
        #expect(objects == ["\(Self.first) firing 5 5", "sig-abababababababab00000000-1 firing 6 6"])
        // The label is the same too: the full fingerprint decides, and the number is free.
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 7, 7, fingerprint: cut))
        #expect(objects.contains("\(Self.second) firing 7 7"))
        try await rig.deliver(sink, ObjectRig.delivery(.resolved, 5, 8, isUpdate: true))
        #expect(objects.contains("\(Self.first) resolved 5 8") && objects.contains("\(Self.second) firing 7 7"))
    }

    @Test func aConflictIsLookedAtAgain() async throws {
        let sink = try rig.sink()
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        server.fail("PATCH", "signals", .answer(.failure(409, "Conflict", "the object has been modified")), count: 2)
        try await rig.deliver(sink, ObjectRig.delivery(.resolved, 5, 6, isUpdate: true))
        #expect(objects == ["\(Self.first) resolved 5 6"])
        server.fail("PATCH", "signals", .answer(.failure(409, "Conflict", "the object has been modified")), count: 100)
        #expect(await rig.failure(sink, try ObjectRig.delivery(.firing, 5, 7, isUpdate: true))?.retryable == true)
    }

    @Test func aStormIsOneObjectUpdatedClosedAndResolved() async throws {
        let sink = try rig.sink()
        try await rig.deliver(sink, rig.storm(.open, 5, firing: 12))
        try await rig.deliver(sink, rig.storm(.open, 6, firing: 11, isUpdate: true))
        let object = try #require(server.objects("signals").first?.value)
        #expect(object["status"]?["storm"]?["members"] == .integer(12))
        #expect(object["status"]?["storm"]?["firing"] == .integer(11))
        try await rig.deliver(sink, rig.storm(.open, 5, firing: 12))
        try await rig.deliver(sink, rig.storm(.closed, 7, firing: 1, isUpdate: true))
        try await rig.deliver(sink, rig.storm(.resolved, 8, firing: 0, isUpdate: true))
        #expect(objects == ["storm-\(String(repeating: "cd", count: 16))-1795489732978 resolved 1 8"])
        server.delete("signals", "storm-\(String(repeating: "cd", count: 16))-1795489732978")
        try await rig.deliver(sink, rig.storm(.resolved, 9, firing: 0, isUpdate: true))
        #expect(objects.isEmpty)
    }

    @Test func aStormsObjectIsAdoptedWhenRedisWasEmptied() async throws {
        let sink = try rig.sink()
        try await rig.deliver(sink, rig.storm(.open, 5, firing: 12))
        let name = try #require(objects.first?.split(separator: " ").first)
        // Two storms of a group at once: the first is known to the store, and left alone.
        try await rig.deliver(sink, rig.storm(.open, 9, firing: 12, opened: 8, knownSince: 0))
        #expect(objects.count == 2)
        try await rig.deliver(sink, rig.storm(.resolved, 10, firing: 0, isUpdate: true, opened: 8))
        // Emptied at 40: members that go on open another, which is the same to the cluster.
        try await rig.deliver(sink, rig.storm(.open, 50, firing: 12, opened: 50, knownSince: 40))
        try await rig.deliver(sink, rig.storm(.open, 50, firing: 12, opened: 50, knownSince: 40))
        #expect(objects.contains("\(name) open 50 50") && objects.count == 2)
        try await rig.deliver(sink, rig.storm(.resolved, 60, firing: 0, isUpdate: true, opened: 50, knownSince: 40))
        #expect(objects.contains("\(name) resolved 50 60") && objects.count == 2)
    }

    @Test func aMemberOfAStormHasNoObjectOfItsOwn() async throws {
        let sink = try rig.sink()
        let other = String(repeating: "ef", count: 32)
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5, fingerprint: other))
        // Redis is emptied, and the problem comes back in the storm that follows: its member's episode is 7.
        try await rig.deliver(sink, rig.storm(.open, 20, firing: 12))
        #expect(objects.contains("\(Self.first) resolved 5 20"))
        #expect(objects.contains { $0.hasPrefix("sig-efef") && $0.hasSuffix("firing 5 5") })
        let lists = server.requests.filter { $0.query["labelSelector"]?.contains(" in (") == true }.count
        try await rig.deliver(sink, rig.storm(.open, 21, firing: 12, isUpdate: true))
        #expect(server.requests.filter { $0.query["labelSelector"]?.contains(" in (") == true }.count == lists)
    }

    @Test func whateverTheOrderTheLastEpisodeIsTheOneThatIsActive() async throws {
        let all = [
            try ObjectRig.delivery(.firing, 5, 5), try ObjectRig.delivery(.firing, 5, 6, count: 4),
            try ObjectRig.delivery(.resolved, 5, 7), try ObjectRig.delivery(.firing, 9, 9, follows: 5, startsAt: 2_000),
        ]
        let sink = try rig.sink()
        for order in Self.permutations(Array(all.indices)) {
            // Each twice, and then all of them once more, late.
            for place in order.flatMap({ [$0, $0] }) + order { try await rig.deliver(sink, all[place]) }
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
