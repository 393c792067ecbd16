import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// Claims that nobody heard of, and what failed, in the store: none waits for the end of its lease.
@Suite(.serialized) struct GiveBackTests {
    private typealias Rig = GateRig

    private func claim(_ rig: Rig, _ ticket: ClaimTicket) async throws -> [Claim] {
        try await rig.delivery.claim("file", as: ticket, most: 10).claims
    }

    private func giveBack(_ rig: Rig, _ ticket: ClaimTicket) async throws {
        try await rig.delivery.giveBack("file", claim: ticket, [])
    }

    @Test func aClaimThatNobodyHeardOfIsDueAtOnceAndWasNoAttempt() async throws {
        let rig = try await Rig()
        for name in ["A", "B"] { _ = await rig.decide(try Rig.signal(name)) }
        var mine = ClaimTicket()
        let lost = try await claim(rig, mine.next())
        #expect(lost.map(\.attempt) == [1, 1])
        #expect(try await rig.claims().isEmpty)
        try await giveBack(rig, mine)
        let found = try await rig.claims()
        #expect(Set(found.map(\.member)) == Set(lost.map(\.member)))
        #expect(found.map(\.attempt) == [1, 1])
        // What the first claim says now counts for nothing.
        #expect(try await rig.delivery.acknowledge("file", lost) == [.lost, .lost])
        #expect(try await rig.delivery.acknowledge("file", found) == [.settled, .settled])
    }

