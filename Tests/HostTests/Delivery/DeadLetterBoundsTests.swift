import Logging
import NIOConcurrencyHelpers
import SignalKit
import TestSupport
import Testing

@testable import Host

extension GateDeadLetter {
    init(_ item: RejectedItem, from origin: PluginID = "prometheus", at milliseconds: Int64 = 1) {
        self.init(origin: origin, item: item, receivedAt: Timestamp(milliseconds: milliseconds))
    }
}

/// One bad item is one dead letter, and all dead letters of an origin have a bound in bytes, which is counted exactly.
@Suite(.serialized) struct DeadLetterBoundsTests {
    private typealias Rig = GateRig

    private func item(
        _ index: Int, bytes: Int = 100, reason: String = "labels: too long", identity: String? = nil
    ) -> RejectedItem {
        let replay = Array("\(index) ".utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: bytes)
        return RejectedItem(
            index: index, reason: reason, replay: replay, identity: Array((identity ?? "item \(index)").utf8))
    }

    private func store(
        _ items: RejectedItem..., from origin: PluginID = "prometheus", at time: Int64 = 1, in rig: Rig
    ) async -> GateAnswer {
        await rig.gate.decide([], items.map { GateDeadLetter($0, from: origin, at: time) }, in: rig.store, on: nil)
    }

    /// The counter of an origin, which must be the sum over its letters.
    private func bytes(_ rig: Rig, _ origin: String) async throws -> Int {
        let sum = try await rig.redis.command(
            "EVAL",
            """
            local sum = 0
            for _, id in ipairs(redis.call('ZRANGE', '{test}:dead:' .. ARGV[1], 0, -1)) do
              sum = sum + redis.call('HGET', '{test}:l:' .. id, 'bytes')
            end
            return sum
            """, "0", origin
        ).integer
        let counted = Int(try await rig.redis.command("HGET", "{test}:dead-bytes", origin).string ?? "0")
        #expect(counted == sum.map { Int($0) })
        #expect(try await rig.delivery.stats().dead.first { $0.origin == origin }?.bytes ?? 0 == counted)
        return counted ?? -1
    }

