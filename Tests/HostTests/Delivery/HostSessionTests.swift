import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// Sessions of hosts in the store: their numbers and tokens, their end, and the deliveries that come back.
@Suite(.serialized) struct HostSessionTests {
    private typealias Rig = GateRig

    private func session(_ rig: Rig) throws -> SessionID { try #require(rig.session.current) }

    private func join(_ rig: Rig) async throws {
        let store = rig.store
        try await rig.heartbeat.join { command throws(RedisError) in try await store.send(command) }
    }

    private func beat(_ rig: Rig) async { await rig.gate.beat(in: rig.store) }

    @Test func hostsHaveNumbersAndTokensOfTheirOwn() async throws {
        let first = try await Rig(host: "a")
        let second = try await Rig(redis: first.redis, host: "b")
        #expect(try session(first).number == 1)
        #expect(try session(second).number == 2)
        #expect(try session(first).token != session(second).token)
        #expect(try session(first).token.count == 16)
    }

    @Test func aClaimOfASessionThatIsNotInTheStoreTakesNothing() async throws {
        let rig = try await Rig(host: "a")
        _ = await rig.decide(try Rig.signal())
        let other = SessionCall(session: SessionID(number: 1, token: "0123456789abcdef"), number: 1)
        #expect(try await rig.delivery.claim("file", by: other, most: 1).claims.isEmpty)
        let absent = SessionCall(session: SessionID(number: 7, token: try session(rig).token), number: 1)
        #expect(try await rig.delivery.claim("file", by: absent, most: 1).claims.isEmpty)
        #expect(try await rig.claims().count == 1)
    }

    @Test func withoutItsSessionTheGateDecides_AndQueuesAsDue() async throws {
        let rig = try await Rig(host: "a")
        _ = try await rig.redis.command("HDEL", "{test}:sessions", "1")
        let workers = Workers(of: rig, 0)
        let answer = await rig.decide(to: workers, try Rig.signal())
        #expect(answer.outcomes.map(\.verdict) == [.accepted])
        #expect(answer.outcomes.map(\.isDispatched) == [false])
        #expect(workers.offers.count == 1)
        #expect(workers.episodes.isEmpty)
        #expect(rig.store.state == .open)
        // A promoted replica that lacks the session: the same host has it again, with what it holds.
        let before = try session(rig)
        await beat(rig)
        #expect(try session(rig) == before)
        #expect(try await rig.claims().count == 1)
    }

    @Test func aNumberThatAnotherHostHasByNowIsNotTakenBack() async throws {
        let rig = try await Rig(host: "a")
        _ = await rig.decide(try Rig.signal())
        let claims = try await rig.claims()
        let before = try session(rig)
        _ = try await rig.redis.command("HSET", "{test}:sessions", "1", "0123456789abcdef5")
        #expect(try await rig.delivery.acknowledge("file", claims) == nil)
        await beat(rig)
        let after = try session(rig)
        #expect(after.number == 2 && after.token != before.token)
        #expect(!rig.session.mayStart(claims[0].call))
    }

    @Test func aSessionThatWasEndedIsNotTakenBack() async throws {
        let rig = try await Rig(host: "a")
        let before = try session(rig)
        let seen = try #require(try await rig.redis.command("HGET", "{test}:sessions", "1").string)
        let commands = GateCommands(rig.configuration, ScriptComposer(rig.configuration))
        // It has had a heartbeat since.
        #expect(try await rig.store.send(commands.endSession(1, seen: before.token + "99")).int == 0)
        #expect(try await rig.store.send(commands.endSession(1, seen: seen)).int == 1)
        await beat(rig)
        #expect(try session(rig).number == 2)
    }

    @Test func aRestoredStoreGivesNoNumberTwice() async throws {
        let rig = try await Rig(host: "a")
        try await rig.dies()
        #expect(try session(rig).number == 2)
        // Of before that.
        _ = try await rig.redis.command("DEL", "{test}:sessions")
        await beat(rig)
        #expect(try session(rig).number == 2)
        let other = try await Rig(redis: rig.redis, host: "b")
        #expect(try session(other).number == 3)
    }

    /// The embedded store's host is the only one: whoever was there before is over.
    @Test func aHostThatIsAloneEndsAllOthersAtOnce() async throws {
        let first = try await Rig(host: "a")
        _ = await first.decide(try Rig.signal())
        #expect(try await first.claims().count == 1)
        let own = HostSession(isAlone: true)
        let heartbeat = Heartbeat(
            host: "", commands: GateCommands(first.configuration, ScriptComposer(first.configuration)), session: own)
        let store = first.store
        try await heartbeat.join { command throws(RedisError) in try await store.send(command) }
        #expect(own.current?.number == 2)
        let call = try #require(own.nextCall())
        let found = try await first.delivery.claim("file", by: call, most: 1)
        #expect(found.claims.map(\.attempt) == [2])
    }

    @Test func aHostThatStopsLeavesNothingInFlight() async throws {
        let first = try await Rig(host: "a")
        let second = try await Rig(redis: first.redis, host: "b")
        _ = await first.decide(try Rig.signal())
        #expect(try await first.claims().count == 1)
        await first.heartbeat.end(in: first.store)
        #expect(try await second.claims().map(\.attempt) == [2])
    }

    /// What is in flight at a session that nobody knows: its host's session went with an older file.
    @Test func recoveryGoesByTheQueues() async throws {
        let rig = try await Rig(sinks: [("file", .refuse), ("other", .refuse)], host: "a")
        let (mine, theirs) = (try Rig.signal("A").fingerprint.bytes, try Rig.signal("B").fingerprint.bytes)
        for sink in ["file", "other"] {
            let queue = Array("{test}:q:\(sink)".utf8)
            for (score, member) in [(-(1 << 28 + 5), mine), (-(77 << 28 + 5), theirs), (-(78 << 28 + 1), [1])] {
                _ = try await rig.answer("ZADD", [queue, Array(String(score).utf8), member])
            }
        }
        await beat(rig)
        for sink in ["file", "other"] {
            #expect(try await rig.number("ZCOUNT", "{test}:q:\(sink)", "-inf", "(0") == 1)
            #expect(try await rig.number("ZCOUNT", "{test}:q:\(sink)", "0", "+inf") == 2)
        }
    }

    @Test func whatASlowHostHoldsIsInFlightAgainInAStoreThatLacksIt() async throws {
        let rig = try await Rig(host: "a")
        for name in ["A", "B", "C"] { _ = await rig.decide(try Rig.signal(name)) }
        let claims = try await rig.claims()
        // The promoted replica has A as due, B in flight, and C not at all.
        _ = try await rig.answer("ZADD", [Array("{test}:q:file".utf8), Array("1".utf8), claims[0].member.bytes])
        _ = try await rig.answer("ZREM", [Array("{test}:q:file".utf8), claims[2].member.bytes])
        let held = claims.map { HeldDelivery(sink: "file", member: $0.member.bytes, call: $0.call) }
        let commands = GateCommands(rig.configuration, ScriptComposer(rig.configuration))
        #expect(try await rig.store.send(commands.adopt(held[...], at: try session(rig))).int == 1)
        #expect(try await rig.claims().isEmpty)
        #expect(try await rig.delivery.acknowledge("file", claims) == [.settled, .settled, .lost])
    }

    @Test func aHostThatComesBackToAStoreHasInFlightThereWhatItHolds() async throws {
        let rig = try await Rig(host: "a")
        _ = await rig.decide(try Rig.signal())
        let claims = try await rig.claims()
        #expect(claims.count == 1)
        let held = claims.map { HeldDelivery(sink: "file", member: $0.member.bytes, call: $0.call) }
        rig.gate.dispatches(to: Holding(held: held))
        // As in a promoted replica that lacks the claim.
        _ = try await rig.answer("ZADD", [Array("{test}:q:file".utf8), Array("1".utf8), claims[0].member.bytes])
        rig.redis.kill()
        try await eventually("a shut store") { rig.store.state != .open }
        try await rig.redis.restart()
        try await eventually("an open store") { rig.store.state == .open }
        #expect(try await rig.claims().isEmpty)
        #expect(try await rig.delivery.acknowledge("file", claims) == [.settled])
    }

    /// Workers that hold some deliveries, and take no more.
    private struct Holding: DirectDispatch {
        let held: [HeldDelivery]
        var keepsUp: Bool { true }
        func offer(_ capacity: Int) -> DispatchOffer? { nil }
        func dispatch(_ episodes: [DispatchedEpisode], isKnown: Bool, of offer: DispatchOffer, born: Int64) {}
        func held(at session: SessionID) -> [HeldDelivery] { held }
    }

    /// A late call of the same session: it was released, and claimed again.
    @Test func theCallInTheScoreFencesWhatComesLate() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal())
        let first = try await rig.claims()
        try await rig.delivery.release("file", first.map(\.held), of: first[0].call.session)
        let second = try await rig.claims()
        #expect(second.map(\.attempt) == [2])
        #expect(try await rig.delivery.acknowledge("file", first) == [.lost])
        #expect(try await rig.retry(first[0], after: .seconds(1)) == false)
        #expect(try await rig.delivery.bury("file", first[0], because: "no", after: .seconds(1)) == .lost)
        try await rig.delivery.release("file", first.map(\.held), of: first[0].call.session)
        #expect(try await rig.claims().isEmpty)
        #expect(try await rig.delivery.acknowledge("file", second) == [.settled])
    }

    /// One poison delivery does not bury its neighbours.
    @Test func whatWasInFlightWhenThreeSessionsEndedIsDeliveredAlone() async throws {
        let rig = try await Rig(host: "a")
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("A"))
        for round in 1...3 {
            #expect(try await rig.claims().map(\.attempt) == [round])
            try await rig.dies()
        }
        try await rig.at(.seconds(1))
        for name in ["B", "C"] { _ = await rig.decide(try Rig.signal(name)) }
        let alone = try await rig.delivery.claim("file", by: rig.call(), most: 10)
        #expect(alone.claims.map(\.ended) == [3])
        #expect(alone.claims.map(\.isAlone) == [true])
        #expect(alone.claims.map(\.counted) == [1])
        #expect(alone.more)
        let others = try await rig.delivery.claim("file", by: rig.call(), most: 10)
        #expect(others.claims.map(\.attempt) == [1, 1])
    }

    @Test(arguments: ["x", "-5", "1e300", "1.5", "1 x", "12345678", "1 12345678"])
    func attemptsThatCantBeReadAreOne(_ text: String) async throws {
        let rig = try await Rig()
        _ = await rig.decide(try Rig.signal())
        let member = try Rig.signal().fingerprint.bytes
        _ = try await rig.answer("HSET", [Array("{test}:a:file".utf8), member, Array(text.utf8)])
        let found = try await rig.claims()
        #expect(found.map(\.attempt) == [2])
        try await rig.dies()
        #expect(try await rig.claims().map { [$0.failed, $0.ended] } == [[1, 1]])
    }
}
