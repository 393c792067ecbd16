import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// Two versions of the program on one store: the version of what is stored, and who may use it.
@Suite(.serialized) struct SchemaTests {
    private typealias Rig = GateRig

    /// The verification of a program that reads these versions.
    private func verify(_ rig: Rig, highest: Int, lowest: Int) async throws -> RedisValue {
        try await rig.store.send(
            [
                .evalsha(
                    rig.gate.verification.canary, keys: ["{test}:clock"],
                    arguments: ["", "25000", String(highest), String(lowest)])
            ])[0]
    }

    private func version(_ rig: Rig) async throws -> String? {
        try await rig.redis.command("GET", "{test}:schema").string
    }

    @Test func aNewStoreHasTheVersionOfItsFirstHost() async throws {
        let rig = try await Rig(host: "a")
        #expect(try await version(rig) == "1")
    }

    @Test(arguments: ["2", "0", "x"])
    func aVersionThatAProgramDoesNotReadKeepsItOut(_ version: String) async throws {
        let redis = try await RedisServer.durable()
        try await redis.command("SET", "{test}:schema", version)
        let rig = try await Rig.shut(on: redis)
        try await eventually("a reason") {
            guard case .shut(let reason) = rig.store.state else { return false }
            return reason.code == .rejected
                && reason.message.contains("version \(version) of the schema, and this program reads 1 to 1")
        }
        #expect(try await self.version(rig) == version)
    }

    /// The store's version changes under a host that runs: it takes nothing any more.
    @Test func aHostThatRunsIsShutOut() async throws {
        let rig = try await Rig(host: "a")
        try await rig.redis.command("SET", "{test}:schema", "2")
        try await eventually("a shut store", within: .seconds(30)) {
            guard case .shut(let reason) = rig.store.state else { return false }
            return reason.code == .rejected
        }
        #expect(await rig.verdict(try Rig.signal()) == .unavailable)
    }

    @Test func inARollingUpdateTheVersionIsRaisedWhenTheLastOldHostIsGone() async throws {
        let rig = try await Rig(host: "a")
        // A newer program comes: it works in the old version while an old one lives.
        #expect(try await verify(rig, highest: 2, lowest: 1).list != nil)
        #expect(try await version(rig) == "1")
        await rig.heartbeat.end(in: rig.store)
        #expect(try await verify(rig, highest: 2, lowest: 1).list != nil)
        #expect(try await version(rig) == "2")
    }

    @Test func aProgramThatDoesNotReadTheOldVersionDoesNotStart() async throws {
        let rig = try await Rig(host: "a")
        #expect(try await verify(rig, highest: 3, lowest: 2).serverError?.code == .rejected)
        #expect(try await version(rig) == "1")
    }
}
