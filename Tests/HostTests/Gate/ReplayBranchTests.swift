import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// What a replay finds in a store that is not just empty.
@Suite(.serialized) struct ReplayBranchTests {
    private typealias Rig = GateRig

    /// Sets the store back to what it was when `before` was done, and has the host find out.
    private func setBack(_ rig: Rig, after before: () async throws -> Void, then lost: () async throws -> Void)
        async throws
    {
        try await before()
        let files = rig.redis.directory.file("appendonlydir")
        try await ChildProcess.run("cp", ["-a", files, files + ".older"])
        try await lost()
        rig.redis.kill()
        Files.remove(files)
        try await ChildProcess.run("mv", [files + ".older", files])
        let replays = rig.witness.replays.count
        try await rig.redis.start()
        try await eventually("a replay") { rig.witness.replays.count > replays && rig.store.state == .open }
    }

    private static let storm = [Rig.section("rate", Rig.entry("count", "2"), Rig.entry("per", "1m"))]

    private func member(_ number: Int, _ status: Signal.Status = .firing) throws -> GateSignal {
        try Rig.signal("S", status, target: "pod\(number)")
    }

    private func storms(_ rig: Rig) async throws -> [Storm] {
        try await rig.claims().compactMap(\.delivery.storm)
    }

    @Test func aRepeatThatWasLostIsNoNewsForASink() async throws {
        let rig = try await Rig()
        try await setBack(rig) { () async throws in
            #expect(await rig.verdict(try Rig.signal()) == .accepted)
            #expect(try await rig.deliver().count == 1)
        } then: { () async throws in
            #expect(await rig.verdict(try Rig.signal()) == .duplicate)
        }
        #expect(rig.witness.replays.last == .init(restored: 1, count: 1, faults: 0))
        #expect(try await rig.claims().isEmpty)
        #expect(await rig.decide(try Rig.signal())[0].count == 3)
    }

    @Test func theEndBeforeAStormIsStillTold() async throws {
        let rig = try await Rig(storm: Self.storm)
        var ended: GateOutcome?
        try await setBack(rig) { () async throws in
            #expect(await rig.verdict(try member(0)) == .accepted)
            #expect(try await rig.deliver().count == 1)
        } then: { () async throws in
            ended = await rig.decide(try member(0, .resolved))[0]
            for number in 1...3 { _ = await rig.decide(try member(number)) }
            // Its next episode is the storm's.
            #expect(await rig.verdict(try member(0)) == .aggregated)
        }
        let fingerprint = "\(try member(0).fingerprint)"
        let told = try await rig.claims().map(\.delivery).first { $0.fingerprint == fingerprint }
        #expect(told?.state == .resolved)
        #expect(told?.episode == ended?.episode)
    }

    @Test func aStormGrowsOnWhereItWasAndCountsEachMemberOnce() async throws {
        let rig = try await Rig(storm: Self.storm)
        try await setBack(rig) { () async throws in
            for number in 0...3 { _ = await rig.decide(try member(number)) }
        } then: { () async throws in
            try await rig.at(.seconds(40))
            for number in 4...6 { #expect(await rig.verdict(try member(number)) == .aggregated) }
            #expect(await rig.verdict(try member(3, .resolved)) == .resolved)
        }
        try await rig.at(.seconds(50))
        let storm = try #require(try await storms(rig).first)
        #expect(storm.members == 5)
        #expect(storm.firing == 4)
        // By its last member, not by the last that was in the older file, it is still open.
        try await rig.at(.seconds(80))
        _ = try await rig.delivery.sweep(most: 10)
        #expect(await rig.verdict(try member(9)) == .aggregated)
    }

    @Test func theLaterOfTwoStormsGoesOn() async throws {
        let rig = try await Rig(storm: Self.storm)
        for number in 0...2 { _ = await rig.decide(try member(number)) }
        try await rig.at(.minutes(5))
        _ = try await rig.delivery.sweep(most: 10)
        for number in 10...13 { _ = await rig.decide(try member(number)) }
        let later = try await rig.redis.answer(["HGETALL", "{test}:open"])
        #expect(later.list.count == 2)
        try await rig.redis.command("FLUSHALL")
        await rig.expectFoundEmpty()
        #expect(try await rig.redis.answer(["HGETALL", "{test}:open"]) == later)
    }

    @Test func whatWasAnsweredIsWrittenIntoAFullStoreToo() async throws {
        let rig = try await Rig()
        let letter = GateDeadLetter(
            origin: "alertmanager", item: RejectedItem(index: 0, reason: "no labels", replay: Array("{}".utf8)),
            receivedAt: Timestamp(milliseconds: 1))
        #expect(await rig.gate.decide([try Rig.signal()], [letter], in: rig.store, on: nil).deadLettersStored)
        try await rig.redis.command("CONFIG", "SET", "maxmemory", "1")
        try await rig.redis.command("FLUSHALL")
        await rig.expectFoundEmpty()
        #expect(rig.witness.replays == [.init(restored: 1, count: 2, faults: 0)])
        #expect(try await rig.redis.command("ZCARD", "{test}:dead:adapter/alertmanager").integer == 1)
        #expect(try await rig.deliver().count == 1)
    }

    @Test func whatSinksWereToldComesBackThoughSendersWereNot() async throws {
        let redis = try await RedisServer.durable()
        let answering = try await Rig(redis: redis, replay: "0")
        let delivering = try await Rig(redis: redis)
        // Whoever answered is gone, or never got the store's reply.
        let episode = await answering.decide(try Rig.signal())[0].episode
        #expect(try await delivering.deliver().map(\.episode) == [episode])
        try await redis.command("FLUSHALL")
        await delivering.expectFoundEmpty()
        #expect(await delivering.decide(try Rig.signal())[0].episode == episode)
    }

    @Test func aHostThatIsAskedNothingFindsOutToo() async throws {
        let redis = try await RedisServer.durable()
        let busy = try await Rig(redis: redis, host: "busy", clock: false)
        let idle = try await Rig(redis: redis, host: "idle", clock: false)
        let episode = await idle.decide(try Rig.signal())[0].episode
        busy.store.shut(because: RedisError(.reset, "look again"))
        try await eventually("both know of each other") { busy.store.state == .open }
        try await redis.command("FLUSHALL")
        // As its sink's worker does once a second.
        let delivering = Task { while !Task.isCancelled { _ = try? await idle.claims() } }
        defer { delivering.cancel() }
        var outcome = await busy.decide(try Rig.signal())[0]
        try await eventually("an answer") {
            if outcome.verdict != .unavailable { return true }
            outcome = await busy.decide(try Rig.signal())[0]
            return outcome.verdict != .unavailable
        }
        #expect(outcome.verdict == .duplicate)
        #expect(outcome.episode == episode)
        #expect(busy.witness.alone.isEmpty)
    }
}

extension GateRig {
    /// Its delivery asks, is told that this is not the store it knew, and the store opens again with what was answered.
    func expectFoundEmpty() async {
        let replays = witness.replays.count
        do {
            _ = try await claims()
            Issue.record("the emptied store handed out claims")
        } catch {
            #expect((error as? RedisError)?.code == .emptied)
        }
        try? await eventually("a replay") { self.witness.replays.count > replays && self.store.state == .open }
        #expect(store.state == .open)
    }
}
