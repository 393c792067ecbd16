import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// Storms that a sink was told of, in a store that is not the one that said so.
@Suite(.serialized) struct StormReplayTests {
    private typealias Rig = GateRig

    private func member(_ number: Int, _ status: Signal.Status = .firing) throws -> GateSignal {
        try Rig.signal("S", status, target: "pod\(number)")
    }

    private func storms(_ rig: Rig) async throws -> [Delivery] {
        let claims = try await rig.claims()
        if !claims.isEmpty { _ = try await rig.delivery.acknowledge("file", claims) }
        return claims.map(\.delivery).filter { $0.kind == .storm }
    }

    private func opens(_ rig: Rig, after replays: Int) async throws {
        try await eventually("a replay") { rig.witness.replays.count > replays && rig.store.state == .open }
    }

    @Test func aSecondChangeOfStoresLeavesNoSinkWithAnOpenStormThatIsOver() async throws {
        let rig = try await Rig(storm: [Rig.section("rate", Rig.entry("count", "2"), Rig.entry("per", "1m"))])
        for number in 0...3 { _ = await rig.decide(try member(number)) }
        #expect(try await storms(rig).map(\.state) == [.open])
        for number in 0...3 { _ = await rig.decide(try member(number, .resolved)) }
        try await rig.at(.minutes(5))
        _ = try await rig.delivery.sweep(most: 10)
        let over = try await storms(rig)
        #expect(over.map(\.state) == [.resolved])
        let files = rig.redis.directory.file("appendonlydir")
        try await ChildProcess.run("cp", ["-a", files, files + ".older"])

        // The first change: the storm is made anew of its members, and the sink hears that it is open.
        try await rig.redis.command("FLUSHALL")
        _ = await rig.decide(try Rig.signal("Witness"))
        try await opens(rig, after: 0)
        try await rig.at(.minutes(6))
        let told = try #require(try await storms(rig).first)
        #expect(told.state == .open)
        #expect(told.version > over[0].version)

        // The second one: in this store it is over, with an older version.
        rig.redis.kill()
        Files.remove(files)
        try await ChildProcess.run("mv", [files + ".older", files])
        try await rig.redis.start()
        try await opens(rig, after: 1)
        try await rig.at(.minutes(7))
        let last = try #require(try await storms(rig).first)
        #expect(last.state == .resolved)
        #expect(last.episode == told.episode)
        #expect(last.version > told.version)
    }

    @Test func aStormThatIsRestoredWithTheClockAheadEndsByTheTime() async throws {
        let rig = try await Rig(storm: [Rig.section("rate", Rig.entry("count", "2"), Rig.entry("per", "1m"))])
        try await rig.set(clock: Rig.reading(.hours(1)))
        for number in 0...3 { _ = await rig.decide(try member(number)) }
        #expect(try await storms(rig).map(\.state) == [.open])
        try await rig.redis.command("FLUSHALL")
        try await rig.at(.seconds(1))
        _ = await rig.decide(try Rig.signal("Witness"))
        try await opens(rig, after: 0)
        let restored = try #require(try await rig.delivery.storms(nil, most: 1).first)
        #expect(restored.state == "open")
        // Past `quiet`, and far from the hour.
        try await rig.at(.minutes(20))
        _ = try await rig.delivery.sweep(most: 10)
        #expect(try await rig.delivery.storms(restored.id, most: 1).first?.state == "closed")
    }

    @Test func theHighestVersionOfEachStormIsKept() {
        let memory = ReplayMemory(capacity: 1 << 20, replicated: false)
        func storm(_ id: UInt8, _ version: Int64) -> ReplayMemory.Storm { .init(id: [id], version: version) }
        #expect(memory.keep([], [], [storm(1, 5), storm(2, 9)], of: 0))
        #expect(memory.keep([], [], [storm(1, 7), storm(2, 8)], of: 0))
        #expect(memory.renewed().storms.sorted { $0.id[0] < $1.id[0] } == [storm(1, 7), storm(2, 9)])
    }
}
