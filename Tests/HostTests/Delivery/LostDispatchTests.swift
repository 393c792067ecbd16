import Logging
import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// A call of the gate with direct dispatch whose answer is lost, or can't be.
@Suite(.serialized) struct LostDispatchTests {
    private typealias Rig = GateRig

    /// A step in front of `persist` whose write fails behind that one's.
    private struct Failing: GatePolicy {
        static let id: PluginID = "failing"
        static let step = GateStep(
            service: "failing", commands: [],
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
        let workers = Workers(of: rig, 0)
        let answer = await rig.decide(to: workers, try Rig.signal("A"))
        #expect(answer.outcomes.map(\.verdict) == [.unavailable])
        #expect(workers.episodes.isEmpty)
        #expect(workers.unknown == 0)
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 0)
    }

    @Test func aCallThatFailedHalfwayMayHaveDispatched() async throws {
        let rig = try await Rig()
        let workers = Workers(of: rig, 0)
        // The queue is written first; what comes behind it meets a key of the wrong type.
        try await rig.redis.command("SET", "{test}:due", "x")
        let answer = await rig.decide(
            to: workers, try Rig.signal("A"), try Rig.signal("B", .resolved, ends: .minutes(1)))
        #expect(answer.outcomes.allSatisfy { $0.verdict == .unavailable })
        #expect(workers.unknown == 1)
    }

    @Test func aStoreThatIsFullHasDispatchedNothing() async throws {
        let rig = try await Rig()
        let workers = Workers(of: rig, 0)
        try await rig.redis.command("CONFIG", "SET", "maxmemory", "1")
        let answer = await rig.decide(to: workers, try Rig.signal("A"))
        #expect(answer.outcomes.map(\.verdict) == [.unavailable])
        #expect(workers.offers.count == 1)
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 0)
    }

    /// What no script answers.
    @Test(
        arguments: [
            [.bytes([1])], [.integer(0)], [.bytes([0]), .bytes([0])], [.bytes([0, 1])],
        ] as [[RedisValue]])
    func anAnswerThatCantBeShutsTheStore(_ words: [RedisValue]) async throws {
        let rig = try await Rig()
        let reader = GateReader(
            policies: rig.configuration.gatePolicies, deadLetters: "1", keeps: false, others: false, sinks: 1,
            log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let record = [UInt8](repeating: 1, count: 60)
        let reply = RedisValue.array([.integer(6), .bytes([1, 3, 60, 0] + record)] + words)
        var kept = GateReader.Kept()
        let offer = DispatchOffer(call: try rig.call(), sinks: [0], capacity: 1)
        let outcomes = reader.read(reply, [try Rig.signal()][...], offer, rig.store, since: 1, &kept)
        #expect(outcomes.map(\.verdict) == [.unavailable])
        #expect(kept.dispatched.episodes.isEmpty)
        #expect(rig.store.state != .open)
    }

    /// A clock that was set to a number that no script can count with.
    @Test(arguments: ["9223372036854770000", "10000000000000000000", "1e300", "9007199254740992"])
    func aClockThatCantBeConfirmsNothing(_ clock: String) async throws {
        let rig = try await Rig()
        let workers = Workers(of: rig, 0)
        try await rig.redis.command("SET", "{test}:clock", clock)
        let answer = await rig.decide(to: workers, try Rig.signal("A"))
        #expect(answer.outcomes.map(\.verdict) == [.unavailable])
        #expect(workers.episodes.isEmpty)
        #expect(try await rig.number("EXISTS", "{test}:q:file") == 0)
    }

    @Test func aMoveOfAQueueForgetsNoAttempt() async throws {
        let rig = try await Rig(sinks: [("file", .refuse), ("other", .refuse)])
        try await rig.at(.zero)
        // Of A `other` has it in flight, and `file` has it due. Of B it is the other way round.
        var claims: [[Claim]] = []
        for (name, place) in [("A", 1), ("B", 0)] {
            let workers = Workers(of: rig, place)
            _ = await rig.decide(to: workers, try Rig.signal(name))
            claims.append(try workers.claims())
        }
        #expect(try await rig.delivery.moveQueue("file", to: "other") == 2)
        // What is in flight at `other` stays there; what was in flight at `file` is due.
        let found = try await rig.claims("other")
        #expect(found.map(\.member) == claims[1].map(\.member))
        #expect(found.map(\.attempt) == [2])
        #expect(try await rig.delivery.acknowledge("file", claims[1]) == [.lost])
        #expect(try await rig.delivery.acknowledge("other", claims[0]) == [.settled])
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
        #expect(try await rig.claims("other").map(\.attempt) == [2])
        #expect(try await rig.number("EXISTS", "{test}:q:file") == 0)
    }

    @Test func aCallWhoseAnswerIsLostMayHaveDispatched() async throws {
        let rig = try await Rig()
        let workers = Workers(of: rig, 0)
        rig.redis.freeze()
        let signals = [
            try Rig.signal("A"), try Rig.signal("B", .resolved, ends: .minutes(1)), try Rig.signal("K", isKnown: true),
        ]
        async let deciding = rig.gate.decide(signals, [], in: rig.store, on: nil, to: workers)
        try await eventually("a call") { workers.offers.count == 1 }
        rig.redis.kill()
        let answer = await deciding
        #expect(answer.outcomes.allSatisfy { $0.verdict == .unavailable })
        #expect(workers.episodes.isEmpty)
        #expect(workers.unknown == 1)
    }
}
