import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// The sweeper, and the replay of a dead letter, failing at any of their writes, alone or with all behind it, and run again.
@Suite(.serialized) struct DeliveryFaultPositionTests {
    private typealias Rig = GateRig

    /// What sinks heard of each problem and storm: its states in order, and all ids.
    private struct Heard {
        var states: [String: [String]] = [:]
        var ids: [String] = []
    }

    private func deliver(_ rig: Rig, _ heard: inout Heard) async throws {
        for delivery in try await rig.deliver() {
            heard.ids.append(delivery.id)
            let name = delivery.kind == .storm ? "storm" : delivery.fingerprint
            heard.states[name, default: []].append("\(delivery.state)")
        }
    }

    // MARK: The sweeper

    /// Two problems that end by time, and a storm that closes and whose members end.
    private func swept(failing at: Int, _ key: String) async throws -> (Heard, wasHit: Bool) {
        let rig = try await Rig(
            storm: [Rig.section("rate", Rig.entry("count", "3"), Rig.entry("per", "1m")), Rig.entry("flush", "100ms")],
            deduplicate: [Rig.entry("retention", "10m"), Rig.entry("cooldown", "10m")])
        var heard = Heard()
        try await rig.at(.zero)
        for name in ["a", "b"] { _ = await rig.decide(try Rig.signal(name)) }
        for place in 0..<5 { _ = await rig.decide(try Rig.signal("s", target: "t\(place)", namespace: "n")) }
        try await rig.at(.seconds(1))
        try await deliver(rig, &heard)
        var wasHit = false
        for minute in [5, 12, 25, 90, 150] as [Int64] {
            try await rig.at(.minutes(minute))
            if at > 0 {
                try await rig.redis.command("SET", "{test}:\(key)", String(at))
                do {
                    if try await rig.delivery.sweep(most: 100).fault != nil { wasHit = true }
                } catch {
                    wasHit = true
                }
                try await rig.redis.command("DEL", "{test}:\(key)")
            }
            // What failed is looked at again after some seconds.
            for seconds in [0, 61] as [Int64] {
                try await rig.at(.minutes(minute) + .seconds(seconds))
                while try await rig.delivery.sweep(most: 100).more {}
            }
            try await rig.at(.minutes(minute) + .seconds(62))
            try await deliver(rig, &heard)
        }
        #expect(try await rig.delivery.storms(nil, most: 10).allSatisfy { $0.state != "open" })
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 0)
        return (heard, wasHit)
    }

    @Test(arguments: ["fault", "faults"])
    func aSweepThatFailsAtAWriteAndRunsAgainTellsTheSame(_ key: String) async throws {
        let (expected, _) = try await swept(failing: 0, key)
        #expect(expected.states.values.allSatisfy { $0.last == "resolved" })
        #expect(expected.states.count == 3 + 3)
        var (at, hits) = (1, 0)
        while at < 60 {
            let (heard, wasHit) = try await swept(failing: at, key)
            if !wasHit { break }
            hits += 1
            #expect(Set(heard.ids).count == heard.ids.count, "write \(at): \(heard.ids)")
            #expect(heard.states.mapValues(\.last) == expected.states.mapValues(\.last), "write \(at)")
            at += 1
        }
        #expect(hits > 5)
    }

    // MARK: A replay

    /// The end of an episode whose beginning was told is a dead letter, and is replayed.
    private func replayed(failing at: Int, _ key: String) async throws -> (Heard, wasHit: Bool) {
        let rig = try await Rig(deduplicate: [Rig.entry("cooldown", "10m")])
        var heard = Heard()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal())
        try await deliver(rig, &heard)
        try await rig.at(.seconds(10))
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .seconds(10)))
        let claim = try #require(try await rig.claims().first)
        #expect(try await rig.delivery.bury("file", claim, because: "no", after: .seconds(1)) == .buried)
        // Its record is gone: the letter's becomes the store's again.
        try await rig.at(.hours(1))
        while try await rig.delivery.sweep(most: 100).more {}
        let letter = try #require(try await rig.delivery.letters(origin: nil, most: 1).letters.first)
        var wasHit = false
        if at > 0 {
            try await rig.redis.command("SET", "{test}:\(key)", String(at))
            wasHit = (try? await rig.delivery.replay(letter.id)) != .queued
            try await rig.redis.command("DEL", "{test}:\(key)")
            try await eventually("an open store") { rig.store.state == .open }
            try await deliver(rig, &heard)
        }
        if wasHit || at == 0 { _ = try await rig.delivery.replay(letter.id) }
        try await deliver(rig, &heard)
        #expect(try await rig.delivery.letters(origin: nil, most: 1).letters.isEmpty)
        return (heard, wasHit)
    }

    @Test(arguments: ["fault", "faults"])
    func aReplayThatFailsAtAWriteAndRunsAgainTellsTheEnd(_ key: String) async throws {
        let (expected, _) = try await replayed(failing: 0, key)
        #expect(Array(expected.states.values) == [["firing", "resolved"]])
        var (at, hits) = (1, 0)
        while at < 40 {
            let (heard, wasHit) = try await replayed(failing: at, key)
            if !wasHit { break }
            hits += 1
            #expect(heard.states.values.map { $0.last } == ["resolved"], "write \(at): \(heard.states)")
            #expect(heard.states.values.allSatisfy { $0.first == "firing" && $0.count { $0 == "firing" } == 1 })
            at += 1
        }
        #expect(hits > 3)
    }
}
