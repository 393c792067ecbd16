import NIOPosix
import SignalKit
import TestSupport
import Testing

@testable import Host

/// Leases and places of sources on a real store.
struct SourceStoreTests {
    private func with(_ body: (GateRig, _ host: (String) -> SourceStore) async throws -> Void) async throws {
        let rig = try await GateRig()
        let scripts = SourceScripts(rig.configuration)
        try await body(rig) { token in
            SourceStore(store: rig.store, scripts: scripts, name: "events", token: token)
        }
    }

    @Test func oneHostAtATimeHoldsTheLease() async throws {
        try await with { rig, host in
            let (one, other) = (host("one"), host("other"))
            #expect(try await one.hold(isWatching: false).isHeld)
            #expect(try await other.hold(isWatching: false).isHeld == false)
            #expect(try await one.hold(isWatching: false).isHeld)
            // It ends by itself.
            let left = try #require(try await rig.redis.command("PTTL", "{test}:lease:events").integer)
            #expect((1...10_000).contains(left))
            _ = try await rig.redis.command("DEL", "{test}:lease:events")
            #expect(try await other.hold(isWatching: false).isHeld)
            await one.release()
            #expect(try await one.hold(isWatching: false).isHeld == false)
            await other.release()
            #expect(try await one.hold(isWatching: false).isHeld)
        }
    }

    @Test func whoeverLostTheLeaseMovesNothing() async throws {
        try await with { rig, host in
            let (one, other) = (host("one"), host("other"))
            _ = try await one.hold(isWatching: false)
            try await one.move("", to: "100", remembering: [("a", "1")])
            _ = try await rig.redis.command("DEL", "{test}:lease:events")
            _ = try await other.hold(isWatching: false)
            await #expect(throws: SourceError.self) { try await one.move("", to: "200", remembering: [("b", "1")]) }
            #expect(try await other.checkpoint("") == "100")
            #expect(try await other.recall(["a", "b"]) == ["1", nil])
        }
    }

    @Test func placesAreOfTheirParts() async throws {
        try await with { _, host in
            let one = host("one")
            _ = try await one.hold(isWatching: false)
            #expect(try await one.checkpoint("shop") == nil)
            try await one.move("shop", to: "7", remembering: [])
            try await one.move("mart", to: "9", remembering: [])
            // To remember alone leaves the place as it is.
            try await one.move("shop", to: nil, remembering: [("x", "3")])
            #expect(try await one.checkpoint("shop") == "7")
            #expect(try await one.checkpoint("mart") == "9")
            #expect(try await one.recall(["x"]) == ["3"])
        }
    }

    @Test func whatIsRememberedIsFoundInTheHoursAfterAndExpires() async throws {
        try await with { rig, host in
            let one = host("one")
            _ = try await one.hold(isWatching: false)
            let many = (0..<2_500).map { (key: "k\($0)", value: "\($0)") }
            try await one.move("", to: nil, remembering: many)
            #expect(try await one.recall(many.map(\.key) + ["none"]) == many.map(\.value) + [nil])
            let keys = try await rig.redis.command("KEYS", "{test}:seen:*").list.compactMap(\.string)
            let name = try #require(keys.first)
            let slot = try #require(name.split(separator: ":").last.flatMap { Int($0) })
            let ttl = try #require(try await rig.redis.command("PTTL", name).integer)
            #expect((7_200_000...10_800_000).contains(ttl))
            // Two hours later.
            _ = try await rig.redis.command("RENAME", name, "{test}:seen:events:\(slot - 2)")
            #expect(try await one.recall(["k5"]) == ["5"])
            try await one.move("", to: nil, remembering: [("k5", "6")])
            #expect(try await one.recall(["k5", "k6"]) == ["6", "6"])
            _ = try await rig.redis.command(
                "RENAME", "{test}:seen:events:\(slot - 2)", "{test}:seen:events:\(slot - 3)")
            #expect(try await one.recall(["k5", "k6"]) == ["6", nil])
        }
    }

    @Test func theGapIsTheTimeSinceAnybodyWatched() async throws {
        try await with { rig, host in
            let (one, other) = (host("one"), host("other"))
            #expect(try await one.hold(isWatching: false).gap == nil)
            let now = try await one.hold(isWatching: true).gap
            #expect(now == .zero)
            let past = try #require(
                try await rig.redis.command("HGET", "{test}:src:events", "watched").string.flatMap { Int($0) })
            _ = try await rig.redis.command("HSET", "{test}:src:events", "watched", String(past - 90_000))
            // Also to a host that does not hold it.
            let gap = try #require(try await other.hold(isWatching: true).gap)
            #expect(gap >= .seconds(90) && gap < .seconds(200))
        }
    }
}
