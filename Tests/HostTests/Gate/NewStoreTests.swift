import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// A store that is new or emptied, and several hosts that may hold answers in their replay buffers.
@Suite(.serialized) struct NewStoreTests {
    private typealias Rig = GateRig

    /// An answer that is not a 503, however often the host has to be asked.
    private func answer(_ rig: Rig, _ signal: GateSignal) async throws -> GateOutcome {
        var outcome = await rig.decide(signal)[0]
        try await eventually("an answer") {
            if outcome.verdict == .unavailable { outcome = await rig.decide(signal)[0] }
            return outcome.verdict != .unavailable
        }
        return outcome
    }

    /// The same, while other hosts beat as serving hosts do. They find the store emptied after the asked one has.
    private func answer(_ rig: Rig, _ signal: GateSignal, whileBeating hosts: [Rig]) async throws -> GateOutcome {
        let beating = Task {
            while !Task.isCancelled {
                if try await rig.number("ZCARD", "{test}:hosts") == 0 { continue }
                for host in hosts { await host.gate.beat(in: host.store) }
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
        defer { beating.cancel() }
        return try await answer(rig, signal)
    }

    @Test func afterTheStoreIsEmptiedAHostWaitsForAnotherThatItNeverHeardOf() async throws {
        let redis = try await RedisServer.durable()
        let one = try await Rig(redis: redis, host: "one", clock: false)
        let two = try await Rig(redis: redis, host: "two", clock: false)
        let told = await two.decide(try Rig.signal())[0]
        #expect(told.verdict == .accepted)
        try await redis.command("FLUSHALL")
        let again = try await answer(one, try Rig.signal(), whileBeating: [two])
        #expect(again.verdict == .duplicate)
        #expect(again.episode == told.episode)
    }

    @Test func aNewHostThatMeetsAnEmptiedStoreFirstWaitsForTheOldOnes() async throws {
        let redis = try await RedisServer.durable()
        let old = try await Rig(redis: redis, host: "old", clock: false)
        let told = await old.decide(try Rig.signal())[0]
        try await redis.command("FLUSHALL")
        let new = try await Rig(redis: redis, opens: false, host: "new", clock: false)
        let again = try await answer(new, try Rig.signal(), whileBeating: [old])
        #expect(again.verdict == .duplicate)
        #expect(again.episode == told.episode)
    }

    @Test func afterAReopeningAHostStillWaitsForTheOthers() async throws {
        let redis = try await RedisServer.durable()
        let one = try await Rig(redis: redis, host: "one", clock: false)
        let two = try await Rig(redis: redis, host: "two", clock: false)
        for round in 0..<2 {
            try await redis.command("FLUSHALL")
            _ = try await answer(one, try Rig.signal("Round\(round)"), whileBeating: [two])
            let told = try await answer(two, try Rig.signal("A\(round)"), whileBeating: [one])
            try await redis.command("FLUSHALL")
            let again = try await answer(one, try Rig.signal("A\(round)"), whileBeating: [two])
            #expect(again.episode == told.episode)
        }
    }

    @Test func aHostWaitsForThoseThatItsHeartbeatHasFound() async throws {
        let redis = try await RedisServer.durable()
        let one = try await Rig(redis: redis, host: "one", clock: false)
        let time = try await redis.command("TIME").list[0].string.flatMap { Int64($0) } ?? 0
        try await redis.command("ZADD", "{test}:hosts", "\(time * 1_000 + 60_000)", "two")
        await one.gate.beat(in: one.store)
        #expect(one.store.state == .open)
        // As if the promoted replica had not had it yet.
        try await redis.command("DEL", "{test}:hosts")
        try await redis.restart()
        try await eventually("an open store") { one.witness.met == 1 && one.store.state == .open }
        #expect(one.witness.alone == [["two"]])
    }

    @Test func anIdleHostFindsOutByItsHeartbeatThatTheStoreWasEmptied() async throws {
        let rig = try await Rig(host: "one", clock: false)
        try await rig.redis.command("FLUSHALL")
        try await eventually("a loss that is told") {
            await rig.gate.beat(in: rig.store)
            return rig.witness.losses.count == 1
        }
    }

    @Test func aHostThatSharesItsStoreWithNobodyWaitsForNobody() async throws {
        // It opens within ten seconds, or the rig throws.
        let rig = try await Rig(peerWait: .minutes(1))
        #expect(try await rig.number("EXISTS", "{test}:settled") == 0)
        #expect(await rig.verdict(try Rig.signal()) == .accepted)
    }

    @Test func aHostThatComesToASettledStoreWaitsForNobody() async throws {
        let redis = try await RedisServer.durable()
        let one = try await Rig(redis: redis, host: "one", clock: false)
        #expect(one.witness.alone.isEmpty)
        _ = try await Rig(redis: redis, host: "two", clock: false, peerWait: .minutes(1))
    }
}
