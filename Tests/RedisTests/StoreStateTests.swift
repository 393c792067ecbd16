import Testing

@testable import Redis

@Suite struct StoreStateTests {
    private let reset = RedisError(.reset, "gone")

    private func refusal(_ state: inout StoreState<String>) -> RedisError? {
        if case .refuse(let error) = state.pick(nil) { error } else { nil }
    }

    @Test func aNewStoreIsShutUntilAConnectionIsVerified() {
        var state = StoreState<String>(slots: 2)
        #expect(refusal(&state)?.code == .shut)
        #expect(state.opened("a", slot: 0) == 1)
        #expect(refusal(&state) == nil)
    }

    @Test func aCommandTakesItsOwnLoopsConnectionOrElseAnother() {
        var state = StoreState<String>(slots: 3)
        _ = state.opened("a", slot: 0)
        func pick(_ slot: Int?) -> String? {
            if case .use(let connection, _) = state.pick(slot) { connection } else { nil }
        }
        #expect(pick(2) == "a")
        let added = state.add("c", slot: 2, generation: 1)
        #expect(added)
        #expect(pick(2) == "c")
        #expect(Set([pick(nil), pick(nil)]) == ["a", "c"])
    }

    @Test func anErrorDropsEveryConnectionAndTellsItsReason() {
        var state = StoreState<String>(slots: 2)
        _ = state.opened("a", slot: 0)
        _ = state.add("b", slot: 1, generation: 1)
        #expect(state.failed(reset, generation: 1) == ["a", "b"])
        #expect(refusal(&state)?.code == .shut)
        #expect(refusal(&state)?.message.contains("gone") == true)
        #expect(state.failed(reset, generation: 1) == nil)
    }

    @Test func newsOfAnEarlierGenerationShutsNothing() {
        var state = StoreState<String>(slots: 2)
        _ = state.opened("a", slot: 0)
        _ = state.failed(reset, generation: 1)
        #expect(state.opened("b", slot: 0) == 2)
        #expect(state.failed(reset, generation: 1) == nil)
        let late = state.add("old", slot: 1, generation: 1)
        #expect(!late)
        #expect(refusal(&state) == nil)
    }

    @Test func everyLaterErrorShutsAgain() {
        var state = StoreState<String>(slots: 1)
        for generation in 1...5 {
            #expect(state.opened("c", slot: 0) == generation)
            #expect(state.failed(reset, generation: generation) == ["c"])
        }
    }

    @Test func probesGoFromATenthOfASecondToOneSecondAndStartAfresh() {
        var state = StoreState<String>(slots: 1)
        #expect(state.probeDelay(random: 0) == .milliseconds(100))
        #expect(state.probeDelay(random: 1) == .milliseconds(200))
        for _ in 0..<100 { _ = state.probeFailed(reset) }
        #expect(state.probeDelay(random: 0) == .milliseconds(100))
        #expect(state.probeDelay(random: 1) == .milliseconds(1_000))
        _ = state.opened("c", slot: 0)
        _ = state.failed(reset, generation: 1)
        #expect(state.probeDelay(random: 1) == .milliseconds(200))
    }

    @Test func onlyANewKindOfReasonIsWorthALine() {
        var state = StoreState<String>(slots: 1)
        let first = state.probeFailed(reset)
        let same = state.probeFailed(reset)
        let other = state.probeFailed(RedisError(.loading, "x"))
        #expect([first, same, other] == [true, false, true])
    }

    /// A script that lacks a command is refused in the middle of a call, which does not name it; the canary does.
    @Test func whatTheFirstProbeKnowsBetterIsWorthALineToo() {
        var state = StoreState<String>(slots: 1)
        _ = state.opened("c", slot: 0)
        _ = state.failed(RedisError(.noPermission, "a script was refused"), generation: 1)
        let canary = RedisError(.noPermission, "the canary failed at GET")
        let (first, second) = (state.probeFailed(canary), state.probeFailed(RedisError(.noPermission, "at SET")))
        #expect([first, second] == [true, false])
    }

    @Test func aStoppedStoreStaysStopped() {
        var state = StoreState<String>(slots: 1)
        _ = state.opened("a", slot: 0)
        #expect(state.stop() == ["a"])
        #expect(state.opened("b", slot: 0) == nil)
        #expect(refusal(&state)?.code == .shut)
    }
}
