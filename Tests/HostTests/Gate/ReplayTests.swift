import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// A store that comes back without what was answered from it.
@Suite(.serialized) struct ReplayTests {
    private typealias Rig = GateRig

    /// The first word after a loss is no answer; the ones after it come from a store that knows again.
    private func lose(_ rig: Rig) async throws {
        try await rig.redis.command("FLUSHALL")
        try await rig.at(.zero)
        let refused = await rig.decide(try Rig.signal("Witness"))[0]
        #expect(refused.verdict == .unavailable)
        try await opens(rig)
    }

    private func opens(_ rig: Rig) async throws {
        try await eventually("an open store") { rig.store.state == .open }
    }

    @Test func aLaterEndThatWasAnsweredIsRememberedToo() async throws {
        let rig = try await Rig()
        _ = await rig.decide(try Rig.signal("A", starts: .seconds(10)))
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .seconds(20)))
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .seconds(40))) == .duplicate)
        try await lose(rig)
        // A late retry of what was before that end.
        #expect(await rig.verdict(try Rig.signal("A", starts: .seconds(30))) == .duplicate)
    }

    @Test func whatWasAnsweredComesBackWithItsEpisode() async throws {
        let rig = try await Rig()
        let first = await rig.decide(
            try Rig.signal("Firing", note: "hello"), try Rig.signal("Over", starts: .seconds(1)),
            try Rig.signal("Unseen", .resolved, ends: .seconds(5)))
        _ = await rig.decide(try Rig.signal("Over", .resolved, ends: .seconds(2)), try Rig.signal("Firing"))
        let before = try await rig.claims()
        #expect(before.count == 3)

        try await lose(rig)
        #expect(rig.witness.replays == [.init(restored: 3, count: 3, faults: 0)])
        #expect(rig.witness.losses.count == 1)
        // Each with the id that its sink knows, if it got that far, and the whole signal.
        let after = try await rig.claims()
        #expect(Set(after.map(\.delivery.id)) == Set(before.map(\.delivery.id)))
        // Its sink is to look whether it has it.
        #expect(after.allSatisfy { $0.attempt == 2 })
        let same = after.first { $0.delivery.id == before[0].delivery.id }?.delivery
        #expect(same?.signal == before[0].delivery.signal)
        // And a repeat is a repeat.
        let again = await rig.decide(
            try Rig.signal("Firing"), try Rig.signal("Over", .resolved, ends: .seconds(2)),
            try Rig.signal("Unseen", .resolved, ends: .seconds(5)))
        #expect(again.map(\.verdict) == [.duplicate, .duplicate, .duplicate])
        #expect(again[0].episode == first[0].episode)
        #expect(again[0].count == 3)
        #expect(again[1].episode == first[1].episode)
    }

    @Test func withNothingKeptItIsLost() async throws {
        let rig = try await Rig(replay: "0")
        let first = await rig.decide(try Rig.signal("Firing"))
        try await lose(rig)
        #expect(rig.witness.replays.isEmpty)
        let again = await rig.decide(try Rig.signal("Firing"))
        #expect(again[0].verdict == .accepted)
        #expect(again[0].episode != first[0].episode)
    }

    @Test func aStoreThatKnowsAsMuchIsLeftAsItIs() async throws {
        let rig = try await Rig()
        _ = await rig.decide(try Rig.signal("A"), try Rig.signal("B"))
        _ = try await rig.deliver()
        let record = try await rig.redis.command("KEYS", "{test}:r:*").list.count
        rig.store.shut(because: RedisError(.reset, "as if the connection had failed"))
        try await opens(rig)
        // The same server, in the same time of being a master.
        #expect(rig.witness.replays.isEmpty)
        try await rig.redis.restart()
        try await opens(rig)
        try await eventually("a replay") { !rig.witness.replays.isEmpty }
        try await opens(rig)
        #expect(rig.witness.replays == [.init(restored: 0, count: 2, faults: 0)])
        #expect(rig.witness.met == 1)
        #expect(rig.witness.losses.isEmpty)
        #expect(try await rig.claims().isEmpty)
        #expect(try await rig.redis.command("KEYS", "{test}:r:*").list.count == record)
    }

    @Test func anOlderFileIsBroughtUpToDate() async throws {
        let rig = try await Rig()
        let old = await rig.decide(try Rig.signal("Old", starts: .seconds(1)), try Rig.signal("Again"))
        let files = rig.redis.directory.file("appendonlydir")
        try await ChildProcess.run("cp", ["-a", files, files + ".older"])
        let ended = await rig.decide(try Rig.signal("Old", .resolved, ends: .seconds(2)))
        let new = await rig.decide(try Rig.signal("Old", starts: .seconds(3)), try Rig.signal("New"))
        rig.redis.kill()
        Files.remove(files)
        try await ChildProcess.run("mv", [files + ".older", files])
        try await rig.redis.start()
        try await eventually("a replay") { !rig.witness.replays.isEmpty }
        try await opens(rig)
        #expect(rig.witness.losses.first?.hasPrefix("the store is older than before") == true)
        #expect(rig.witness.replays == [.init(restored: 2, count: 3, faults: 0)])
        let claims = try await rig.claims()
        #expect(ended[0].verdict == .resolved)
        let episodes = Set(claims.map(\.delivery.episode))
        #expect(episodes == [new[0].episode, new[1].episode, old[1].episode])
        #expect(claims.first { $0.delivery.episode == new[0].episode }?.delivery.follows == old[0].episode)
        #expect(await rig.verdict(try Rig.signal("New")) == .duplicate)
    }

    @Test func aStormComesBackWithItsMembers() async throws {
        let rig = try await Rig(storm: [Rig.section("rate", Rig.entry("count", "2"), Rig.entry("per", "1m"))])
        var firing: [GateSignal] = []
        for number in 0..<5 { firing.append(try Rig.signal("S", target: "pod\(number)")) }
        var outcomes: [GateOutcome] = []
        for signal in firing { outcomes += await rig.decide(signal) }
        #expect(outcomes.map(\.verdict) == [.accepted, .accepted, .aggregated, .aggregated, .aggregated])
        // One member of the storm is over.
        #expect(await rig.verdict(try Rig.signal("S", .resolved, target: "pod4")) == .resolved)
        let before = try #require(try await rig.claims().first { $0.member.bytes.count == 23 }).delivery
        try await lose(rig)
        try await rig.at(.seconds(30))
        let after = try await rig.claims().first { $0.member.bytes.count == 23 }?.delivery
        #expect(after?.episode == before.episode)
        #expect(after?.storm == before.storm)
        // It grows on, and is still one storm.
        #expect(await rig.verdict(try Rig.signal("S", target: "pod9")) == .aggregated)
        for signal in firing {
            #expect(await rig.verdict(signal) == (signal.signal.target?.name == "pod4" ? .aggregated : .duplicate))
        }
    }

    @Test func aDeadLetterThatWasAnsweredForComesBackOnce() async throws {
        let rig = try await Rig(letters: 1)
        let letter = GateDeadLetter(
            origin: "alertmanager", item: RejectedItem(index: 0, reason: "no labels", replay: Array("{}".utf8)),
            receivedAt: Timestamp(milliseconds: 1))
        #expect(await rig.gate.decide([], [letter], in: rig.store, on: nil).deadLettersStored)
        // Taken by another host meanwhile: there is no room, but it was answered for.
        try await lose(rig)
        #expect(try await rig.redis.command("ZCARD", "{test}:dead:adapter/alertmanager").integer == 1)
        try await rig.redis.restart()
        try await eventually("another replay") { rig.witness.replays.count == 2 }
        let id =
            try await rig.redis.command("ZRANGE", "{test}:dead:adapter/alertmanager", "0", "0").list[0].string ?? ""
        #expect(try await rig.redis.command("HGET", "{test}:l:\(id)", "count").string == "1")
    }

    @Test func whatAnotherHostAnsweredIsThereBeforeThisOneAnswers() async throws {
        let redis = try await RedisServer.durable()
        let one = try await Rig(redis: redis, host: "one", clock: false)
        let two = try await Rig(redis: redis, host: "two", clock: false)
        var episodes: [Int64?] = []
        for number in 0..<20 { episodes.append(await two.decide(try Rig.signal("T\(number)"))[0].episode) }
        // Both know of each other from now on.
        one.store.shut(because: RedisError(.reset, "look again"))
        two.store.shut(because: RedisError(.reset, "look again"))
        try await opens(one)
        try await opens(two)
        try await redis.restart(empty: true)
        // The first that is open answers what the other one had answered.
        var found: [Int64?] = []
        for number in 0..<20 {
            var outcome = await one.decide(try Rig.signal("T\(number)"))[0]
            try await eventually("an answer") {
                if outcome.verdict != .unavailable { return true }
                outcome = await one.decide(try Rig.signal("T\(number)"))[0]
                return outcome.verdict != .unavailable
            }
            #expect(outcome.verdict == .duplicate)
            found.append(outcome.episode)
        }
        #expect(found == episodes)
        #expect(one.witness.alone.isEmpty && two.witness.alone.isEmpty)
    }

    @Test func aHostThatDoesNotComeIsNotWaitedForForEver() async throws {
        let redis = try await RedisServer.durable()
        let one = try await Rig(redis: redis, host: "one", clock: false)
        let time = try await redis.command("TIME").list[0].string.flatMap { Int64($0) } ?? 0
        try await redis.command("ZADD", "{test}:hosts", "\(time * 1_000 + 60_000)", "gone")
        try await redis.command("ZADD", "{test}:hosts", "\(time * 1_000 - 1)", "long-gone")
        try await redis.restart()
        try await eventually("a store that is open without it") { one.witness.met == 1 && one.store.state == .open }
        #expect(one.witness.alone == [["gone"]])
        // Once is enough: a host that comes by now waits for nobody.
        let two = try await Rig(redis: redis, host: "two", clock: false)
        #expect(two.witness.alone.isEmpty)
    }

    @Test func whatCanNotBeRestoredIsToldAndHoldsNothingUp() async throws {
        let rig = try await Rig()
        _ = await rig.decide(try Rig.signal("Good"), try Rig.signal("Bad"))
        let bad = try Rig.signal("Bad").fingerprint
        try await rig.redis.command("FLUSHALL")
        let key = bad.bytes.map { "\\\($0)" }.joined()
        try await rig.redis.command("EVAL", "return redis.call('RPUSH', '{test}:r:' .. '\(key)', 'x')", "0")
        _ = await rig.decide(try Rig.signal("Witness"))
        try await opens(rig)
        #expect(rig.witness.replays == [.init(restored: 1, count: 2, faults: 1)])
        #expect(await rig.verdict(try Rig.signal("Good")) == .duplicate)
    }
}
