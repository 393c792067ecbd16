import Logging
import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// What becomes of what was handed over when nobody heard of it, or the answer can't be.
@Suite(.serialized) struct LostHandOverTests {
    private typealias Rig = GateRig

    @Test func whatNobodyHeardOfIsDueAtOnceWhenItIsGivenBack() async throws {
        let rig = try await Rig()
        let hands = Hands(0)
        _ = await rig.decide(to: hands, try Rig.signal("A"), try Rig.signal("B"))
        let claims = try hands.claims()
        let number = try #require(claims[0].token.call)
        #expect(hands.offers.map(\.number) == [number])
        let other = LostHandOver(member: claims[0].member, number: number == 1 ? 2 : 1)
        try await rig.delivery.giveBack("file", [other])
        #expect(try await rig.claims().isEmpty, "another host's is left alone")
        let unknown = LostHandOver(member: QueueMember(try Rig.signal("C").fingerprint.bytes), number: number)
        try await rig.delivery.giveBack(
            "file", [unknown] + claims.map { LostHandOver(member: $0.member, number: number) })
        let found = try await rig.claims()
        #expect(Set(found.map(\.member)) == Set(claims.map(\.member)))
        #expect(found.map(\.attempt) == [2, 2])
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 2)
        // A claim's token is no call's.
        try await rig.delivery.giveBack("file", [LostHandOver(member: claims[0].member, number: 0)])
        #expect(try await rig.claims().count == 0)
    }

    /// A step in front of `persist` whose write fails behind that one's.
    private struct Failing: GatePolicy {
        static let id: PluginID = "failing"
        static let step = GateStep(
            service: "failing",
            source:
                "return function(_, kit) return function() return 'pass', function() kit.fault('broken') end end end")
        static let argumentCount = 0
        init() {}
        init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {}
        var settings: [GateSetting] { [] }
        func arguments(for signal: Signal) -> [GateArgument] { [] }
    }

    @Test func aSignalWhoseWriteFailsLeavesNothingInAQueue() async throws {
        let rig = try await Rig(further: [Failing()])
        let hands = Hands(0)
        let answer = await rig.decide(to: hands, try Rig.signal("A"))
        #expect(answer.outcomes.map(\.verdict) == [.unavailable])
        #expect(hands.handed.isEmpty)
        #expect(hands.lost.isEmpty)
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 0)
    }

    @Test func aCallThatFailedHalfwayMayHaveHandedOver() async throws {
        let rig = try await Rig()
        let hands = Hands(0)
        // The queue is written first; what comes behind it meets a key of the wrong type.
        try await rig.redis.command("SET", "{test}:due", "x")
        let answer = await rig.decide(to: hands, try Rig.signal("A"), try Rig.signal("B", .resolved, ends: .minutes(1)))
        #expect(answer.outcomes.allSatisfy { $0.verdict == .unavailable })
        #expect(try hands.lost == [Rig.signal("A").fingerprint])
    }

    @Test func aStoreThatIsFullHasHandedNothingOver() async throws {
        let rig = try await Rig()
        let hands = Hands(0)
        try await rig.redis.command("CONFIG", "SET", "maxmemory", "1")
        let answer = await rig.decide(to: hands, try Rig.signal("A"))
        #expect(answer.outcomes.map(\.verdict) == [.unavailable])
        #expect(hands.offers.count == 1)
        #expect(hands.lost.isEmpty)
    }

    /// What no script answers.
    @Test(
        arguments: [
            [], [.integer(5)], [.integer(0), .bytes([0])], [.integer(.max), .bytes([0])], [.integer(5), .bytes([1])],
            [.integer(5), .integer(0)], [.integer(5), .bytes([0]), .bytes([0])],
        ] as [[RedisValue]])
    func anAnswerThatCantBeShutsTheStore(_ words: [RedisValue]) async throws {
        let rig = try await Rig()
        let reader = GateReader(
            policies: rig.configuration.gatePolicies, deadLetters: "1", keeps: false, others: false, sinks: 1,
            log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let record = [UInt8](repeating: 1, count: 60)
        let reply = RedisValue.array([.integer(6), .bytes([1, 3, 60, 0] + record)] + words)
        var kept = GateReader.Kept()
        let offer = try #require(HandOverOffer([0], room: 1))
        let outcomes = reader.read(reply, [try Rig.signal()][...], offer, rig.store, since: 1, &kept)
        #expect(outcomes.map(\.verdict) == [.unavailable])
        #expect(kept.handOver.handed.isEmpty)
        #expect(rig.store.state != .open)
    }

    /// A clock that was set to a number that no script can count with.
    @Test(arguments: ["9223372036854770000", "10000000000000000000", "1e300", "9007199254740992"])
    func aClockThatCantBeConfirmsNothing(_ clock: String) async throws {
        let rig = try await Rig()
        let hands = Hands(0)
        try await rig.redis.command("SET", "{test}:clock", clock)
        let answer = await rig.decide(to: hands, try Rig.signal("A"))
        #expect(answer.outcomes.map(\.verdict) == [.unavailable])
        #expect(hands.handed.isEmpty)
        #expect(try await rig.number("EXISTS", "{test}:q:file") == 0)
    }

    @Test func aMoveOfAQueueForgetsNoAttempt() async throws {
        let rig = try await Rig(sinks: [("file", .refuse), ("other", .refuse)])
        try await rig.at(.zero)
        // Of A `other` has it in its hands; what `file` has of it is due earlier. Of B it is the other way round.
        for (name, place) in [("A", 1), ("B", 0)] {
            _ = await rig.decide(to: Hands(place), try Rig.signal(name))
        }
        #expect(try await rig.delivery.moveQueue("file", to: "other") == 2)
        let found = try await rig.claims("other")
        #expect(found.count == 2)
        #expect(found.map(\.attempt) == [2, 2])
    }

    @Test(arguments: ["x", "1e300"])
    func aMoveOfAQueueGoesOnWhereACountCantBeRead(_ count: String) async throws {
        let rig = try await Rig(sinks: [("file", .refuse), ("other", .refuse)])
        _ = await rig.decide(try Rig.signal())
        #expect(try await rig.delivery.acknowledge("other", rig.claims("other")) == [.settled])
        for sink in ["file", "other"] {
            _ = try await rig.answer(
                "HSET", [Array("{test}:a:\(sink)".utf8), Rig.signal().fingerprint.bytes, Array(count.utf8)])
        }
        #expect(try await rig.delivery.moveQueue("file", to: "other") == 1)
        #expect(try await rig.claims("other").map(\.attempt) == [3])
        #expect(try await rig.number("EXISTS", "{test}:q:file") == 0)
    }

    /// The same problem twice in a call is one delivery.
    @Test func whatIsGivenBackTwiceCountsOnce() async throws {
        let rig = try await Rig()
        let hands = Hands(0)
        _ = await rig.decide(to: hands, try Rig.signal())
        let claim = try hands.claims()[0]
        let lost = LostHandOver(member: claim.member, number: try #require(claim.token.call))
        try await rig.delivery.giveBack("file", [lost, lost])
        #expect(try await rig.claims().map(\.attempt) == [2])
    }

    @Test func aCallWhoseAnswerIsLostLosesWhatItMayHaveHandedOver() async throws {
        let rig = try await Rig()
        let hands = Hands(0)
        rig.redis.freeze()
        let signals = [
            try Rig.signal("A"), try Rig.signal("B", .resolved, ends: .minutes(1)), try Rig.signal("K", isKnown: true),
        ]
        async let deciding = rig.gate.decide(signals, [], in: rig.store, on: nil, to: hands)
        try await eventually("a call") { hands.offers.count == 1 }
        rig.redis.kill()
        let answer = await deciding
        #expect(answer.outcomes.allSatisfy { $0.verdict == .unavailable })
        #expect(hands.handed.isEmpty)
        #expect(try hands.lost == [Rig.signal("A").fingerprint])
    }
}
