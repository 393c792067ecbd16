import Logging
import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// What a sink did not get, and what is told when somebody replays it: never more than the store can still vouch for.
@Suite(.serialized) struct DeadLetterTests {
    private typealias Rig = GateRig

    /// `slow` has no room for B: what becomes of B is a dead letter.
    private func fullRig() async throws -> Rig {
        let rig = try await Rig(sinks: [("slow", .deadLetter)], backlog: 1)
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("A"))
        return rig
    }

    private func letter(_ rig: Rig) async throws -> DeliveryStore.Letter {
        let found = try await rig.delivery.letters(origin: nil, most: 10)
        #expect(found.total == 1)
        return try #require(found.letters.first)
    }

    private func records(_ rig: Rig) async throws -> Int {
        try await rig.redis.command("KEYS", "{test}:r:*").list.count
    }

    @Test func aLetterSpeaksOfTheLatestStateOfItsEpisode() async throws {
        let rig = try await fullRig()
        let opened = await rig.decide(try Rig.signal("B", starts: .zero))[0]
        try await rig.at(.minutes(5))
        #expect(await rig.verdict(try Rig.signal("B", .resolved, starts: .zero, ends: .minutes(4))) == .resolved)
        _ = try await rig.deliver("slow")
        try await rig.at(.minutes(60))
        _ = try await rig.delivery.sweep(most: 100)
        #expect(try await records(rig) == 1)
        let letter = try await letter(rig)
        #expect(letter.count == 2)
        #expect(try await rig.delivery.replay(letter.id) == .queued)
        let replayed = try await rig.deliver("slow")
        #expect(replayed.map(\.state) == [.resolved])
        #expect(replayed.map(\.episode) == [opened.episode])
        #expect(replayed[0].reason == nil)
        #expect(replayed[0].signal?.status == .resolved)
        // As it was to be told when it was set aside, with the same id.
        #expect(replayed[0].version < Rig.reading(.minutes(6)))
    }

    @Test func aFiringThatIsOverIsReplayedAsForgotten() async throws {
        let rig = try await fullRig()
        let opened = await rig.decide(try Rig.signal("B", starts: .zero))[0]
        _ = try await rig.deliver("slow")
        try await rig.at(.hours(26) + .minutes(1))
        _ = try await rig.delivery.sweep(most: 100)
        while try await !rig.deliver("slow").isEmpty {}
        try await rig.at(.hours(26) + .minutes(20))
        _ = try await rig.delivery.sweep(most: 100)
        #expect(try await records(rig) == 0)
        #expect(try await rig.delivery.replay(try await letter(rig).id) == .queued)
        let replayed = try await rig.deliver("slow")
        #expect(replayed.map(\.state) == [.resolved])
        #expect(replayed.map(\.reason) == [.forgotten])
        #expect(replayed.map(\.episode) == [opened.episode])
        #expect(replayed[0].signal?.name == "B")
        // It does not stand in the way of what is true now.
        let again = await rig.decide(try Rig.signal("B", starts: .minutes(530)))[0]
        #expect(again.verdict == .accepted)
        let next = try await rig.deliver("slow")
        #expect(next.map(\.state) == [.firing])
        #expect(next[0].follows == opened.episode)
        #expect(next[0].episode > replayed[0].version)
    }

    @Test func whatIsReplayedLivesForACooldown() async throws {
        let rig = try await fullRig()
        _ = await rig.decide(try Rig.signal("B"))
        _ = try await rig.deliver("slow")
        try await rig.redis.command(
            "EVAL", "for _, k in ipairs(redis.call('KEYS', '{test}:r:*')) do redis.call('DEL', k) end return 1", "0")
        try await rig.at(.minutes(1))
        #expect(try await rig.delivery.replay(try await letter(rig).id) == .queued)
        _ = try await rig.deliver("slow")
        try await rig.at(.minutes(15))
        _ = try await rig.delivery.sweep(most: 100)
        #expect(try await records(rig) == 1)
        try await rig.at(.minutes(17))
        _ = try await rig.delivery.sweep(most: 100)
        #expect(try await records(rig) == 0)
        #expect(try await rig.redis.command("KEYS", "{test}:d:*").list.isEmpty)
    }

    @Test func aReplayedEpisodeThatGoesOnIsToldAsItIs() async throws {
        let rig = try await fullRig()
        _ = await rig.decide(try Rig.signal("B"))
        _ = try await rig.deliver("slow")
        #expect(try await rig.delivery.replay(try await letter(rig).id) == .queued)
        #expect(try await rig.deliver("slow").map(\.state) == [.firing])
        #expect(await rig.verdict(try Rig.signal("B")) == .duplicate)
    }

    @Test func aReplayedDeliveryIsAnotherAttempt() async throws {
        let rig = try await fullRig()
        _ = await rig.decide(try Rig.signal("B"))
        _ = try await rig.deliver("slow")
        #expect(try await rig.delivery.replay(try await letter(rig).id) == .queued)
        // A sink that looks for what it has from the second attempt on may have written this one before it was set aside.
        #expect(try await rig.claims("slow").map(\.attempt) == [2])
    }

    @Test func aLetterOfWhatNobodyKnowsAnyMoreIsToldSo() async throws {
        let rig = try await fullRig()
        _ = await rig.decide(try Rig.signal("B"))
        let id = try await letter(rig).id
        // Set aside when its record was gone already.
        try await rig.redis.command("HDEL", "{test}:l:\(id)", "record")
        try await rig.redis.command(
            "EVAL", "for _, k in ipairs(redis.call('KEYS', '{test}:r:*')) do redis.call('DEL', k) end return 1", "0")
        #expect(try await rig.delivery.replay(id) == .gone)
        #expect(try await rig.number("ZCARD", "{test}:q:slow") == 1)
        #expect(try await letter(rig).id == id)
    }

    @Test func aLetterOfASinkThatIsNotConfiguredIsKept() async throws {
        let old = try await Rig(sinks: [("old", .refuse)])
        _ = await old.decide(try Rig.signal())
        let claims = try await old.claims("old")
        #expect(try await old.delivery.bury("old", claims[0], because: "no", after: .seconds(1)) == .buried)
        let rig = try await Rig(redis: old.redis)
        let id = try await letter(rig).id
        #expect(try await rig.delivery.replay(id) == .unowned(sink: "old"))
        #expect(try await rig.number("EXISTS", "{test}:q:old") == 0)
        #expect(try await letter(rig).id == id)
        guard case .problem(let problem) = await operatorAnswer(rig, "POST", "/dead-letters/\(id)/replay") else {
            Issue.record("it is not told")
            return
        }
        #expect(problem.status == 409)
        #expect(problem.detail.contains("no sink is called old"))
        #expect(try await old.delivery.replay(id) == .queued)
        #expect(try await old.deliver("old").count == 1)
    }

    @Test func allOfAnOriginAreDroppedWhateverItsIndexHolds() async throws {
        let rig = try await Rig()
        let items = (0..<3).map { GateDeadLetter(RejectedItem(index: $0, reason: "no", replay: [UInt8($0)])) }
        _ = await rig.gate.decide([], items, in: rig.store, on: nil)
        for place in 0..<600 { try await rig.redis.command("ZADD", "{test}:dead:adapter/prometheus", "1", "x\(place)") }
        _ = await operatorAnswer(rig, "DELETE", "/dead-letters", ["origin": "adapter/prometheus"])
        #expect(try await rig.delivery.letters(origin: nil, most: 10).total == 0)
        #expect(try await rig.redis.command("KEYS", "{test}:l:*").list.isEmpty)
    }

    private func operatorAnswer(
        _ rig: Rig, _ method: String, _ path: String, _ query: [String: String] = [:]
    ) async -> OperatorAnswer {
        struct Ready: Readiness {
            let storeShut: String? = nil
            let warnings: [String] = []
        }
        let intake = Intake(
            policies: PolicyChain(policies: []), gate: rig.gate, store: rig.store, metrics: HostMetrics(),
            log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, wakeDelivery: {}, hands: nil)
        let routes = OperatorRoutes(
            configuration: rig.configuration, store: rig.delivery, intake: intake, readiness: Ready(), wakeDelivery: {})
        return await routes.answer(
            OperatorRequest(method: method, path: path, query: query, requestID: "test"))
    }
}
