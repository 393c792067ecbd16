import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// A dead letter that holds an end: replay deletes it only when the sink is going to be told of that end.
@Suite(.serialized) struct ReplayedEndTests {
    private typealias Rig = GateRig

    /// B's firing was told to the sink. Its end found the queue full, and is a dead letter. The store has forgotten B since.
    private func endSetAside() async throws -> (rig: Rig, episode: Int64?, letter: String) {
        let rig = try await Rig(
            sinks: [("slow", .deadLetter)], backlog: 1,
            storm: [Rig.section("rate", Rig.entry("count", "1"), Rig.entry("per", "1m"))])
        try await rig.at(.zero)
        let opened = await rig.decide(try Rig.signal("B", starts: .zero, target: "b"))[0]
        #expect(try await rig.deliver("slow").count == 1)
        try await rig.at(.minutes(3))
        _ = await rig.decide(try Rig.signal("A"))
        #expect(await rig.verdict(try Rig.signal("B", .resolved, ends: .minutes(2), target: "b")) == .resolved)
        _ = try await rig.deliver("slow")
        try await rig.at(.hours(2))
        _ = try await rig.delivery.sweep(most: 100)
        let letter = try #require(try await rig.delivery.letters(origin: nil, most: 1).letters.first)
        return (rig, opened.episode, letter.id)
    }

    /// C and D cross the line, and B is a member of their storm.
    private func joinStorm(_ rig: Rig) async throws {
        for target in ["c", "d"] {
            _ = await rig.decide(try Rig.signal("B", target: target))
            _ = try await rig.deliver("slow")
        }
        #expect(await rig.verdict(try Rig.signal("B", starts: .hours(2), target: "b")) == .aggregated)
        while try await !rig.deliver("slow").isEmpty {}
    }

    @Test func itsSinkHearsOfTheEndThoughTheProblemIsAMemberOfAStormByNow() async throws {
        let (rig, episode, letter) = try await endSetAside()
        try await joinStorm(rig)
        #expect(try await rig.delivery.replay(letter) == .queued)
        let told = try await rig.deliver("slow")
        #expect(told.map(\.state) == [.resolved])
        #expect(told.map(\.episode) == [episode])
        #expect(told.map(\.reason) == [nil])
        #expect(told.first?.signal?.status == .resolved)
        #expect(try await rig.delivery.letters(origin: nil, most: 1).total == 0)
        // The member is still one, and its own next episode follows the one that was told.
        #expect(await rig.verdict(try Rig.signal("B", target: "b")) == .duplicate)
    }

    @Test func itsSinkHearsThatALaterEpisodeFollows() async throws {
        let (rig, episode, letter) = try await endSetAside()
        let opened = await rig.decide(try Rig.signal("B", starts: .hours(2), target: "b"))[0]
        #expect(opened.verdict == .accepted)
        let first = try await rig.deliver("slow")
        #expect(first.map(\.follows) == [nil])
        #expect(try await rig.delivery.replay(letter) == .queued)
        let told = try await rig.deliver("slow")
        #expect(told.map(\.episode) == [opened.episode])
        #expect(told.map(\.state) == [.firing])
        #expect(told.map(\.follows) == [episode])
        #expect((told.first?.version ?? 0) > (first.first?.version ?? 0))
    }

    /// Two episodes whose ends are dead letters, and a third that follows the second: each letter is told by a delivery of its own.
    @Test func itsSinkHearsOfEachEndThoughALaterEpisodeFollowsAnother() async throws {
        let rig = try await Rig(sinks: [("slow", .deadLetter)], backlog: 1)
        try await rig.at(.zero)
        var ended: [Int64?] = []
        for round in 0..<2 {
            let starts = Duration.minutes(Int64(10 * round))
            try await rig.at(starts)
            ended.append(await rig.decide(try Rig.signal("B", starts: starts))[0].episode)
            #expect(try await rig.deliver("slow").count == 1)
            _ = await rig.decide(try Rig.signal("A\(round)"))
            try await rig.at(starts + .minutes(2))
            #expect(await rig.verdict(try Rig.signal("B", .resolved, ends: starts + .minutes(1))) == .resolved)
            _ = try await rig.deliver("slow")
        }
        try await rig.at(.minutes(20))
        let third = await rig.decide(try Rig.signal("B", starts: .minutes(20)))[0]
        #expect(try await rig.deliver("slow").map(\.follows) == [ended[1]])
        let letters = try await rig.delivery.letters(origin: nil, most: 9).letters
        #expect(letters.count == 2)
        // The first one waits: the other is told after it, or its end would be told by nothing.
        #expect(try await rig.delivery.replay(letters[1].id) == .queued)
        #expect(try await rig.delivery.replay(letters[0].id) == .busy)
        let told = try await rig.deliver("slow")
        #expect(told.map(\.episode) == [third.episode])
        #expect(told.allSatisfy { ended.contains($0.follows) })
        #expect(try await rig.delivery.replay(letters[0].id) == .queued)
        let again = try await rig.deliver("slow")
        #expect(Set((told + again).map(\.follows)) == Set(ended))
        #expect((again.first?.version ?? 0) > (told.first?.version ?? 0))
        #expect(try await rig.delivery.letters(origin: nil, most: 1).total == 0)
    }

    @Test func itsSinkHearsOfTheEndThoughAnotherEndWasHeardSince() async throws {
        let (rig, episode, letter) = try await endSetAside()
        #expect(await rig.verdict(try Rig.signal("B", .resolved, ends: .hours(2), target: "b")) == .ignored)
        let first = try await rig.deliver("slow")
        #expect(try await rig.delivery.replay(letter) == .queued)
        let told = try await rig.deliver("slow")
        #expect(told.map(\.state) == [.resolved])
        #expect(told.map(\.episode) == [episode])
        #expect((told.first?.version ?? 0) > (first.first?.version ?? 0))
    }

    @Test func aLetterThatTheRecordCanNotTellOfIsKept() async throws {
        let (rig, _, first) = try await endSetAside()
        #expect(try await rig.delivery.drop(letter: first) == 1)
        _ = await rig.decide(try Rig.signal("A"))
        // An end of a problem that nobody has seen firing.
        #expect(await rig.verdict(try Rig.signal("B", .resolved, ends: .hours(2), target: "b")) == .ignored)
        _ = try await rig.deliver("slow")
        try await rig.at(.hours(4))
        _ = try await rig.delivery.sweep(most: 100)
        try await joinStorm(rig)
        let letter = try #require(try await rig.delivery.letters(origin: nil, most: 1).letters.first)
        #expect(try await rig.delivery.replay(letter.id) == .busy)
        #expect(try await rig.delivery.letters(origin: nil, most: 1).total == 1)
    }

    @Test func aStormThatTheStoreHasLostLeavesItsLetter() async throws {
        let rig = try await Rig(storm: [Rig.section("rate", Rig.entry("count", "1"))])
        for place in 0..<3 { _ = await rig.decide(try Rig.signal("A", target: "t\(place)")) }
        let storm = try #require(try await rig.claims().first { $0.delivery.kind == .storm })
        #expect(try await rig.delivery.bury("file", storm, because: "no", after: .seconds(1)) == .buried)
        try await rig.redis.command(
            "EVAL", "for _, k in ipairs(redis.call('KEYS', '{test}:s:*')) do redis.call('DEL', k) end return 1", "0")
        let letter = try #require(try await rig.delivery.letters(origin: nil, most: 1).letters.first)
        #expect(try await rig.delivery.replay(letter.id) == .gone)
        #expect(try await rig.delivery.letters(origin: nil, most: 1).total == 1)
    }
}
