import SignalKit
import TestSupport
import Testing

@testable import Host

/// A call of the gate that fails at any of its writes, alone or with all behind it, and is then told again: sinks hear the same as without
/// the fault, and nothing twice.
@Suite(.serialized) struct FaultPositionTests {
    private typealias Rig = GateRig

    struct Scenario: CustomTestStringConvertible, Sendable {
        let testDescription: String
        /// Told and delivered before the call.
        let before: [Step]
        let call: [Step]
    }

    struct Step: Sendable {
        let name: String
        var resolved = false
        var at = 0
    }

    static let scenarios = [
        Scenario(testDescription: "a new problem", before: [], call: [Step(name: "a")]),
        Scenario(testDescription: "an end", before: [Step(name: "a")], call: [Step(name: "a", resolved: true, at: 60)]),
        Scenario(
            testDescription: "a new episode", before: [Step(name: "a"), Step(name: "a", resolved: true, at: 60)],
            call: [Step(name: "a", at: 120), Step(name: "b", at: 120)]),
        Scenario(
            testDescription: "an end that was never seen firing", before: [], call: [Step(name: "a", resolved: true)]),
        Scenario(
            testDescription: "a count that sinks hear of", before: [Step(name: "a")], call: [Step(name: "a", at: 700)]),
        Scenario(
            testDescription: "a storm that opens", before: (0..<3).map { Step(name: "s\($0)") },
            call: [Step(name: "s3"), Step(name: "s4")]),
        Scenario(
            testDescription: "a member that ends, and one that joins", before: (0..<5).map { Step(name: "s\($0)") },
            call: [Step(name: "s4", resolved: true, at: 20), Step(name: "s5", at: 20)]),
    ]

    private func signal(_ step: Step) throws -> GateSignal {
        let signal = try Signal(
            identity: Identity(family: "alert", fields: [.init("n", step.name)]),
            name: step.name.hasPrefix("s") ? "Storm" : step.name, status: step.resolved ? .resolved : .firing,
            startsAt: Rig.time(.seconds(step.at)), endsAt: step.resolved ? Rig.time(.seconds(step.at)) : nil)
        return GateSignal(Fingerprint(signal.identity), signal, from: Reporter("alertmanager", []))
    }

    private struct Heard {
        var ids: [String] = []
        /// Of each problem and storm its states, in order.
        var states: [String: [String]] = [:]
        var storms: [String] = []
        var writes = 0
    }

    private func deliver(_ rig: Rig, _ heard: inout Heard) async throws {
        for delivery in try await rig.deliver() {
            heard.ids.append(delivery.id)
            let name = delivery.kind == .storm ? "storm" : delivery.fingerprint
            heard.states[name, default: []].append("\(delivery.state)")
        }
    }

    /// - Parameters:
    ///   - at: the write that fails, from 1; 0 for none.
    ///   - key: `fault`, or `faults` for all writes from there on.
    private func run(_ scenario: Scenario, failing at: Int, _ key: String) async throws -> Heard {
        let rig = try await Rig(
            storm: [Rig.section("rate", Rig.entry("count", "3"), Rig.entry("per", "1m")), Rig.entry("flush", "100ms")])
        var heard = Heard()
        for step in scenario.before {
            try await rig.at(.seconds(step.at))
            _ = await rig.decide(try signal(step))
        }
        try await rig.at(.seconds((scenario.before.last?.at ?? 0) + 1))
        try await deliver(rig, &heard)
        let now = Duration.seconds((scenario.call.last?.at ?? 0) + 2)
        try await rig.at(now)
        let signals = try scenario.call.map(signal)
        if at > 0 {
            try await rig.redis.command("SET", "{test}:\(key)", String(at))
            let outcomes = await rig.gate.decide(signals, [], in: rig.store, on: nil).outcomes
            heard.writes = outcomes.contains { $0.verdict == .unavailable } ? at : 0
            try await rig.redis.command("DEL", "{test}:\(key)")
            try await rig.at(now + .seconds(1))
            try await deliver(rig, &heard)
        }
        _ = await rig.gate.decide(signals, [], in: rig.store, on: nil).outcomes
        for step in [Duration.seconds(2), .minutes(3), .hours(27), .hours(28)] {
            try await rig.at(now + step)
            while try await rig.delivery.sweep(most: 100).more {}
            try await rig.at(now + step + .seconds(1))
            try await deliver(rig, &heard)
        }
        for storm in try await rig.delivery.storms(nil, most: 10) {
            heard.storms.append("\(storm.state) \(storm.members) \(storm.firing)")
        }
        return heard
    }

    @Test(arguments: scenarios, ["fault", "faults"])
    func aCallThatFailsAtAWriteAndIsToldAgainIsHeardOnce(_ scenario: Scenario, _ key: String) async throws {
        let expected = try await run(scenario, failing: 0, key)
        #expect(Set(expected.ids).count == expected.ids.count)
        var at = 1
        while true {
            let heard = try await run(scenario, failing: at, key)
            // Past the last write.
            if heard.writes == 0 { break }
            #expect(Set(heard.ids).count == heard.ids.count, "write \(at): \(heard.ids)")
            for (name, states) in expected.states {
                let told = heard.states[name] ?? []
                // Storms are told of each change, at most once in a flush: the last word counts.
                if name == "storm" {
                    #expect(told.last == states.last, "write \(at)")
                } else {
                    // A repeat is counted again, and a grown count may be told.
                    func changes(_ states: [String]) -> [String] {
                        states.reduce(into: []) { if $0.last != $1 { $0.append($1) } }
                    }
                    #expect(changes(told) == changes(states), "write \(at)")
                }
            }
            #expect(heard.states.count == expected.states.count, "write \(at): \(heard.states)")
            #expect(heard.storms == expected.storms, "write \(at)")
            at += 1
        }
        #expect(at > 3)
    }
}
