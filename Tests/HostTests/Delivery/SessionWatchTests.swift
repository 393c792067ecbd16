import Testing

@testable import Host

/// When a session is over, and when a delivery may start, without a store and without a clock.
@Suite struct SessionWatchTests {
    private let start = ContinuousClock.now

    private func at(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

    @Test func aCounterThatStandsForTenSecondsIsOver() {
        var watch = SessionWatch()
        for second in stride(from: 0.0, to: 10, by: 2) {
            #expect(watch.look([1: "a5", 2: "b\(second)"], at: at(second)).isEmpty)
        }
        let over = watch.look([1: "a5", 2: "b9"], at: at(10))
        #expect(over.map(\.number) == [1])
        #expect(over.map(\.seen) == ["a5"])
    }

    @Test func aHeartbeatBeginsItAnew() {
        var watch = SessionWatch()
        for second in stride(from: 0.0, through: 40, by: 2) {
            #expect(watch.look([1: "a\(Int(second / 8))"], at: at(second)).isEmpty)
        }
    }

    /// The store stops for some seconds, or a failover takes twelve: its hosts could not beat either.
    @Test(arguments: [4.1, 12, 60])
    func aStoreThatDoesNotAnswerEndsNobody(_ pause: Double) {
        var watch = SessionWatch()
        for second in stride(from: 0.0, through: 8, by: 2) { #expect(watch.look([1: "a5"], at: at(second)).isEmpty) }
        for second in stride(from: 8 + pause, to: 18 + pause, by: 2) {
            #expect(watch.look([1: "a5"], at: at(second)).isEmpty)
        }
        #expect(watch.look([1: "a5"], at: at(18 + pause)).map(\.number) == [1])
    }

    @Test func aSessionThatIsGoneIsForgotten() {
        var watch = SessionWatch()
        for second in stride(from: 0.0, through: 8, by: 2) { _ = watch.look([1: "a5"], at: at(second)) }
        #expect(watch.look([:], at: at(9)).isEmpty)
        #expect(watch.look([1: "a5"], at: at(10)).isEmpty)
    }

    @Test func noDeliveryStartsLaterThanEightSecondsAfterTheLastConfirmedHeartbeat() throws {
        let session = HostSession(isAlone: false)
        #expect(session.nextCall() == nil)
        let own = SessionID(number: 1, token: "t")
        session.took(own, sent: at(0))
        let call = try #require(session.nextCall())
        #expect(session.mayStart(call, at: at(7.9)))
        #expect(!session.mayStart(call, at: at(8)))
        // The answers come in any order.
        session.confirmed(own, sent: at(6))
        session.confirmed(own, sent: at(2))
        #expect(session.mayStart(call, at: at(13.9)))
        session.lost(own)
        #expect(!session.mayStart(call, at: at(7)))
        session.took(SessionID(number: 2, token: "u"), sent: at(7))
        #expect(!session.mayStart(call, at: at(7)))
        #expect(session.nextCall()?.number == 1)
    }

    /// Its calls would have the numbers of calls before, and no fence.
    @Test func aLateConfirmationDoesNotTakeUpAnEarlierSession() throws {
        let session = HostSession(isAlone: false)
        let (first, second) = (SessionID(number: 1, token: "t"), SessionID(number: 2, token: "u"))
        session.took(first, sent: at(0))
        _ = session.nextCall()
        session.lost(first)
        session.confirmed(first, sent: at(1))
        #expect(session.current == nil)
        session.took(second, sent: at(2))
        session.confirmed(first, sent: at(3))
        #expect(session.nextCall() == SessionCall(session: second, number: 1))
    }

    @Test func aHostThatIsAloneStartsWhenItLikes() throws {
        let session = HostSession(isAlone: true)
        session.took(SessionID(number: 1, token: "t"), sent: at(0))
        #expect(session.mayStart(try #require(session.nextCall()), at: at(1_000)))
        #expect(session.over([2: "b0"], at: at(0)).isEmpty)
    }
}
