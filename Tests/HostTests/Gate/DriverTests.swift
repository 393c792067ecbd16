import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// What the driver makes of the verdicts of a policy that it does not know.
@Suite(.serialized) struct DriverTests {
    private typealias Rig = GateRig

    /// Says what the signal's annotation `note` says, passes without one, and counts what it was asked.
    private struct Turnstile: GatePolicy {
        static let id: PluginID = "turnstile"
        static let argumentCount = 1
        static let step = GateStep(
            service: "turnstile", commands: ["HINCRBY"],
            source: """
                return function(settings, kit)
                  return function(signal)
                    local said = signal.arguments[1]
                    if said == 'nothing' then return end
                    return said == '' and 'pass' or said, function()
                      redis.call('HINCRBY', kit.key('turned'), said, 1)
                    end
                  end
                end
                """)
        init() {}
        init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {}
        var settings: [GateSetting] { [] }
        func arguments(for signal: Signal) -> [GateArgument] { [.text(signal.annotations["note"] ?? "")] }
    }

    /// Nothing is known of any problem, and nothing waits.
    private func expectNoTrace(_ rig: Rig, _ place: SourceLocation = #_sourceLocation) async throws {
        for family in ["r", "d", "q", "g", "l", "s"] {
            let keys = try await rig.redis.command("KEYS", "{test}:\(family):*").list.compactMap(\.string)
            #expect(keys.isEmpty, sourceLocation: place)
        }
        #expect(try await rig.number("EXISTS", "{test}:due") == 0, sourceLocation: place)
    }

    private func turned(_ rig: Rig, _ word: String) async throws -> Int64? {
        try await rig.number("HGET", "{test}:turned", word)
    }

    @Test(arguments: ["filtered", "ignored", "dead-lettered", "duplicate", "resolved"])
    func whatAPolicyStopsLeavesNothingOfTheStepsBefore(_ word: String) async throws {
        let rig = try await Rig(further: [Turnstile()])
        for round in 1...3 {
            let outcome = await rig.decide(try Rig.signal(note: word))[0]
            #expect(outcome.verdict.rawValue == word)
            #expect(outcome.policy == "turnstile")
            #expect(outcome.episode == nil)
            #expect(outcome.count == nil)
            // What it writes itself is its own.
            #expect(try await turned(rig, word) == Int64(round))
        }
        try await expectNoTrace(rig)
        // Nothing of it stands in the way when it is let in.
        #expect(await rig.verdict(try Rig.signal()) == .accepted)
        #expect(try await rig.deliver().map(\.state) == [.firing])
    }

    @Test func anAcceptanceBeforeTheLastStepIsThatPolicysFault() async throws {
        for rig in [try await Rig(further: [Turnstile()]), try await Rig(first: [Turnstile()])] {
            let outcomes = await rig.decide(
                try Rig.signal("A", note: "accepted"), try Rig.signal("B"), try Rig.signal("A", note: "accepted"))
            #expect(outcomes.map(\.verdict) == [.unavailable, .accepted, .unavailable])
            #expect(outcomes[0].policy == "turnstile")
            #expect(outcomes[0].detail == "turnstile service unavailable")
            #expect(try await turned(rig, "accepted") == nil)
            #expect(try await rig.deliver().map(\.signal?.name) == ["B"])
        }
    }

    @Test(arguments: ["perhaps", "nothing", "full"])
    func aWordThatIsNoVerdictIsThatPolicysFault(_ word: String) async throws {
        let rig = try await Rig(further: [Turnstile()])
        let outcomes = await rig.decide(try Rig.signal("A", note: word), try Rig.signal("B"))
        #expect(outcomes.map(\.verdict) == [.unavailable, .accepted])
        #expect(outcomes[0].detail == "turnstile service unavailable")
        #expect(rig.store.state == .open)
    }

    @Test func aPolicyInFrontCountsRepeatsAndEndsToo() async throws {
        let rig = try await Rig(first: [Turnstile()])
        #expect(await rig.verdict(try Rig.signal()) == .accepted)
        #expect(await rig.verdict(try Rig.signal()) == .duplicate)
        #expect(await rig.verdict(try Rig.signal("A", .resolved)) == .resolved)
        #expect(try await turned(rig, "") == 3)
    }