    @Test func theSameBadItemIsOneLetterWithItsLatestBodyAndTime() async throws {
        let rig = try await Rig()
        _ = await store(item(3, reason: "x: 17000 bytes", identity: "A"), at: 1_000, in: rig)
        _ = await store(item(9, bytes: 300, reason: "x: 17345 bytes", identity: "A"), at: 2_000, in: rig)
        let found = try await rig.delivery.letters(origin: nil, most: 10)
        #expect(found.letters.map(\.count) == [2])
        #expect(found.letters.map(\.reason) == ["x: 17345 bytes"])
        let latest = item(9, bytes: 300).replay
        #expect(
            try await rig.delivery.replay(found.letters[0].id)
                == .adapter(origin: "adapter/prometheus", item: latest, receivedAt: Timestamp(milliseconds: 2_000)))
        #expect(try await bytes(rig, "adapter/prometheus") > 300)
        _ = await store(item(3, reason: "y: 17000 bytes", identity: "A"), item(3, identity: "B"), in: rig)
        _ = await store(item(3, identity: "B"), from: "alertmanager", in: rig)
        #expect(try await rig.delivery.letters(origin: nil, most: 10).total == 4)
    }

    @Test func aReplayReadsAnItemAsOfItsReceipt() async throws {
        let rig = try await Rig()
        let received = Timestamp(milliseconds: Rig.epoch)
        _ = await store(
            RejectedItem(index: 0, reason: "no", replay: Array("[]".utf8)), at: received.milliseconds, in: rig)
        let id = try #require(try await rig.delivery.letters(origin: nil, most: 1).letters.first?.id)
        let seen = Seen()
        let answer = await OperatorRig.answer(rig, adapter: seen, "POST", "/dead-letters/\(id)/replay")
        guard case .document(200, _) = answer else {
            Issue.record("\(answer)")
            return
        }
        #expect(seen.times == [received])
        #expect(try await rig.delivery.letters(origin: nil, most: 1).total == 0)
        #expect(try await bytes(rig, "adapter/prometheus") == 0)
    }

    @Test func bytesAreCountedExactlyWhateverBecomesOfALetter() async throws {
        let rig = try await Rig()
        _ = await store(item(1), item(2, bytes: 5_000), item(3), in: rig)
        _ = await store(item(2, bytes: 50), in: rig)
        let all = try await bytes(rig, "adapter/prometheus")
        #expect(all > 250 && all < 1_000)
        let id = try #require(try await rig.delivery.letters(origin: nil, most: 1).letters.first?.id)
        #expect(try await rig.delivery.drop(letter: id) == 1)
        #expect(try await bytes(rig, "adapter/prometheus") < all)
        #expect(try await rig.delivery.drop(letter: id) == 0)
        #expect(try await rig.delivery.drop(origin: "adapter/prometheus", most: 500) == 2)
        #expect(try await bytes(rig, "adapter/prometheus") == 0)
        #expect(try await rig.redis.command("KEYS", "{test}:dead-bytes").list.isEmpty)
    }

    @Test func anOriginThatIsFullRefusesItsOwnAlone() async throws {
        let rig = try await Rig(letters: 100, letterBytes: "1MiB")
        // Each is as long as one that is kept whole.
        for index in 0..<4 { #expect(await store(item(index, bytes: 262_000), in: rig).deadLettersStored) }
        #expect(await store(item(4, bytes: 262_000), in: rig).deadLettersStored)
        let refused = await store(item(5), in: rig)
        #expect(!refused.deadLettersStored)
        #expect(refused.deadLetterDetail.contains("adapter/prometheus are full (100, 1MiB at most)"))
        // A known one is stored already; for a longer body of it there is no room.
        #expect(await store(item(4, bytes: 262_100), in: rig).deadLettersStored)
        #expect(await store(item(5), from: "alertmanager", in: rig).deadLettersStored)
        #expect(await rig.decide(try Rig.signal())[0].verdict == .accepted)
        #expect(try await bytes(rig, "adapter/prometheus") < 5 * 262_100)
        #expect(try await rig.delivery.drop(origin: "adapter/prometheus", most: 1) == 1)
        #expect(await store(item(5), in: rig).deadLettersStored)
    }

    @Test func aSinksLettersAreBoundInBytesToo() async throws {
        let rig = try await Rig(sinks: [("slow", .deadLetter)], backlog: 1, letters: 100, letterBytes: "1MiB")
        _ = await rig.decide(try Rig.signal("A"))
        var verdicts: [Verdict] = []
        for place in 0..<16 {
            // Text that LZ4 makes no shorter than two thirds.
            let noise = String(decoding: (0..<120_000).map { _ in UInt8.random(in: 48...122) }, as: UTF8.self)
            let signal = try Signal(
                identity: Identity(family: "alert", fields: [.init("n", "\(place)")]), name: "B", status: .firing,
                annotations: Labels([.init("d", noise)], longestValue: Signal.Bounds.annotationValue))
            verdicts.append(await rig.decide(GateSignal(Fingerprint(signal.identity), signal, from: .none))[0].verdict)
        }
        #expect(verdicts.contains(.accepted))
        #expect(verdicts.last == .unavailable)
        let full = try await bytes(rig, "sink/slow")
        #expect(full >= 1 << 20 && full < 1_400_000)
        _ = try await rig.deliver("slow")
        let id = try #require(try await rig.delivery.letters(origin: nil, most: 1).letters.first?.id)
        #expect(try await rig.delivery.replay(id) == .queued)
        #expect(try await bytes(rig, "sink/slow") < full)
    }

    /// The bytes of the letters that the call holds already count.
    @Test func aCallThatReachesTheBoundInItsMiddleRefusesTheRestAlone() async throws {
        let rig = try await Rig(
            sinks: [("slow", .deadLetter)], backlog: 1, letters: 100, letterBytes: "1MiB",
            storm: [Rig.section("rate", Rig.entry("count", "100"), Rig.entry("per", "1m"))])
        _ = await rig.decide(try Rig.signal("A"))
        let signals = try (0..<30).map { place in
            // Text that LZ4 makes no shorter than two thirds.
            let noise = String(decoding: (0..<60_000).map { _ in UInt8.random(in: 48...122) }, as: UTF8.self)
            let signal = try Signal(
                identity: Identity(family: "alert", fields: [.init("n", "\(place)")]), name: "B", status: .firing,
                annotations: Labels([.init("d", noise)], longestValue: Signal.Bounds.annotationValue))
            return GateSignal(Fingerprint(signal.identity), signal, from: .none)
        }
        let known = try Rig.signal("A")
        let outcomes = await rig.gate.decide([known] + signals, [], in: rig.store, on: nil).outcomes
        let stored = outcomes.count { $0.verdict == .accepted }
        #expect(outcomes.first?.verdict == .duplicate)
        #expect(stored > 10 && outcomes.dropFirst(1 + stored).allSatisfy { $0.verdict == .unavailable })
        #expect(outcomes.last?.detail.contains("backlog and dead letters of slow full") == true)
        #expect(try await rig.delivery.letters(origin: nil, most: 1).total == stored)
        let full = try await bytes(rig, "sink/slow")
        #expect(full >= 1 << 20 && full < 1_200_000)
    }

    @Test func anItemThatWasCutIsShownAndNotReplayed() async throws {
        let rig = try await Rig()
        _ = await store(item(0, bytes: 1 << 20), in: rig)
        let id = try #require(try await rig.delivery.letters(origin: nil, most: 1).letters.first?.id)
        let found = try #require(try await rig.delivery.letter(id))
        #expect(found.item.count == RejectedItem.Bounds.kept)
        #expect(found.cut?.size == (1 << 20) + 2)
        #expect(found.cut?.digest.isEmpty == false)
        #expect(try await rig.delivery.replay(id) == .cut(size: (1 << 20) + 2))
        let answer = await OperatorRig.answer(rig, adapter: Seen(), "POST", "/dead-letters/\(id)/replay")
        guard case .problem(let problem) = answer else {
            Issue.record("\(answer)")
            return
        }
        #expect(problem.status == 409)
        #expect(
            problem.detail
                == "the item has 1048578 bytes, and only its beginning was kept: have it sent again, or drop the letter"
        )
        #expect(try await rig.delivery.letters(origin: nil, most: 1).total == 1)
        // A shorter body of the same item makes it whole.
        _ = await store(item(0), in: rig)
        #expect(try #require(try await rig.delivery.letter(id)).cut == nil)
    }
}