    @Test func attemptsThatWereMadeStillCount() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal())
        #expect(try await rig.retry(try await rig.claims()[0], after: .seconds(1)))
        try await rig.at(.seconds(2))
        var mine = ClaimTicket()
        #expect(try await claim(rig, mine.next()).map(\.attempt) == [2])
        try await giveBack(rig, mine)
        #expect(try await rig.claims().map(\.attempt) == [2])
    }

    /// The store may never have seen the claim whose answer is missing; what the claimer took before it is being delivered.
    @Test func onlyTheVeryClaimIsGivenBack() async throws {
        let rig = try await Rig()
        var (mine, others) = (ClaimTicket(), ClaimTicket())
        _ = await rig.decide(try Rig.signal("A"))
        let held = try await claim(rig, mine.next())
        _ = await rig.decide(try Rig.signal("B"))
        let other = try await claim(rig, others.next())
        try await giveBack(rig, mine.next())
        // One that has taken nothing yet, and one that took nothing.
        try await giveBack(rig, ClaimTicket())
        #expect(try await claim(rig, mine.next()).isEmpty)
        try await giveBack(rig, mine)
        #expect(try await rig.claims().isEmpty)
        #expect(try await rig.delivery.acknowledge("file", held + other) == [.settled, .settled])
    }

    @Test func whatSomebodyElseHasSinceIsTheirs() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        var mine = ClaimTicket()
        _ = await rig.decide(try Rig.signal())
        #expect(try await claim(rig, mine.next()).count == 1)
        try await rig.at(.seconds(61))
        let theirs = try await rig.claims()
        #expect(theirs.map(\.attempt) == [2])
        try await giveBack(rig, mine)
        #expect(try await rig.delivery.acknowledge("file", theirs) == [.settled])
    }

    @Test func nothingIsKeptOfAClaimerForLongerThanALease() async throws {
        let rig = try await Rig()
        var mine = ClaimTicket()
        _ = try await claim(rig, mine.next())
        let key = Array("{test}:c:".utf8) + mine.claimer
        #expect(try await rig.store.send(RedisCommand("EXISTS").adding(key)).int == 0)
        for name in ["A", "B"] {
            _ = await rig.decide(try Rig.signal(name))
            #expect(try await claim(rig, mine.next()).count == 1)
        }
        let life = try #require(try await rig.store.send(RedisCommand("PTTL").adding(key)).int)
        #expect((1...60_000).contains(life))
    }

    /// What a connection that was given up still holds may come to the store late.
    @Test func aClaimThatWasGivenBackTakesNothingAnyMore() async throws {
        let rig = try await Rig()
        var mine = ClaimTicket()
        _ = await rig.decide(try Rig.signal())
        let late = mine.next()
        try await giveBack(rig, late)
        #expect(try await claim(rig, late).isEmpty)
        #expect(try await claim(rig, mine.next()).map(\.attempt) == [1])
        // Nor does it undo what came after it.
        try await giveBack(rig, late)
        #expect(try await claim(rig, late).isEmpty)
        #expect(try await rig.claims().isEmpty)
    }

    /// A host had it in its hands and is gone: somebody may have been told, whoever claims it then.
    @Test func whatWasHandedOverBeforeStillCountsAsTried() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(to: Hands(0), try Rig.signal())
        try await rig.at(.seconds(61))
        for _ in 0..<2 {
            var mine = ClaimTicket()
            #expect(try await claim(rig, mine.next()).map(\.attempt) == [2])
            try await giveBack(rig, mine)
        }
    }

    /// It has its own minute, which ends at the same time as the claim's, and is none of it.
    @Test func whatCouldNotBeReadIsNoneOfTheClaim() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        for name in ["A", "B"] { _ = await rig.decide(try Rig.signal(name)) }
        let broken = try Rig.signal("A").fingerprint.bytes
        let record = Array("{test}:r:".utf8) + broken
        let kept = try #require(try await rig.store.send(RedisCommand("GET").adding(record)).bytesValue)
        _ = try await rig.store.send(RedisCommand("SET").adding(record).adding([1]))
        _ = try await rig.store.send(
            RedisCommand("HSET").adding(Array("{test}:a:file".utf8)).adding(broken).adding(Array("1".utf8)))
        var mine = ClaimTicket()
        let other = QueueMember(try Rig.signal("B").fingerprint.bytes)
        #expect(try await claim(rig, mine.next()).map(\.member) == [other])
        try await giveBack(rig, mine)
        _ = try await rig.store.send(RedisCommand("SET").adding(record).adding(kept))
        #expect(try await rig.claims().map(\.member) == [other])
        try await rig.at(.seconds(61))
        let found = try await rig.claims()
        #expect(Set(found.map(\.member)) == [QueueMember(broken), other])
        #expect(found.map(\.attempt) == [2, 2])
    }

    /// What is not of this code's making in the store is no reason to stop, and says of nothing whose it is. `n`, `t` and `m`
    /// stand for what the right one has.
    @Test(arguments: [
        ("SET", "n t m", true), ("SET", "", false), ("SET", "n", false), ("SET", "n t ", false),
        ("SET", "x t m", false), ("SET", "-n t m", false), ("SET", "99999999999999999999 t m", false),
        ("SET", "n 1e300 m", false), ("SET", "n 40000000600000000 m", false), ("SET", "n t zm", false),
        ("SADD", "n t m", false),
    ])
    func aTicketThatCantBeReadGivesNothingBack(_ command: String, _ text: String, _ isRight: Bool) async throws {
        let rig = try await Rig()
        var mine = ClaimTicket()
        _ = await rig.decide(try Rig.signal())
        let held = try await claim(rig, mine.next())
        let key = Array("{test}:c:".utf8) + mine.claimer
        let words: [Character: [UInt8]] = [
            "n": Array("1".utf8), "t": Array(String(held[0].token.ticks).utf8), "m": [32] + held[0].member.bytes,
        ]
        _ = try await rig.store.send(RedisCommand("DEL").adding(key))
        _ = try await rig.store.send(
            RedisCommand(command).adding(key).adding(text.flatMap { words[$0] ?? Array(String($0).utf8) }))
        try await giveBack(rig, mine)
        #expect(try await rig.claims().count == (isRight ? 1 : 0))
        // The next claim is not held up by it.
        _ = await rig.decide(try Rig.signal("B"))
        #expect(try await claim(rig, mine.next()).count == 1)
    }

    @Test(arguments: ["x", "-5", "1e300", "1.5"])
    func attemptsThatCantBeReadAreOne(_ text: String) async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(to: Hands(0), try Rig.signal())
        let count = RedisCommand("HSET").adding(Array("{test}:a:file".utf8))
            .adding(try Rig.signal().fingerprint.bytes).adding(Array(text.utf8))
        try await rig.at(.seconds(61))
        _ = try await rig.store.send(count)
        var mine = ClaimTicket()
        #expect(try await claim(rig, mine.next()).map(\.attempt) == [3])
        _ = try await rig.store.send(count)
        try await giveBack(rig, mine)
        let found = try await rig.claims()
        #expect(found.map(\.attempt) == [1])
        _ = try await rig.store.send(count)
        #expect(try await rig.retry(found[0], after: .seconds(1)))
        try await rig.at(.seconds(63))
        #expect(try await rig.claims().map(\.attempt) == [2])
    }

    @Test func afterALostAnswerLessIsAskedFor() {
        var claimer = SinkWorker.Claimer()
        #expect(claimer.most == 256)
        for expected in [128, 64, 32, 16, 8, 4, 2, 1, 1] {
            claimer.lost(claimer.ticket.next(), RedisError(.timedOut, "late"))
            #expect(claimer.most == expected)
            #expect(claimer.lost?.number == claimer.ticket.number)
        }
        for expected in [9, 17, 25] {
            claimer.heard()
            #expect(claimer.most == expected)
        }
        for _ in 0..<40 { claimer.heard() }
        #expect(claimer.most == 256)
        claimer.lost(claimer.ticket.next(), RedisError(.shut, "not sent"))
        #expect(claimer.lost != nil && claimer.most == 256)
        claimer.lost = nil
        claimer.lost(claimer.ticket.next(), RedisError(.garbage, "no answer of ours"))
        #expect(claimer.lost == nil)
    }

    @Test func ofManyThatFailedEachIsPutBackByItself() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        for name in ["A", "B", "C"] { _ = await rig.decide(try Rig.signal(name)) }
        let claims = try await rig.claims()
        #expect(try await rig.delivery.acknowledge("file", [claims[1]]) == [.settled])
        let failed = zip(claims, [5, 5, 60]).map { FailedDelivery(claim: $0, delay: .seconds($1)) }
        #expect(try await rig.delivery.retry("file", failed) == [.kept, .lost, .kept])
        #expect(try await rig.delivery.retry("file", failed) == [.lost, .lost, .lost])
        try await rig.at(.seconds(6))
        #expect(try await rig.claims().map(\.member) == [claims[0].member])
    }
}

extension RedisCommand {
    fileprivate func adding(_ bytes: [UInt8]) -> RedisCommand {
        var command = self
        command.add(bytes)
        return command
    }
}
