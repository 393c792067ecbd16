import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// Queues, their bounds, and what a fault leaves behind: nothing.
@Suite(.serialized) struct PersistTests {
    private typealias Rig = GateRig

    /// Every key with its content, but for the clock.
    private func everything(_ rig: Rig) async throws -> [String] {
        var found: [String] = []
        for key in try await rig.redis.command("KEYS", "*").list.compactMap(\.string) where key != "{test}:clock" {
            found.append("\(key) \(try await rig.redis.command("DUMP", key))")
        }
        return found.sorted()
    }

    @Test func aFullBacklogIsRefusedWithoutAnyWrite() async throws {
        let rig = try await Rig(backlog: 2)
        _ = await rig.decide(try Rig.signal("A"), try Rig.signal("B"))
        let before = try await everything(rig)
        let refused = await rig.decide(try Rig.signal("C"))[0]
        #expect(refused.verdict == .unavailable)
        #expect(refused.policy == "persist")
        #expect(refused.detail == "persistence service unavailable: backlog of file full")
        #expect(try await everything(rig) == before)
        // What is queued already needs no room.
        #expect(await rig.verdict(try Rig.signal("A")) == .duplicate)
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(1))) == .resolved)
        _ = try await rig.deliver()
        #expect(await rig.verdict(try Rig.signal("C")) == .accepted)
    }

    @Test func aFullBacklogRefusesAnEndToo() async throws {
        let rig = try await Rig(backlog: 1)
        _ = await rig.decide(try Rig.signal("A"))
        _ = try await rig.deliver()
        _ = await rig.decide(try Rig.signal("B"))
        let refused = await rig.decide(try Rig.signal("A", .resolved, ends: .minutes(1)))[0]
        #expect(refused.verdict == .unavailable)
        #expect(refused.detail == "persistence service unavailable: backlog of file full")
        _ = try await rig.deliver()
        #expect(await rig.verdict(try Rig.signal("A", .resolved, ends: .minutes(1))) == .resolved)
    }

    @Test func aSinkThatDeadLettersWhenFullDoesNotHoldUpTheOthers() async throws {
        let rig = try await Rig(sinks: [("slow", .deadLetter), ("file", .refuse)], backlog: 1)
        _ = await rig.decide(try Rig.signal("A"))
        _ = try await rig.deliver("file")
        #expect(await rig.verdict(try Rig.signal("B")) == .accepted)
        #expect(try await rig.deliver("file").map(\.signal?.name) == ["B"])
        let letters = try await rig.delivery.letters(origin: nil, most: 10)
        #expect(letters.total == 1)
        #expect(letters.letters.map(\.origin) == ["sink/slow"])
        #expect(letters.letters.map(\.reason) == ["backlog full"])
        _ = try await rig.deliver("slow")
        // Replayed, it takes the road it could not take.
        #expect(try await rig.delivery.replay(letters.letters[0].id) == .queued)
        let replayed = try await rig.deliver("slow")
        #expect(replayed.map(\.state) == [.firing])
        #expect(replayed.map { $0.signal?.name } == ["B"])
        #expect(try await rig.delivery.letters(origin: nil, most: 10).total == 0)
    }

    @Test func whenTheDeadLettersAreFullTooTheSignalIsRefused() async throws {
        let rig = try await Rig(sinks: [("slow", .deadLetter)], backlog: 1, letters: 1)
        _ = await rig.decide(try Rig.signal("A"), try Rig.signal("B"))
        let before = try await everything(rig)
        let refused = await rig.decide(try Rig.signal("C"))[0]
        #expect(refused.detail == "persistence service unavailable: backlog and dead letters of slow full")
        #expect(try await everything(rig) == before)
    }

    @Test func theFaultOfOneSignalLeavesTheOthersOfItsBatchAlone() async throws {
        let rig = try await Rig()
        let bad = try Rig.signal("Bad")
        _ = await rig.decide(bad)
        let key = try #require(try await rig.redis.command("KEYS", "{test}:r:*").list.first?.string)
        #expect(!key.isEmpty)
        try await rig.redis.command(
            "EVAL",
            "local k = redis.call('KEYS', '{test}:r:*')[1] redis.call('DEL', k) return redis.call('RPUSH', k, 'x')", "0"
        )
        let outcomes = await rig.decide(try Rig.signal("A"), bad, try Rig.signal("B"))
        #expect(outcomes.map(\.verdict) == [.accepted, .unavailable, .accepted])
        #expect(outcomes[1].detail == "deduplication service unavailable")
        #expect(rig.store.state == .open)
    }

    @Test func aRecordOfAnotherFormatIsUnavailableAndNotTouched() async throws {
        let rig = try await Rig()
        _ = await rig.decide(try Rig.signal())
        try await rig.redis.command(
            "EVAL", "return redis.call('SET', redis.call('KEYS', '{test}:r:*')[1], 'nonsense')", "0")
        #expect(await rig.verdict(try Rig.signal()) == .unavailable)
        #expect(
            try await rig.redis.command("EVAL", "return redis.call('GET', redis.call('KEYS', '{test}:r:*')[1])", "0")
                .string == "nonsense")
    }

    @Test func eachStepThatFailsIsNamed() async throws {
        let rig = try await Rig()
        try await rig.redis.command("SET", "{test}:q:file", "no queue")
        #expect(await rig.decide(try Rig.signal())[0].detail == "persistence service unavailable")
        try await rig.redis.command("DEL", "{test}:q:file")
        _ = await rig.decide(try Rig.signal())
        try await rig.redis.command(
            "EVAL",
            "local k = redis.call('KEYS', '{test}:g:*')[1] redis.call('DEL', k) return redis.call('RPUSH', k, 'x')", "0"
        )
        let same = try Rig.signal("A", target: "other")
        let other = await rig.decide(same)[0]
        #expect(other.detail == "storm detection service unavailable")
    }

    // MARK: The clock

    /// However many signals a call has: a busy store's clock that ran ahead of time would end everything too early.
    @Test func aCallMovesTheClockByOneWhenItChangesSomething() async throws {
        let rig = try await Rig()
        let signals = try (0..<64).map { try Rig.signal("A\($0)") }
        // Ahead of the time, it goes by itself.
        try await rig.set(clock: Rig.reading(.seconds(1)))
        for round in 0..<3 {
            let before = try await rig.number("GET", "{test}:clock") ?? 0
            let outcomes = await rig.gate.decide(signals, [], in: rig.store, on: nil).outcomes
            #expect(outcomes.allSatisfy { $0.verdict == (round == 0 ? .accepted : .duplicate) })
            #expect(try await rig.number("GET", "{test}:clock") == before + (round == 0 ? 1 : 0))
        }
        let before = try await rig.number("GET", "{test}:clock") ?? 0
        #expect(try await rig.claims().count == 64)
        #expect(try await rig.number("GET", "{test}:clock") == before, "a claim changes nothing that sinks hear of")
    }

    @Test func theClockNeverRepeatsOrGoesBackWhenTimeDoes() async throws {
        let rig = try await Rig()
        // A clock far ahead of TIME is what a host sees after TIME has gone back.
        var last: Int64 = 0
        for round in 0..<20 {
            // One problem three times, and another: no two states of a problem, and no two calls, have the same reading.
            let outcomes = await rig.decide(
                try Rig.signal("A\(round)"), try Rig.signal("A\(round)", .resolved), try Rig.signal("A\(round)"),
                try Rig.signal("B\(round)"))
            let episodes = outcomes.map { $0.episode ?? 0 }
            #expect(episodes[0] > last && episodes[3] > last)
            #expect(episodes[2] >= episodes[0] + 2)
            last = try #require(episodes.max())
            #expect(try await rig.number("GET", "{test}:clock") == last)
        }
        #expect(last >= Rig.reading(.zero))
        #expect(try await rig.number("GET", "{test}:clock") ?? 0 >= last)
        // And it follows TIME when that is ahead.
        try await rig.redis.command("SET", "{test}:clock", "1")
        #expect(await rig.decide(try Rig.signal("Z"))[0].episode ?? 0 >= Rig.reading(.zero))
    }

    @Test func anUnreadableClockIsUnavailable() async throws {
        let rig = try await Rig()
        try await rig.redis.command("SET", "{test}:clock", "tomorrow")
        #expect(await rig.verdict(try Rig.signal()) == .unavailable)
        #expect(try await rig.number("EXISTS", "{test}:due") == 0)
    }

    /// A demoted master must not answer, and `WAIT` waits for writes only.
    @Test func aCallThatChangesNothingIsAWrite() async throws {
        let rig = try await Rig()
        _ = await rig.decide(try Rig.signal(starts: .zero))
        _ = await rig.decide(try Rig.signal("A", .resolved, starts: .zero, ends: .seconds(1)))
        func changes() async throws -> String? {
            let info = try await rig.redis.command("INFO", "persistence").string ?? ""
            return info.split(whereSeparator: \.isNewline).first { $0.hasPrefix("rdb_changes") }.map(String.init)
        }
        let before = try await changes()
        #expect(await rig.verdict(try Rig.signal("A", .resolved, starts: .zero, ends: .seconds(1))) == .duplicate)
        #expect(try await changes() != before)
    }

    // MARK: Large requests

    @Test func aRequestOfAnySizeIsDecidedInOrder() async throws {
        let rig = try await Rig(backlog: 10_000)
        let signals = try (0..<1_500).map { try Rig.signal("A\($0)") }
        let answer = await rig.gate.decide(signals + signals, [], in: rig.store, on: nil)
        #expect(
            answer.outcomes.map(\.verdict) == [Verdict](repeating: .accepted, count: 1_500)
                + [Verdict](repeating: .duplicate, count: 1_500))
        #expect(answer.outcomes[..<1_500].map(\.episode) == answer.outcomes[1_500...].map(\.episode))
    }

    // MARK: Dead letters of adapters

    private func letter(_ index: Int, _ reason: String = "startsAt: not a time") -> GateDeadLetter {
        GateDeadLetter(
            origin: "prometheus",
            item: RejectedItem(index: index, reason: reason, replay: Array("{\"n\":\(index)}".utf8)),
            receivedAt: Timestamp(milliseconds: 1))
    }

    @Test func aPoisonItemIsOneDeadLetterWithACount() async throws {
        let rig = try await Rig()
        for _ in 0..<3 {
            let answer = await rig.gate.decide([], [letter(1), letter(2)], in: rig.store, on: nil)
            #expect(answer.deadLettersStored)
        }
        let stored = try await rig.delivery.letters(origin: "adapter/prometheus", most: 10)
        #expect(stored.total == 2)
        #expect(stored.letters.map(\.count) == [3, 3])
        guard case .adapter(let origin, let item, _) = try await rig.delivery.replay(stored.letters[0].id) else {
            Issue.record("no adapter's letter")
            return
        }
        #expect(origin == "adapter/prometheus")
        #expect(String(decoding: item, as: UTF8.self).hasPrefix("{\"n\":"))
    }

    @Test func pastTheCapNothingIsTrimmedAndTheSenderIsTold() async throws {
        let rig = try await Rig(letters: 3)
        let answer = await rig.gate.decide([], (0..<4).map { letter($0) }, in: rig.store, on: nil)
        #expect(!answer.deadLettersStored)
        #expect(answer.deadLetterDetail.contains("dead letter"))
        #expect(answer.deadLettersWithoutRoom == 1 && !answer.deadLettersUnavailable)
        #expect(try await rig.delivery.letters(origin: nil, most: 10).total == 3)
        let known = await rig.gate.decide([], [letter(0)], in: rig.store, on: nil)
        #expect(known.deadLettersStored)
    }
}