/// Takes any body for an empty batch, and remembers when it was received.
private final class Seen: SignalAdapter {
    static let id: PluginID = "prometheus"
    private let seen = NIOLockedValueBox<[Timestamp]>([])
    var times: [Timestamp] { seen.withLockedValue { $0 } }

    init() {}
    init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {}

    func decode(_ request: InboundRequest) throws(AdapterError) -> Decoded {
        seen.withLockedValue { $0.append(request.receivedAt) }
        return Decoded()
    }
}

private enum OperatorRig {
    struct Ready: Readiness {
        let storeShut: String? = nil
        let warnings: [String] = []
    }

    static func answer(
        _ rig: GateRig, adapter: any SignalAdapter, _ method: String, _ path: String
    ) async -> OperatorAnswer {
        let known = rig.configuration
        let route = HostConfiguration.Route(
            adapter: "prometheus", path: "/alerts", authentication: .none, plugin: adapter)
        let configuration = HostConfiguration(
            server: known.server, state: known.state, routes: [route], policies: [], gatePolicies: known.gatePolicies,
            sinks: known.sinks)
        let intake = Intake(
            policies: PolicyChain(policies: []), gate: rig.gate, store: rig.store, metrics: HostMetrics(),
            log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, wakeDelivery: {}, hands: nil)
        let routes = OperatorRoutes(
            configuration: configuration, store: rig.delivery, intake: intake, readiness: Ready(), wakeDelivery: {})
        return await routes.answer(OperatorRequest(method: method, path: path, query: [:], requestID: "test"))
    }
}
