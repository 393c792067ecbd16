import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// What the gate hands over to the host that asked: whose it is, for how long, and what becomes of it when nobody hears of it.
@Suite(.serialized) struct HandOverTests {
    private typealias Rig = GateRig

    private func score(_ rig: Rig, _ claim: Claim, _ sink: String = "file") async throws -> Double? {
        try await rig.answer("ZSCORE", [Array("{test}:q:\(sink)".utf8), claim.member.bytes]).string.flatMap(
            Double.init)
    }

    @Test func whatIsHandedOverIsNobodyElsesToClaimUntilItsLeaseEnds() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        let hands = Hands(0)
        let answer = await rig.decide(to: hands, try Rig.signal("A"), try Rig.signal("B"))
        #expect(answer.outcomes.map(\.verdict) == [.accepted, .accepted])
        #expect(answer.outcomes.allSatisfy { $0.isHandedOver })
        #expect(!answer.queued)
        let claims = try hands.claims()
        #expect(claims.count == 2)
        #expect(try await score(rig, claims[0]) == Double(claims[0].token.text))
        #expect(try await rig.claims().isEmpty)
        try await rig.at(.seconds(59))
        #expect(try await rig.claims().isEmpty)
        try await rig.at(.seconds(61))
        // Somebody may have delivered it: this is no first attempt, though nothing was counted.
        #expect(try await rig.claims().map(\.attempt) == [2, 2])
        #expect(try await rig.delivery.acknowledge("file", claims) == [.lost, .lost])
    }

    @Test func anAcknowledgementSettlesIt_AndNothingIsLeft() async throws {
        let rig = try await Rig()
        let hands = Hands(0)
        _ = await rig.decide(to: hands, try Rig.signal("A"))
        #expect(try await rig.delivery.acknowledge("file", try hands.claims()) == [.settled])
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 0)
        #expect(try await rig.number("EXISTS", "{test}:a:file") == 0)
        let name = try hands.claims()[0].member.bytes
        #expect(try await rig.answer("EXISTS", [Array("{test}:d:".utf8) + name]).int == 0)
    }

    @Test func aSinkWithoutRoomHasItQueued_AndBothAreToldTheSame() async throws {
        let rig = try await Rig(sinks: [("file", .refuse), ("other", .refuse)])
        for place in 0...1 {
            let hands = Hands(place)
            let answer = await rig.decide(to: hands, try Rig.signal("A\(place)", target: "p", note: "some"))
            #expect(answer.outcomes.map(\.isHandedOver) == [false])
            #expect(answer.queued)
            let (mine, others): (PluginID, PluginID) = place == 0 ? ("file", "other") : ("other", "file")
            #expect(try await rig.claims(mine).isEmpty)
            let queued = try await rig.claims(others)
            let handed = try hands.claims()
            #expect(handed.map(\.delivery.json) == queued.map(\.delivery.json))
            #expect(handed.map(\.delivery.knownSince) == queued.map(\.delivery.knownSince))
            #expect(handed[0].delivery.signal == queued[0].delivery.signal)
            #expect(handed[0].delivery.isUpdate == queued[0].delivery.isUpdate)
            #expect(try await rig.delivery.acknowledge(mine, handed) == [.settled])
            #expect(try await rig.delivery.acknowledge(others, queued) == [.settled])
        }
        let both = Hands(0, 1)
        let answer = await rig.decide(to: both, try Rig.signal("B"))
        #expect(answer.outcomes.map(\.isHandedOver) == [true])
        #expect(both.handed.map(\.sinks) == [0b11])
    }

    @Test func whatWaitsInTheQueueAlreadyIsNotHandedOver() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("A"))
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .seconds(1)))
        try await rig.at(.minutes(5))
        let hands = Hands(0)
        // The end of the episode before waits to be told: it is told as this one.
        let answer = await rig.decide(to: hands, try Rig.signal("A", starts: .minutes(5)), try Rig.signal("B"))
        #expect(answer.outcomes.map(\.verdict) == [.accepted, .accepted])
        #expect(answer.outcomes.map(\.isHandedOver) == [false, true])
        #expect(try hands.handed.map(\.fingerprint) == [Rig.signal("B").fingerprint])
        #expect(try await rig.claims().map(\.delivery.fingerprint) == [try Rig.signal("A").fingerprint.description])
    }

    @Test func ofTwoEpisodesInOneCallOneIsUnderWayAtATime() async throws {
        let rig = try await Rig(deduplicate: [Rig.entry("late", "0s")])
        try await rig.at(.zero)
        let hands = Hands(0)
        let answer = await rig.decide(
            to: hands, try Rig.signal("A", starts: .seconds(-30)),
            try Rig.signal("A", .resolved, starts: .seconds(-30), ends: .seconds(-20)),
            try Rig.signal("A", starts: .seconds(-10)))
        #expect(answer.outcomes.map(\.verdict) == [.accepted, .resolved, .accepted])
        #expect(answer.outcomes.map(\.isHandedOver) == [true, false, false])
        let claims = try hands.claims()
        #expect(claims.map(\.delivery.episode) == [answer.outcomes[0].episode])
        #expect(try await rig.claims().isEmpty)
        #expect(try await rig.delivery.acknowledge("file", claims) == [.changed])
        let next = try await rig.claims()
        #expect(next.map(\.delivery.episode) == [answer.outcomes[2].episode])
        #expect(next.map(\.attempt) == [1])
    }

    @Test func anEndWhileItIsUnderWayIsToldBehindIt() async throws {
        let rig = try await Rig()
        let hands = Hands(0)
        _ = await rig.decide(to: hands, try Rig.signal("A"))
        let answer = await rig.decide(to: hands, try Rig.signal("A", .resolved, ends: .minutes(1)))
        #expect(answer.outcomes.map(\.verdict) == [.resolved])
        #expect(answer.queued)
        #expect(hands.handed.count == 1)
        #expect(hands.offers.count == 1, "an end begins nothing: nothing is offered for it")
        #expect(try await rig.claims().isEmpty)
        #expect(try await rig.delivery.acknowledge("file", try hands.claims()) == [.changed])
        #expect(try await rig.claims().map(\.delivery.state) == [.resolved])
    }

    @Test func aMemberOfAStormIsNotHandedOver() async throws {
        let rig = try await Rig(storm: [Rig.section("rate", Rig.entry("count", "1"), Rig.entry("per", "1m"))])
        let hands = Hands(0)
        let signals = try (0..<3).map { try Rig.signal("A", target: "p\($0)", namespace: "n") }
        let answer = await rig.decide(to: hands, signals[0], signals[1], signals[2])
        #expect(answer.outcomes.map(\.verdict) == [.accepted, .aggregated, .aggregated])
        #expect(answer.outcomes.map(\.isHandedOver) == [true, false, false])
        #expect(answer.queued)
        #expect(try await rig.claims().map(\.delivery.kind) == [.storm])
    }

    @Test func aFailedAttemptIsCountedWhenItIsPutBack() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        let hands = Hands(0)
        _ = await rig.decide(to: hands, try Rig.signal("A"))
        #expect(try await rig.retry(try hands.claims()[0], after: .seconds(5)))
        #expect(try await rig.claims().isEmpty)
        try await rig.at(.seconds(6))
        let again = try await rig.claims()
        #expect(again.map(\.attempt) == [2])
        #expect(try await rig.delivery.acknowledge("file", again) == [.settled])
        #expect(try await rig.number("EXISTS", "{test}:a:file") == 0)
    }

    @Test func itCanBeBuried() async throws {
        let rig = try await Rig()
        let hands = Hands(0)
        _ = await rig.decide(to: hands, try Rig.signal("A"))
        let claim = try hands.claims()[0]
        #expect(try await rig.delivery.bury("file", claim, because: "no", after: .seconds(1)) == .buried)
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 0)
    }

    @Test func whatCantBeReadAnyMoreIsNoFirstAttemptEither() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        for name in ["A", "B"] {
            let hands = Hands(0)
            _ = await rig.decide(to: hands, try Rig.signal(name))
            let claim = try hands.claims()[0]
            let key = Array("{test}:r:".utf8) + claim.member.bytes
            let record = try #require(try await rig.answer("GET", [key]).bytesValue)
            _ = try await rig.answer("SET", [key, [1, 2, 3]])
            if name == "A" {
                #expect(try await rig.delivery.acknowledge("file", [claim]) == [.changed])
            } else {
                // Its host died; the claim that found it finds a fault.
                try await rig.at(.seconds(61))
                #expect(try await rig.delivery.claim("file", as: ClaimTicket(), most: 10).faults.count == 2)
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
