import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// Direct dispatch: what a call of the gate puts in flight at the host that asked.
@Suite(.serialized) struct DirectDispatchTests {
    private typealias Rig = GateRig

    private func score(_ rig: Rig, _ claim: Claim, _ sink: String = "file") async throws -> Double? {
        try await rig.answer("ZSCORE", [Array("{test}:q:\(sink)".utf8), claim.member.bytes]).string.flatMap(
            Double.init)
    }

    @Test func aDispatchedEpisodeIsNobodyElsesToClaimUntilItsSessionEnds() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        let workers = Workers(of: rig, 0)
        let answer = await rig.decide(to: workers, try Rig.signal("A"), try Rig.signal("B"))
        #expect(answer.outcomes.map(\.verdict) == [.accepted, .accepted])
        #expect(answer.outcomes.allSatisfy { $0.isDispatched })
        #expect(!answer.queued)
        let claims = try workers.claims()
        #expect(claims.count == 2)
        let call = claims[0].call
        #expect(try await score(rig, claims[0]) == -Double(call.session.number << 28 + call.number))
        try await rig.at(.hours(1))
        #expect(try await rig.claims().isEmpty)
        try await rig.dies()
        // Its host may have delivered it: this is no first attempt, though none has failed.
        #expect(try await rig.claims().map(\.attempt) == [2, 2])
        #expect(try await rig.delivery.acknowledge("file", claims) == nil)
    }

    @Test func anAcknowledgementSettlesIt_AndNothingIsLeft() async throws {
        let rig = try await Rig()
        let workers = Workers(of: rig, 0)
        _ = await rig.decide(to: workers, try Rig.signal("A"))
        #expect(try await rig.delivery.acknowledge("file", try workers.claims()) == [.settled])
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 0)
        #expect(try await rig.number("EXISTS", "{test}:a:file") == 0)
        let name = try workers.claims()[0].member.bytes
        #expect(try await rig.answer("EXISTS", [Array("{test}:d:".utf8) + name]).int == 0)
    }

    @Test func aSinkWithoutCapacityHasItQueued_AndBothAreToldTheSame() async throws {
        let rig = try await Rig(sinks: [("file", .refuse), ("other", .refuse)])
        for place in 0...1 {
            let workers = Workers(of: rig, place)
            let answer = await rig.decide(to: workers, try Rig.signal("A\(place)", target: "p", note: "some"))
            #expect(answer.outcomes.map(\.isDispatched) == [false])
            #expect(answer.queued)
            let (mine, others): (PluginID, PluginID) = place == 0 ? ("file", "other") : ("other", "file")
            #expect(try await rig.claims(mine).isEmpty)
            let queued = try await rig.claims(others)
            let episodes = try workers.claims()
            #expect(episodes.map(\.delivery.json) == queued.map(\.delivery.json))
            #expect(episodes.map(\.delivery.knownSince) == queued.map(\.delivery.knownSince))
            #expect(episodes[0].delivery.signal == queued[0].delivery.signal)
            #expect(episodes[0].delivery.isUpdate == queued[0].delivery.isUpdate)
            #expect(try await rig.delivery.acknowledge(mine, episodes) == [.settled])
            #expect(try await rig.delivery.acknowledge(others, queued) == [.settled])
        }
        let both = Workers(of: rig, 0, 1)
        let answer = await rig.decide(to: both, try Rig.signal("B"))
        #expect(answer.outcomes.map(\.isDispatched) == [true])
        #expect(both.episodes.map(\.sinks) == [0b11])
    }

    @Test func whatWaitsInTheQueueAlreadyIsNotDispatched() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("A"))
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .seconds(1)))
        try await rig.at(.minutes(5))
        let workers = Workers(of: rig, 0)
        // The end of the episode before waits to be told: it is told as this one.
        let answer = await rig.decide(to: workers, try Rig.signal("A", starts: .minutes(5)), try Rig.signal("B"))
        #expect(answer.outcomes.map(\.verdict) == [.accepted, .accepted])
        #expect(answer.outcomes.map(\.isDispatched) == [false, true])
        #expect(try workers.episodes.map(\.fingerprint) == [Rig.signal("B").fingerprint])
        #expect(try await rig.claims().map(\.delivery.fingerprint) == [try Rig.signal("A").fingerprint.description])
    }

    @Test func ofTwoEpisodesInOneCallOneIsUnderWayAtATime() async throws {
        let rig = try await Rig(deduplicate: [Rig.entry("late", "0s")])
        try await rig.at(.zero)
        let workers = Workers(of: rig, 0)
        let answer = await rig.decide(
            to: workers, try Rig.signal("A", starts: .seconds(-30)),
            try Rig.signal("A", .resolved, starts: .seconds(-30), ends: .seconds(-20)),
            try Rig.signal("A", starts: .seconds(-10)))
        #expect(answer.outcomes.map(\.verdict) == [.accepted, .resolved, .accepted])
        #expect(answer.outcomes.map(\.isDispatched) == [true, false, false])
        let claims = try workers.claims()
        #expect(claims.map(\.delivery.episode) == [answer.outcomes[0].episode])
        #expect(try await rig.claims().isEmpty)
        #expect(try await rig.delivery.acknowledge("file", claims) == [.changed])
        let next = try await rig.claims()
        #expect(next.map(\.delivery.episode) == [answer.outcomes[2].episode])
        #expect(next.map(\.attempt) == [1])
    }

    @Test func anEndWhileItIsUnderWayIsToldBehindIt() async throws {
        let rig = try await Rig()
        let workers = Workers(of: rig, 0)
        _ = await rig.decide(to: workers, try Rig.signal("A"))
        let answer = await rig.decide(to: workers, try Rig.signal("A", .resolved, ends: .minutes(1)))
        #expect(answer.outcomes.map(\.verdict) == [.resolved])
        #expect(answer.queued)
        #expect(workers.episodes.count == 1)
        #expect(workers.offers.count == 1, "an end begins nothing: nothing is offered for it")
        #expect(try await rig.claims().isEmpty)
        #expect(try await rig.delivery.acknowledge("file", try workers.claims()) == [.changed])
        #expect(try await rig.claims().map(\.delivery.state) == [.resolved])
    }

    @Test func aMemberOfAStormIsNotDispatched() async throws {
        let rig = try await Rig(storm: [Rig.section("rate", Rig.entry("count", "1"), Rig.entry("per", "1m"))])
        let workers = Workers(of: rig, 0)
        let signals = try (0..<3).map { try Rig.signal("A", target: "p\($0)", namespace: "n") }
        let answer = await rig.decide(to: workers, signals[0], signals[1], signals[2])
        #expect(answer.outcomes.map(\.verdict) == [.accepted, .aggregated, .aggregated])
        #expect(answer.outcomes.map(\.isDispatched) == [true, false, false])
        #expect(answer.queued)
        #expect(try await rig.claims().map(\.delivery.kind) == [.storm])
    }

    @Test func aFailedAttemptIsCountedWhenItIsPutBack() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        let workers = Workers(of: rig, 0)
        _ = await rig.decide(to: workers, try Rig.signal("A"))
        #expect(try await rig.retry(try workers.claims()[0], after: .seconds(5)))
        #expect(try await rig.claims().isEmpty)
        try await rig.at(.seconds(6))
        let again = try await rig.claims()
        #expect(again.map(\.attempt) == [2])
        #expect(try await rig.delivery.acknowledge("file", again) == [.settled])
        #expect(try await rig.number("EXISTS", "{test}:a:file") == 0)
    }

    @Test func itCanBeBuried() async throws {
        let rig = try await Rig()
        let workers = Workers(of: rig, 0)
        _ = await rig.decide(to: workers, try Rig.signal("A"))
        let claim = try workers.claims()[0]
        #expect(try await rig.delivery.bury("file", claim, because: "no", after: .seconds(1)) == .buried)
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 0)
    }

    @Test func whatCantBeReadAnyMoreIsNoFirstAttemptEither() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        for name in ["A", "B"] {
            let workers = Workers(of: rig, 0)
            _ = await rig.decide(to: workers, try Rig.signal(name))
            let claim = try workers.claims()[0]
            let key = Array("{test}:r:".utf8) + claim.member.bytes
            let record = try #require(try await rig.answer("GET", [key]).bytesValue)
            _ = try await rig.answer("SET", [key, [1, 2, 3]])
            if name == "A" {
                #expect(try await rig.delivery.acknowledge("file", [claim]) == [.changed])
            } else {
                // Its host died; the claim that found it finds a fault.
                try await rig.dies()
                try await rig.at(.seconds(61))
                #expect(try await rig.delivery.claim("file", by: rig.call(), most: 10).faults.count == 2)
            }
            if name == "B" {
                _ = try await rig.answer("SET", [key, record])
                try await rig.at(.seconds(122))
                #expect(try await rig.claims().map(\.attempt) == [2])
            }
        }
        #expect(
            try await rig.answer("HGET", [Array("{test}:a:file".utf8), try Rig.signal("A").fingerprint.bytes]).int == 1
        )
    }
}
