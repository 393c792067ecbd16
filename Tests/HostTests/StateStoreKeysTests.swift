import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// The keys of docs/state-store.md, held against the sources and a real store.
@Suite(.serialized) struct StateStoreKeysTests {
    private typealias Rig = GateRig

    @Test func thePageHasEveryFamilyOfKeysThatTheSourcesName() throws {
        var named: Set<String> = []
        for path in Repository.files() where path.hasPrefix("Sources/") {
            let marks =
                path.hasSuffix(".lua")
                ? ["kit.key('", "base .. '"] : path.hasSuffix(".swift") ? ["\"{\\(", "kit.key('"] : []
            guard !marks.isEmpty else { continue }
            let text = try Repository.text(path)
            for mark in marks {
                for piece in text.pieces(after: mark, while: { $0 != "'" && $0 != "\"" }) {
                    // Of Swift: the prefix, a brace, a colon.
                    let parts = mark == "\"{\\(" ? piece.split(separator: "}:", maxSplits: 1) : ["", piece[...]]
                    if parts.count == 2 { named.insert(familyOfKey(String(parts[1]))) }
                }
            }
        }
        let listed = Set(try StatePage().families().keys)
        #expect(named.subtracting(listed).sorted() == [], "not on the page")
        #expect(listed.subtracting(named).sorted() == [], "in no source")
    }

    /// Everything that makes keys, at a store whose keys nothing deletes meanwhile.
    @Test func thePageHasEveryKeyThatAStoreHolds() async throws {
        let rig = try await Rig(
            storm: [Rig.section("rate", Rig.entry("count", "1"), Rig.entry("per", "1m"))], plugin: Remembering(),
            host: "a", peerWait: .milliseconds(100))
        try await replayBuffer(rig)
        try await deliveries(rig)
        try await storms(rig)
        try await sources(rig)
        try await unqueued(rig)

        let families = try StatePage().families()
        let found = try await keys(rig)
        for (family, kinds) in found {
            let listed = try #require(families[family], "\(family) is not on the page")
            #expect(kinds.map(\.type) == kinds.map { _ in listed.type }, "\(family)")
            for kind in kinds { #expect((kind.left >= 0) == (listed.expiry != "none"), "expiry of \(family)") }
        }
        // The canary's are gone with it.
        #expect(Set(families.keys).subtracting(found.keys).sorted() == ["canary:"], "in no store")
    }

    private func keys(_ rig: Rig) async throws -> [String: [(type: String, left: Int64)]] {
        let script = """
            local found = {}
            for _, key in ipairs(redis.call('KEYS', '*')) do
              found[#found + 1] = {key, redis.call('TYPE', key).ok, redis.call('PTTL', key)}
            end
            return found
            """
        var found: [String: [(type: String, left: Int64)]] = [:]
        for row in try await rig.redis.command("EVAL", script, "0").list.map(\.list) {
            let key = try #require(row[0].string)
            #expect(key.hasPrefix("{test}:"), "\(key) has not the prefix")
            let name = String(key.dropFirst(7))
            // The test's own.
            if ["time", "fault", "faults"].contains(name) { continue }
            found[familyOfKey(name), default: []].append((try #require(row[1].string), try #require(row[2].integer)))
        }
        return found
    }

    /// An emptied store gets the answers again.
    private func replayBuffer(_ rig: Rig) async throws {
        try await rig.at(.zero)
        #expect(await rig.verdict(try Rig.signal("Restored")) == .accepted)
        try await rig.redis.command("FLUSHALL")
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("Witness"))
        try await eventually("a replay") { !rig.witness.replays.isEmpty && rig.store.state == .open }
        #expect(rig.witness.replays.map(\.restored) == [1])
    }

    /// Told, failed, dead-lettered and waiting; and a session that ended.
    private func deliveries(_ rig: Rig) async throws {
        #expect(await rig.verdict(try Rig.signal("Told")) == .accepted)
        #expect(try await rig.deliver().count == 2)
        // Its beginning was told, its end waits.
        #expect(await rig.verdict(try Rig.signal("Told", .resolved, ends: .seconds(1))) == .resolved)
        #expect(await rig.verdict(try Rig.signal("Unseen", .resolved, ends: .seconds(1))) == .ignored)
        #expect(await rig.verdict(try Rig.signal("Refused")) == .accepted)
        let item = RejectedItem(index: 0, reason: "no time", replay: Array("{}".utf8))
        let letter = GateDeadLetter(origin: "prometheus", item: item, receivedAt: Timestamp(milliseconds: 1))
        #expect(await rig.gate.decide([], [letter], in: rig.store, on: nil).deadLettersStored)
        for claim in try await rig.claims() {
            if claim.delivery.signal?.name == "Refused" {
                #expect(try await rig.delivery.bury("file", claim, because: "no", after: .seconds(1)) == .buried)
            } else {
                #expect(try await rig.retry(claim, after: .hours(1)))
            }
        }
        let refused = try #require(try await rig.delivery.letters(origin: "sink/file", most: 1).letters.first)
        #expect(try await rig.delivery.replay(refused.id) == .queued)
        try await rig.dies()
    }

    /// One that is over, and one that grows.
    private func storms(_ rig: Rig) async throws {
        func member(_ name: String, _ place: Int, _ status: Signal.Status = .firing) throws -> GateSignal {
            try Rig.signal(
                name, status, ends: status == .resolved ? .seconds(2) : nil, target: "t\(place)", namespace: "n")
        }
        try await rig.at(.seconds(1))
        #expect(await rig.verdict(try member("Over", 0)) == .accepted)
        #expect(await rig.verdict(try member("Over", 1)) == .aggregated)
        #expect(await rig.verdict(try member("Over", 1, .resolved)) == .resolved)
        try await rig.at(.hours(3))
        while try await rig.delivery.sweep(most: 100).more {}
        for place in 0..<2 { _ = await rig.decide(try member("Grows", place)) }
        #expect(try await rig.delivery.storms(nil, most: 10).map(\.state).sorted() == ["open", "resolved"])
    }

    private func sources(_ rig: Rig) async throws {
        let source = SourceStore(
            store: rig.store, scripts: SourceScripts(rig.configuration), name: "events", token: "one")
        #expect(try await source.hold(isWatching: true).isHeld)
        try await source.move("", to: "100", remembering: [("a", "1")])
    }

    /// A script that ends between a record and its place in a queue.
    private func unqueued(_ rig: Rig) async throws {
        #expect(await rig.verdict(try Rig.signal("Halfway")) == .accepted)
        for write in 1...20 {
            try await rig.redis.command("SET", "{test}:faults", String(write))
            _ = await rig.decide(try Rig.signal("Halfway", .resolved, ends: .hours(3)))
            try await rig.redis.command("DEL", "{test}:faults")
            if try await rig.number("EXISTS", "{test}:unqueued") == 1 { return }
        }
        Issue.record("nothing was left unqueued")
    }
}
