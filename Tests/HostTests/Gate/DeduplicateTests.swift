import SignalKit
import TestSupport
import Testing

@testable import Host

/// Every row of deduplicate's table.
@Suite(.serialized) struct DeduplicateTests {
    private typealias Rig = GateRig

    @Test func theFirstFiringOpensAnEpisode() async throws {
        let rig = try await Rig()
        try await rig.at(.seconds(10))
        let outcome = await rig.decide(try Rig.signal())[0]
        #expect(outcome.verdict == .accepted)
        #expect(outcome.episode == Rig.reading(.seconds(10)))
        #expect(outcome.count == 1)
        #expect(outcome.policy == "persist")
        let delivered = try await rig.deliver()
        #expect(delivered.map(\.state) == [.firing])
        #expect(
            delivered[0].id
                == "\(try Rig.signal().fingerprint)-\(Rig.reading(.seconds(10)))-\(Rig.reading(.seconds(10)))")
        #expect(delivered[0].follows == nil)
        #expect(delivered[0].signal?.name == "A")
    }

    @Test func aRepeatIsADuplicateThatCounts() async throws {
        let rig = try await Rig()
        _ = await rig.decide(try Rig.signal())
        _ = try await rig.deliver()
        let again = await rig.decide(try Rig.signal(), try Rig.signal())
        #expect(again.map(\.verdict) == [.duplicate, .duplicate])
        #expect(again.map(\.count) == [2, 3])
        #expect(again[0].policy == "deduplicate")
        #expect(try await rig.deliver().isEmpty)
    }

    @Test func theSinksHearOfACountAtMostOncePerUpdateEvery() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal())
        _ = try await rig.deliver()
        try await rig.at(.minutes(10))
        _ = await rig.decide(try Rig.signal())
        let first = try await rig.deliver()
        #expect(first.map(\.count) == [2])
        #expect(first[0].version > first[0].episode)
        try await rig.at(.minutes(15))
        _ = await rig.decide(try Rig.signal())
        #expect(try await rig.deliver().isEmpty)
        try await rig.at(.minutes(21))
        _ = await rig.decide(try Rig.signal())
        #expect(try await rig.deliver().map(\.count) == [4])
    }

    @Test func theEndResolvesTheEpisode() async throws {
        let rig = try await Rig()
        let opened = await rig.decide(try Rig.signal(starts: .zero))[0]
        _ = try await rig.deliver()
        try await rig.at(.minutes(5))
        let ended = await rig.decide(try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(4)))[0]
        #expect(ended.verdict == .resolved)
        #expect(ended.episode == opened.episode)
        let delivered = try await rig.deliver()
        #expect(delivered.map(\.state) == [.resolved])
        #expect(delivered[0].episode == opened.episode)
        #expect(delivered[0].reason == nil)
        #expect(delivered[0].signal?.endsAt == Rig.time(.minutes(4)))
    }

    @Test func anEndBeforeTheEpisodesEarliestStartIsAStaleRetry() async throws {
        let rig = try await Rig()
        try await rig.at(.minutes(10))
        _ = await rig.decide(try Rig.signal(starts: .minutes(10)), try Rig.signal(starts: .minutes(8)))
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(7))) == .duplicate)
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(9))) == .resolved)
    }

    @Test func anEndThatWasAppliedToTheEpisodeBeforeIsAStaleRetry() async throws {
        let rig = try await Rig()
        _ = await rig.decide(try Rig.signal())
        try await rig.at(.minutes(2))
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(2))) == .resolved)
        try await rig.at(.minutes(10))
        #expect(await rig.verdict(try Rig.signal()) == .accepted)
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(2))) == .duplicate)
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(11))) == .resolved)
    }

    @Test func aSecondEndIsADuplicate() async throws {
        let rig = try await Rig()
        _ = await rig.decide(try Rig.signal())
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(2))) == .resolved)
        _ = try await rig.deliver()
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(2))) == .duplicate)
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(3))) == .duplicate)
        #expect(try await rig.deliver().isEmpty)
    }

    @Test func aLateRetryOfTheOldFiringIsADuplicateUntilTheWindowIsOver() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal(starts: .zero))
        try await rig.at(.minutes(10))
        let ended = await rig.decide(try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(9)))[0]
        try await rig.at(.minutes(15))
        #expect(await rig.verdict(try Rig.signal(starts: .zero)) == .duplicate)
        // A second sender that truly still fires is not swallowed for ever.
        try await rig.at(.minutes(16) + .seconds(1))
        let again = await rig.decide(try Rig.signal(starts: .zero))[0]
        #expect(again.verdict == .accepted)
        #expect(again.episode != ended.episode)
    }

    @Test func aNewFiringAfterAnEndOpensAnEpisodeThatFollows() async throws {
        let rig = try await Rig()
        let first = await rig.decide(try Rig.signal(starts: .zero))[0]
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .minutes(9)))
        let second = await rig.decide(try Rig.signal(starts: .minutes(10)))[0]
        #expect(second.verdict == .accepted)
        #expect(second.episode ?? 0 > first.episode ?? 0)
        let delivered = try await rig.deliver()
        #expect(delivered.map(\.episode) == [second.episode])
        #expect(delivered[0].follows == first.episode)
    }

    @Test func aFiringWithoutAStartIsNeverALateRetry() async throws {
        let rig = try await Rig()
        _ = await rig.decide(try Rig.signal())
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .minutes(9)))
        #expect(await rig.verdict(try Rig.signal()) == .accepted)
    }

    @Test func theEndOfWhatWasNeverSeenIsIgnoredCountedAndTold() async throws {
        let rig = try await Rig()
        let outcome = await rig.decide(try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(2)))[0]
        #expect(outcome.verdict == .ignored)
        #expect(outcome.episode == nil)
        let delivered = try await rig.deliver()
        #expect(delivered.map(\.episode) == [0])
        #expect(delivered.map(\.state) == [.resolved])
        #expect(try await rig.delivery.stats().counters["missed_firing"] == 1)
        #expect(await rig.verdict(try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(2))) == .duplicate)
        // The firing that was overtaken by its end is not an episode any more; one that began later is.
        #expect(await rig.verdict(try Rig.signal(starts: .zero)) == .duplicate)
        let next = await rig.decide(try Rig.signal(starts: .minutes(3)))[0]
        #expect(next.verdict == .accepted)
        #expect(try await rig.deliver().map(\.follows) == [nil])
    }

    // MARK: Ends by themselves

    @Test func aFiringRecordExpiresAMinuteAfterItsSendersWord() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        let opened = await rig.decide(try Rig.signal(starts: .zero, ends: .minutes(4)))[0]
        _ = try await rig.deliver()
        try await rig.at(.minutes(4) + .seconds(59))
        #expect(try await rig.delivery.sweep(most: 100).queued == false)
        try await rig.at(.minutes(5))
        #expect(try await rig.delivery.sweep(most: 100).queued)
        let delivered = try await rig.deliver()
        #expect(delivered.map(\.state) == [.resolved])
        #expect(delivered[0].reason == .expired)
        #expect(delivered[0].episode == opened.episode)
        #expect(try await rig.delivery.stats().counters["expired"] == 1)
        // Whoever fires on, fires anew: its end was a guess, and no later than any start.
        let again = await rig.decide(try Rig.signal(starts: .zero, ends: .minutes(9)))[0]
        #expect(again.verdict == .accepted)
    }

    @Test func aRepeatPutsTheEndOff() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal(ends: .minutes(4)))
        try await rig.at(.minutes(3))
        _ = await rig.decide(try Rig.signal(ends: .minutes(7)))
        try await rig.at(.minutes(6))
        #expect(try await rig.delivery.sweep(most: 100).queued == false)
        try await rig.at(.minutes(8))
        #expect(try await rig.delivery.sweep(most: 100).queued)
    }

    @Test func aFiringRecordWithoutAnEndIsForgottenAfterTheRetention() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal())
        _ = try await rig.deliver()
        try await rig.at(.hours(26) - .seconds(1))
        #expect(try await rig.delivery.sweep(most: 100).queued == false)
        try await rig.at(.hours(26) + .seconds(1))
        #expect(try await rig.delivery.sweep(most: 100).queued)
        #expect(try await rig.deliver().map(\.reason) == [.forgotten])
    }

    @Test func aResolvedRecordIsGoneAfterTheCooldownUnlessAQueueHoldsIt() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal())
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .minutes(1)))
        let key = "{test}:r:*"
        try await rig.at(.minutes(16))
        _ = try await rig.delivery.sweep(most: 100)
        #expect(try await rig.redis.command("KEYS", key).list.count == 1)
        #expect(try await rig.deliver().map(\.state) == [.resolved])
        try await rig.at(.minutes(18))
        _ = try await rig.delivery.sweep(most: 100)
        #expect(try await rig.redis.command("KEYS", key).list.isEmpty)
        #expect(try await rig.redis.command("KEYS", "{test}:d:*").list.isEmpty)
        // Where the firing one was to be looked at.
        #expect(try await rig.number("ZCARD", "{test}:due") == 1)
        try await rig.at(.minutes(61))
        _ = try await rig.delivery.sweep(most: 100)
        #expect(try await rig.redis.command("KEYS", "{test}:due*").list.isEmpty)
    }

    @Test func theSweeperTakesABoundedNumberAndSaysThatThereIsMore() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        for place in 0..<5 { _ = await rig.decide(try Rig.signal("A\(place)", ends: .minutes(1))) }
        try await rig.at(.minutes(3))
        #expect(try await rig.delivery.sweep(most: 3).more)
        _ = try await rig.delivery.sweep(most: 3)
        #expect(try await rig.delivery.stats().counters["expired"] == 5)
    }
}
