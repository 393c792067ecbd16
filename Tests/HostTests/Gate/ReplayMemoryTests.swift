import SignalKit
import Testing

@testable import Host

/// What is kept for a replay, and what makes room.
@Suite struct ReplayMemoryTests {
    private static let start = ContinuousClock.now

    private func item(
        _ number: Int, moment: Int, bytes: Int = 700, version: Int = 0, note: UInt8 = 1, repeats: Bool = false
    ) throws -> ReplayMemory.Signal {
        let identity = try Identity(family: "test", fields: [.init("n", String(number))])
        var record = [UInt8](repeating: 0, count: 74)
        for place in 0..<7 {
            record[15 + place] = UInt8(truncatingIfNeeded: version >> (8 * place))
            record[22 + place] = UInt8(truncatingIfNeeded: moment >> (8 * place))
        }
        return ReplayMemory.Signal(
            fingerprint: Fingerprint(identity), record: try #require(PackedRecord(record)),
            document: [UInt8](repeating: note, count: bytes - 74 - ReplayMemory.overhead), arguments: [],
            isRepeat: repeats)
    }

    private func put(_ memory: ReplayMemory, _ items: ReplayMemory.Signal..., at time: Duration = .zero) -> Bool {
        guard memory.reserve(700 * items.count, now: Self.start + time) else { return false }
        return memory.keep(items, [], of: 700 * items.count, now: Self.start + time)
    }

    private func moments(_ memory: ReplayMemory) -> [Int64] {
        memory.renewed().signals.map(\.record.moment).sorted()
    }

    @Test func theLatestStateOfEachProblemIsKept() throws {
        let memory = ReplayMemory(capacity: 10_000, replicated: true)
        #expect(put(memory, try item(1, moment: 5), try item(2, moment: 6)))
        #expect(put(memory, try item(1, moment: 7)))
        // An answer that was overtaken on its way.
        #expect(put(memory, try item(1, moment: 4)))
        #expect(moments(memory) == [6, 7])
        #expect(memory.bytes == 1_400)
    }

    /// A sink hears of what somebody was answered: what the steps were told stays, whichever state it is.
    @Test func whatIsHandedToASinkKeepsTheArguments() throws {
        let memory = ReplayMemory(capacity: 10_000, replicated: true)
        var answered = try item(1, moment: 5, note: 3)
        answered.arguments = [.text("told")]
        #expect(put(memory, answered))
        for moment in [5, 6] {
            var handed = try item(1, moment: moment, note: 4)
            handed.isHanded = true
            #expect(put(memory, handed))
            let kept = memory.renewed().signals
            #expect(kept.map(\.arguments) == [[.text("told")]])
            #expect(kept.map { $0.document.first } == [moment == 5 ? 3 : 4])
        }
    }

