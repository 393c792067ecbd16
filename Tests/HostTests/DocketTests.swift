import SignalKit
import Testing

@testable import Host

/// One request's answer out of many verdicts.
@Suite struct DocketTests {
    private func signal(_ name: String) throws -> Signal {
        try Signal(identity: Identity(family: "alert", fields: [.init("n", name)]), name: name, status: .firing)
    }

    private func outcome(_ verdict: Verdict, _ detail: String = "") -> GateOutcome {
        GateOutcome(verdict: verdict, episode: 5, count: 1, policy: "persist", detail: detail)
    }

    private func docket(_ results: [PolicyChain.Result]) throws -> Docket {
        var docket = Docket(count: results.count, from: "alertmanager")
        for (place, result) in results.enumerated() { docket.add(try signal("S\(place)"), result) }
        return docket
    }

    @Test func verdictsComeBackInTheRequestsOrder() throws {
        var docket = try docket([.pass(signal("S0")), .filtered(by: "filter", reason: "x"), .pass(signal("S2"))])
        #expect(docket.forGate.map(\.signal.name) == ["S0", "S2"])
        var answer = GateAnswer()
        answer.outcomes = [outcome(.accepted), outcome(.duplicate)]
        docket.settle(answer)
        guard case .taken(let taken) = docket.answer(deadLetters: []) else {
            Issue.record("refused")
            return
        }
        #expect(taken.signals.map(\.verdict) == [.accepted, .filtered, .duplicate])
        #expect(taken.signals.map(\.name) == ["S0", "S1", "S2"])
        #expect(docket.tally.map(\.count).reduce(0, +) == 3)
    }

    @Test func oneThatNobodyVouchesForRefusesTheRequest() throws {
        var docket = try docket([.pass(signal("S0")), .pass(signal("S1"))])
        var answer = GateAnswer()
        answer.outcomes = [
            outcome(.accepted), outcome(.unavailable, "persistence service unavailable: backlog of file full"),
        ]
        docket.settle(answer)
        guard case .refused(.unavailable(let detail)) = docket.answer(deadLetters: []) else {
            Issue.record("taken")
            return
        }
        #expect(detail == "persistence service unavailable: backlog of file full")
    }

    @Test func aGateThatSaysNothingRefusesTheRequest() throws {
        guard case .refused = try docket([.pass(signal("S0"))]).answer(deadLetters: []) else {
            Issue.record("an early yes")
            return
        }
    }

    @Test func aClosedPolicyThatFailsRefusesTheRequestInItsName() throws {
        guard
            case .refused(.unavailable("quota service unavailable")) = try docket([
                .unavailable(policy: "quota", message: "down")
            ]).answer(deadLetters: [])
        else {
            Issue.record("not refused by name")
            return
        }
    }

    @Test func aDeadLetterThatIsStoredNowhereRefusesTheRequest() throws {
        var docket = try docket([])
        var answer = GateAnswer()
        answer.deadLettersStored = false
        answer.deadLettersUnavailable = true
        answer.deadLetterDetail = "dead letter service unavailable"
        docket.settle(answer)
        guard case .refused(.unavailable("dead letter service unavailable")) = docket.answer(deadLetters: [(0, "x")])
        else {
            Issue.record("an early yes")
            return
        }
    }
}
