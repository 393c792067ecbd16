import Testing

@testable import Redis

@Suite struct SentinelVotesTests {
    private let a = RedisEndpoint.Address.tcp(host: "h", port: 1)
    private let b = RedisEndpoint.Address.tcp(host: "h", port: 2)
    private let c = RedisEndpoint.Address.tcp(host: "h", port: 3)

    @Test func whatMostNameIsAReasonToLookThere() {
        #expect(SentinelVotes([]).challenger(to: a) == nil)
        #expect(SentinelVotes([]).challenger(to: nil) == nil)
        #expect(SentinelVotes([a]).challenger(to: nil) == a)
        #expect(SentinelVotes([a, a]).challenger(to: a) == nil)
        #expect(SentinelVotes([b]).challenger(to: a) == b)
        #expect(SentinelVotes([a, b]).challenger(to: a) == nil)
        #expect(SentinelVotes([a, b]).challenger(to: b) == nil)
        #expect(SentinelVotes([a, b, b]).challenger(to: a) == b)
        #expect(SentinelVotes([a, b, b]).challenger(to: b) == nil)
        // Always the same one, so that two rounds can be compared.
        #expect(SentinelVotes([b, c]).challenger(to: a) == b)
        #expect(SentinelVotes([c, b]).challenger(to: a) == b)
    }

    @Test func oneThatNobodyNamesIsForgotten() {
        #expect(SentinelVotes([b, b]).haveForgotten(a))
        #expect(!SentinelVotes([a, b, b]).haveForgotten(a))
    }

    @Test func everyoneIsAskedOnceBeginningWithTheNext() {
        var state = Sentinels.State(connections: [nil, nil, nil])
        #expect(state.order == [0, 1, 2])
        state.handOut(a, from: 0)
        #expect(state.order == [1, 2, 0])
        // Those who were silent come last.
        state.answered = [true, false, true]
        #expect(state.order == [2, 0, 1])
        state.handOut(a, from: 2)
        #expect(state.order == [0, 2, 1])
        state.answered = [false, false, false]
        #expect(state.order == [0, 1, 2])
    }

    @Test func whatIsHeardIsHandedOutOnceAndFirst() {
        var state = Sentinels.State(connections: [nil])
        #expect(state.takeNews() == nil)
        state.hear(b)
        #expect(state.takeNews() == b)
        #expect(state.handedOut == b)
        #expect(state.takeNews() == nil)
        // No news is what is in use already.
        state.hear(b)
        #expect(state.takeNews() == nil)
        state.hear(a)
        state.hear(b)
        #expect(state.takeNews() == nil)
    }
}
