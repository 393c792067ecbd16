import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// Episodes that a sink is never told of, because later ones of the same problem followed: the delivery says how many.
@Suite(.serialized) struct SkippedTests {
    private typealias Rig = GateRig

    /// One minute later the problem fires, and another one later it ends.
    private func fire(_ rig: Rig, _ minute: Int, ends: Bool = true) async throws -> Int64 {
        try await rig.at(.minutes(Int64(minute)))
        let opened = await rig.decide(try Rig.signal("A", starts: .minutes(Int64(minute))))[0]
        #expect(opened.verdict == .accepted)
        if ends {
            try await rig.at(.minutes(Int64(minute) + 1))
            let end = try Rig.signal("A", .resolved, ends: .minutes(Int64(minute) + 1))
            #expect(await rig.verdict(end) == .resolved)
        }
        return opened.episode ?? 0
    }

    private func skipped(_ episodes: Int64, first: Int64) -> Delivery.Skipped {
        .init(episodes: episodes, first: Timestamp(milliseconds: first / 1_000))
    }

    @Test func aDeliveryNamesTheEpisodesThatItsSinkWasNeverToldOf() async throws {
        let rig = try await Rig()
        let first = try await fire(rig, 0)
        _ = try await fire(rig, 10)
        let last = try await fire(rig, 20, ends: false)
        let claims = try await rig.claims()
        #expect(claims.map(\.delivery.episode) == [last])
        #expect(claims[0].delivery.skipped == skipped(2, first: first))
        let time = Timestamp(milliseconds: first / 1_000).description
        #expect(
            String(decoding: claims[0].delivery.json, as: UTF8.self).contains(
                "\"skipped\":{\"episodes\":2,\"first\":\"\(time)\"}"))
        #expect(try await rig.delivery.acknowledge("file", claims) == [.settled])
        // It is told once.
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .minutes(21)))
        let end = try await rig.deliver()
        #expect(end.map(\.skipped) == [nil])
        #expect(!String(decoding: end[0].json, as: UTF8.self).contains("skipped"))
        #expect(try await rig.number("EXISTS", "{test}:u:file") == 0)
    }

    @Test func anEpisodeThatWasToldAndWhoseEndWaitsIsNotSkipped() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("A", starts: .zero))
        #expect(try await rig.deliver().count == 1)
        try await rig.at(.minutes(1))
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(1))) == .resolved)
        _ = try await fire(rig, 10, ends: false)
        #expect(try await rig.claims().map(\.delivery.skipped) == [nil])
    }

    @Test func anEpisodeThatBeganAndEndedDuringADeliveryIsSkipped() async throws {
        let rig = try await Rig()
        let told = try await fire(rig, 0, ends: false)
        let inFlight = try await rig.claims()
        try await rig.at(.seconds(10))
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .seconds(9)))
        try await rig.at(.seconds(20))
        let second = await rig.decide(try Rig.signal("A", starts: .seconds(19)))[0]
        try await rig.at(.seconds(30))
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .seconds(29)))
        try await rig.at(.seconds(40))
        _ = await rig.decide(try Rig.signal("A", starts: .seconds(39)))
        #expect(inFlight.map(\.delivery.episode) == [told])
        #expect(try await rig.delivery.acknowledge("file", inFlight) == [.changed])
        #expect(try await rig.claims().map(\.delivery.skipped) == [skipped(1, first: try #require(second.episode))])
    }

    @Test(arguments: [false, true])
    func anEpisodeIsSkippedWhenItsOnlyDeliveryFailed(_ hostDies: Bool) async throws {
        let rig = try await Rig()
        let first = try await fire(rig, 0, ends: false)
        let claims = try await rig.claims()
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .seconds(1)))
        _ = await rig.decide(try Rig.signal("A", starts: .seconds(2)))
        if hostDies {
            try await rig.dies()
        } else {
            #expect(try await rig.retry(claims[0], after: .seconds(300)) == false)
        }
        #expect(try await rig.claims().map(\.delivery.skipped) == [skipped(1, first: first)])
    }

    @Test func aDispatchedEpisodeIsToldOrSkipped() async throws {
        for isTold in [true, false] {
            let rig = try await Rig()
            try await rig.at(.zero)
            let workers = Workers(of: rig, 0)
            let opened = await rig.decide(to: workers, try Rig.signal("A", starts: .zero)).outcomes[0]
            _ = await rig.decide(try Rig.signal("A", .resolved, ends: .seconds(1)))
            _ = await rig.decide(try Rig.signal("A", starts: .seconds(2)))
            if isTold { #expect(try await rig.delivery.acknowledge("file", try workers.claims()) == [.changed]) }
            try await rig.dies()
            let expected = isTold ? nil : skipped(1, first: try #require(opened.episode))
            #expect(try await rig.claims().map(\.delivery.skipped) == [expected])
        }
    }

    @Test func ofEpisodesOfOneCallTheFirstOnesAreSkipped() async throws {
        let rig = try await Rig()
        try await rig.at(.minutes(1))
        let outcomes = await rig.decide(
            try Rig.signal("A", starts: .zero), try Rig.signal("A", .resolved, ends: .seconds(1)),
            try Rig.signal("A", starts: .seconds(2)), try Rig.signal("A", .resolved, ends: .seconds(3)),
            try Rig.signal("A", starts: .seconds(4)))
        #expect(outcomes.map(\.verdict) == [.accepted, .resolved, .accepted, .resolved, .accepted])
        #expect(
            try await rig.claims().map(\.delivery.skipped) == [skipped(2, first: try #require(outcomes[0].episode))])
    }

    @Test func eachSinkHasItsOwnCount() async throws {
        let rig = try await Rig(sinks: [("near", .refuse), ("far", .refuse)])
        let first = try await fire(rig, 0)
        _ = try await rig.deliver("near")
        _ = try await fire(rig, 10)
        #expect(try await rig.deliver("near").map(\.skipped) == [nil])
        #expect(try await rig.deliver("far").map(\.skipped) == [skipped(1, first: first)])
    }

    @Test func anEpisodeWhoseBeginningFoundTheQueueFullIsSkipped() async throws {
        let rig = try await Rig(sinks: [("file", .deadLetter)], backlog: 1)
        _ = await rig.decide(try Rig.signal("Filler"))
        try await rig.at(.zero)
        let first = await rig.decide(try Rig.signal("A", starts: .zero))[0]
        #expect(try await rig.delivery.letters(origin: nil, most: 9).total == 1)
        _ = try await rig.deliver()
        try await rig.at(.minutes(1))
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(1))) == .resolved)
        let second = try await fire(rig, 10, ends: false)
        let claims = try await rig.claims()
        #expect(claims.map(\.delivery.episode) == [second])
        #expect(claims.map(\.delivery.skipped) == [skipped(1, first: try #require(first.episode))])
        #expect(try await rig.delivery.acknowledge("file", claims) == [.settled])
        #expect(try await rig.number("EXISTS", "{test}:u:file") == 0)
    }

    @Test func anEpisodeWhoseBeginningWasRefusedIsSkipped() async throws {
        let rig = try await Rig()
        let first = try await fire(rig, 0, ends: false)
        let claims = try await rig.claims()
        #expect(try await rig.delivery.bury("file", claims[0], because: "no", after: .seconds(1)) == .buried)
        try await rig.at(.minutes(1))
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(1))) == .resolved)
        _ = try await fire(rig, 10, ends: false)
        #expect(try await rig.deliver().map(\.skipped) == [skipped(1, first: first)])
        #expect(try await rig.number("EXISTS", "{test}:u:file") == 0)
    }

    @Test func whatASinkWasNotToldGoesWithTheRecord() async throws {
        let rig = try await Rig()
        _ = try await fire(rig, 0, ends: false)
        let claims = try await rig.claims()
        #expect(try await rig.delivery.bury("file", claims[0], because: "no", after: .seconds(1)) == .buried)
        #expect(try await rig.number("EXISTS", "{test}:u:file") == 1)
        try await rig.at(.hours(27))
        for hours in [27, 29] {
            try await rig.at(.hours(Int64(hours)))
            _ = try await rig.delivery.sweep(most: 10)
            for claim in try await rig.claims() {
                #expect(try await rig.delivery.bury("file", claim, because: "no", after: .seconds(1)) == .buried)
            }
        }
        #expect(try await rig.number("EXISTS", "{test}:u:file") == 0)
    }

    @Test func aDeadLetterKeepsWhatItsDeliveryWouldHaveSaid() async throws {
        let rig = try await Rig()
        let first = try await fire(rig, 0)
        _ = try await fire(rig, 10)
        let claims = try await rig.claims()
        #expect(try await rig.delivery.bury("file", claims[0], because: "no", after: .seconds(1)) == .buried)
        let letter = try #require(try await rig.delivery.letters(origin: nil, most: 1).letters.first)
        #expect(try await rig.delivery.replay(letter.id) == .queued)
        #expect(try await rig.claims().map(\.delivery.skipped) == [skipped(1, first: first)])
    }

    @Test func aQueueThatMovesTakesThemAlong() async throws {
        let rig = try await Rig(sinks: [("old", .refuse), ("file", .refuse)])
        let first = try await fire(rig, 0)
        _ = try await rig.deliver()
        _ = try await fire(rig, 10)
        _ = try await rig.deliver()
        #expect(try await rig.delivery.moveQueue("old", to: "file") == 1)
        #expect(try await rig.claims().map(\.delivery.skipped) == [skipped(1, first: first)])
        #expect(try await rig.number("EXISTS", "{test}:u:old") == 0)
    }

    /// Random lives of one problem, and a sink that takes, refuses and forgets: every episode is told once or counted once.
    @Test(arguments: 1...6) func everyEpisodeIsToldOrCounted(_ seed: UInt64) async throws {
        var random = SeededRandom(seed)
        let rig = try await Rig(storm: [Rig.section("rate", Rig.entry("count", "1000"))])
        var (opened, told): (Set<Int64>, Set<Int64>) = ([], [])
        var counted: Int64 = 0
        var (firing, time): (Bool, Int64) = (false, 0)
        var held: Claim?
        func delivered(_ claim: Claim) async throws {
            _ = try await rig.delivery.acknowledge("file", [claim])
            told.insert(claim.delivery.episode)
            counted += claim.delivery.skipped?.episodes ?? 0
        }
        for _ in 0..<120 {
            time += 1
            try await rig.at(.seconds(time))
            switch Int.random(in: 0..<8, using: &random) {
            case 0...3:
                let signal =
                    firing
                    ? try Rig.signal("A", .resolved, ends: .seconds(time)) : try Rig.signal("A", starts: .seconds(time))
                let outcome = await rig.decide(signal)[0]
                if !firing { opened.insert(try #require(outcome.episode)) }
                firing.toggle()
            case 4, 5: if held == nil { held = try await rig.claims().first }
            case 6:
                if let claim = held { try await delivered(claim) }
                held = nil
            default:
                if let claim = held { _ = try await rig.retry(claim, after: .seconds(2)) }
                held = nil
            }
        }
        if let claim = held { try await delivered(claim) }
        while try await rig.number("ZCARD", "{test}:q:file") != 0 {
            time += 5
            try await rig.at(.seconds(time))
            for claim in try await rig.claims() { try await delivered(claim) }
        }
        #expect(opened.isSuperset(of: told))
        #expect(counted == Int64(opened.count - told.count))
        #expect(counted > 0)
        #expect(try await rig.number("EXISTS", "{test}:u:file") == 0)
    }
}