    @Test func whatIsOnEveryReplicaMakesRoomAndNothingElse() throws {
        let memory = ReplayMemory(capacity: 2_100, replicated: true)
        for number in 1...3 { #expect(put(memory, try item(number, moment: number))) }
        #expect(!put(memory, try item(4, moment: 4)))
        let ticket = memory.ticket
        // One of two replicas lags.
        memory.note(ticket, written: 900, replicas: [900, 100])
        #expect(!put(memory, try item(4, moment: 4)))
        // The one that lags has left: it may be the one that is promoted.
        memory.note(memory.ticket, written: 900, replicas: [900])
        #expect(!put(memory, try item(4, moment: 4)))
        memory.note(memory.ticket, written: 950, replicas: [950, 900])
        #expect(put(memory, try item(4, moment: 4)))
        // More than was asked for: half of it, so that it is not asked for each time.
        #expect(moments(memory) == [3, 4])
    }

    @Test func whatWasAnsweredAfterTheQuestionIsNotCoveredByIt() throws {
        let memory = ReplayMemory(capacity: 2_100, replicated: true)
        #expect(put(memory, try item(1, moment: 1)))
        let ticket = memory.ticket
        for number in 2...3 { #expect(put(memory, try item(number, moment: number))) }
        memory.note(ticket, written: 10, replicas: [10])
        #expect(put(memory, try item(4, moment: 4)))
        #expect(!put(memory, try item(5, moment: 5)))
        // 1 is not what it was: its new state is not on a replica.
        #expect(moments(memory) == [2, 3, 4])
    }

    @Test func anEntryThatChangedIsAsNewAsItsChange() throws {
        let memory = ReplayMemory(capacity: 2_100, replicated: true)
        for number in 1...3 { #expect(put(memory, try item(number, moment: number))) }
        let ticket = memory.ticket
        // Its change needs room of its own until it is known to replace what is there.
        #expect(memory.keep([try item(1, moment: 9)], [], of: 0, now: Self.start))
        memory.note(ticket, written: 10, replicas: [10])
        #expect(put(memory, try item(4, moment: 4), try item(5, moment: 5)))
        #expect(!put(memory, try item(6, moment: 6)))
        #expect(moments(memory) == [4, 5, 9])
    }

    @Test func whatIsOldMakesRoom() throws {
        let memory = ReplayMemory(capacity: 1_400, replicated: true)
        #expect(put(memory, try item(1, moment: 1), try item(2, moment: 2)))
        #expect(!put(memory, try item(3, moment: 3), at: .seconds(30)))
        #expect(put(memory, try item(3, moment: 3), at: .seconds(31)))
        #expect(moments(memory) == [3])
    }

    @Test func nothingGrowsOldWhileTheStoreIsAway() throws {
        let memory = ReplayMemory(capacity: 1_400, replicated: true)
        #expect(put(memory, try item(1, moment: 1), try item(2, moment: 2)))
        // However long that was: nobody was answered meanwhile, and so nothing was asked for room.
        #expect(moments(memory) == [1, 2])
        memory.madeGood(now: Self.start + .seconds(100))
        // What was written again is as new as that.
        #expect(!put(memory, try item(3, moment: 3), at: .seconds(110)))
        #expect(put(memory, try item(3, moment: 3), at: .seconds(131)))
    }

    @Test func whatIsOldIsNotReplayedThoughNobodyAskedForItsRoom() throws {
        let memory = ReplayMemory(capacity: 10_000, replicated: false)
        #expect(put(memory, try item(1, moment: 1)))
        // The host goes on with its deliveries alone, and the store is open all the time.
        #expect(memory.keep([], [], of: 0, now: Self.start + .seconds(31)))
        #expect(memory.bytes == 0)
        #expect(moments(memory) == [])
        // Up to when it was open: what it answered then is not old, however long the store is away.
        #expect(put(memory, try item(2, moment: 2), at: .seconds(40)))
        #expect(moments(memory) == [2])
    }

    @Test func whatIsOldIsNotReplayedByAHostThatDeliversNothing() throws {
        let memory = ReplayMemory(capacity: 10_000, replicated: true)
        #expect(put(memory, try item(1, moment: 1)))
        // Its verification found the store open, as every 10 s.
        memory.foundOpen(now: Self.start + .seconds(31))
        #expect(moments(memory) == [])
    }

    @Test func oneCallHasRoomHoweverLargeItIs() throws {
        let memory = ReplayMemory(capacity: 1_400, replicated: true)
        #expect(memory.reserve(5_000))
        #expect(!memory.reserve(1))
        #expect(memory.keep([try item(1, moment: 1, bytes: 5_000)], [], of: 5_000))
        #expect(!put(memory, try item(2, moment: 2)))
        #expect(moments(memory) == [1])
    }

    @Test func afterTheStoreHasGoneNothingIsKept() throws {
        let memory = ReplayMemory(capacity: 10_000, replicated: true)
        #expect(memory.reserve(700))
        #expect(!memory.keep([try item(1, moment: 1)], [], of: 700) { false })
        #expect(moments(memory) == [])
        #expect(memory.reserve(10_000))
    }

    @Test func aRepeatKeepsWhatSinksWereToldOfItsVersionAndOfNoOther() throws {
        let memory = ReplayMemory(capacity: 10_000, replicated: true)
        #expect(put(memory, try item(1, moment: 5, version: 5, note: 1)))
        #expect(put(memory, try item(1, moment: 6, version: 5, note: 2, repeats: true)))
        #expect(memory.renewed().signals.first?.document.first == 1)
        // By way of another host it has changed meanwhile.
        #expect(put(memory, try item(1, moment: 8, version: 7, note: 3, repeats: true)))
        #expect(memory.renewed().signals.first?.document.first == 3)
    }

    @Test func aReplicaThatIsAwayForLongIsMissedNoMore() throws {
        let memory = ReplayMemory(capacity: 1_400, replicated: true)
        #expect(put(memory, try item(1, moment: 1), try item(2, moment: 2)))
        memory.note(memory.ticket, written: 5, replicas: [5, 0], now: Self.start)
        memory.note(memory.ticket, written: 6, replicas: [6], now: Self.start + .seconds(599))
        #expect(!put(memory, try item(3, moment: 3)))
        memory.note(memory.ticket, written: 7, replicas: [7], now: Self.start + .seconds(601))
        #expect(put(memory, try item(3, moment: 3)))
    }

    @Test func withoutReplicasTheOldestMakesRoomAndNothingIsRefused() throws {
        let memory = ReplayMemory(capacity: 1_400, replicated: false)
        for number in 1...5 { #expect(put(memory, try item(number, moment: number))) }
        #expect(moments(memory) == [4, 5])
        #expect(put(memory, try item(6, moment: 6), try item(7, moment: 7), try item(8, moment: 8)))
        #expect(put(memory, try item(9, moment: 9)))
        #expect(moments(memory) == [8, 9])
    }

    @Test func aCallThatIsUnderWayHoldsItsRoom() throws {
        let memory = ReplayMemory(capacity: 1_400, replicated: true)
        #expect(memory.reserve(1_400))
        #expect(!put(memory, try item(1, moment: 1)))
        memory.release(1_400)
        #expect(put(memory, try item(1, moment: 1)))
    }

    @Test func ofNoSizeItKeepsNothingAndRefusesNothing() throws {
        let memory = ReplayMemory(capacity: 0, replicated: true)
        #expect(put(memory, try item(1, moment: 1)))
        #expect(moments(memory) == [])
    }
}