    /// A policy that reads for all signals of a call finds its own argument in each, whatever is in front of it.
    @Test func aPolicyInFrontMovesNobodysArguments() async throws {
        let small = [Rig.section("rate", Rig.entry("count", "3"), Rig.entry("per", "1m"))]
        let rig = try await Rig(storm: small, first: [Turnstile()])
        for place in 0..<3 { #expect(await rig.verdict(try Rig.signal(target: "pod-\(place)")) == .accepted) }
        let last = await rig.decide(
            try Rig.signal("B"), try Rig.signal(target: "pod-3"), try Rig.signal("C", isKnown: true))
        #expect(last.map(\.verdict) == [.accepted, .aggregated, .accepted])
    }

    @Test func aMemberOfAStormIsKeptThoughLaterPoliciesNeverSeeIt() async throws {
        let rig = try await Rig(storm: [Rig.section("rate", Rig.entry("count", "1"))], further: [Turnstile()])
        #expect(await rig.verdict(try Rig.signal(target: "a")) == .accepted)
        #expect(await rig.verdict(try Rig.signal(target: "b", note: "filtered")) == .aggregated)
        #expect(try await turned(rig, "filtered") == nil)
        #expect(await rig.verdict(try Rig.signal(target: "b")) == .duplicate)
    }

    @Test func whatFailsHalfWrittenIsNoDuplicateOfItself() async throws {
        let rig = try await Rig()
        // The queue can be read, and not be written to: it is found out in the midst of the writes.
        try await rig.redis.command("ACL", "SETUSER", "default", "resetkeys", "%R~{test}:q:*", "~{test}:[^q]*")
        let outcome = await rig.decide(try Rig.signal())[0]
        #expect(outcome.verdict == .unavailable)
        #expect(try await rig.redis.command("KEYS", "{test}:r:*").list.isEmpty)
        try await rig.redis.command("ACL", "SETUSER", "default", "allkeys")
        try await eventually("the store open again") { rig.store.state == .open }
        #expect(await rig.verdict(try Rig.signal()) == .accepted)
        #expect(try await rig.deliver().count == 1)
    }

    /// What is written behind the last signal of a call is seen by each of them.
    @Test func aWholeStoryInOneCallIsToldAsInMany() async throws {
        let story = [
            try Rig.signal(starts: .zero), try Rig.signal(starts: .zero),
            try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(1)),
            try Rig.signal("A", .resolved, starts: .zero, ends: .minutes(1)),
            try Rig.signal(starts: .minutes(2)), try Rig.signal("B"),
        ]
        let expected: [Verdict] = [.accepted, .duplicate, .resolved, .duplicate, .accepted, .accepted]
        func run(_ split: Bool) async throws -> ([Verdict], [Int64?], [Int64?], [String]) {
            let rig = try await Rig()
            try await rig.at(.minutes(3))
            var outcomes: [GateOutcome] = []
            if split {
                for signal in story { outcomes += await rig.decide(signal) }
            } else {
                outcomes = await rig.gate.decide(story, [], in: rig.store, on: nil).outcomes
            }
            let told = try await rig.deliver().map { "\($0)" }
            return (outcomes.map(\.verdict), outcomes.map(\.episode), outcomes.map(\.count), told)
        }
        let (one, many) = (try await run(false), try await run(true))
        #expect(one.0 == expected && many.0 == expected)
        // A call has one reading for all but those that follow a change of the same problem.
        #expect(one.1.map { one.1.firstIndex(of: $0) } == [0, 0, 0, 0, 4, 0])
        #expect(many.1.map { many.1.firstIndex(of: $0) } == [0, 0, 0, 0, 4, 5])
        #expect(one.2 == many.2)
        #expect(one.3.count == 2)
    }

    @Test func aBacklogIsCountedExactlyWithinOneCall() async throws {
        let rig = try await Rig(backlog: 3)
        let end = try Rig.signal("A", .resolved, ends: .minutes(1))
        let outcomes = await rig.decide(
            try Rig.signal("A"), end, try Rig.signal("B"), try Rig.signal("C"), try Rig.signal("D"))
        // A is in the queue once, though it was queued twice.
        #expect(outcomes.map(\.verdict) == [.accepted, .resolved, .accepted, .accepted, .unavailable])
        #expect(outcomes[4].detail == "persistence service unavailable: backlog of file full")
        #expect(try await rig.deliver().count == 3)
    }
}
