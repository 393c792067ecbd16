import Adapters
import Logging
import SignalKit
import TestSupport
import Testing

@testable import Host

/// What a source hands over, on a real store.
struct SourceIntakeTests {
    private struct NoSource: SignalSource {
        static let id: PluginID = "nothing"
        static let feeds: Set<PluginID> = []
        init() {}
        init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {}
        func run(_ intake: any SignalIntake) async throws {}
    }

    private let metrics = HostMetrics()

    private func intake(_ rig: GateRig) throws -> SourceIntake {
        var config = ConfigReader.describing()
        let adapter = try KubernetesEventsAdapter(&config, .silent)
        let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let host = Intake(
            policies: PolicyChain(policies: []), gate: rig.gate, store: rig.store, metrics: metrics, log: log,
            wakeDelivery: {}, hands: nil)
        return SourceIntake(
            .init(name: "events", use: "nothing", feeds: "kubernetes-events", plugin: NoSource()),
            route: .init(adapter: "kubernetes-events", path: "/events", authentication: .none, plugin: adapter),
            intake: host,
            store: SourceStore(
                store: rig.store, scripts: SourceScripts(rig.configuration), name: "events", token: "one"),
            deadline: .seconds(5), metrics: metrics, log: log)
    }

    /// - Parameter unreadable: reasons of events without an object.
    private func body(_ name: String, unreadable: String...) -> [UInt8] {
        let good = #"{"involvedObject":{"kind":"Pod","name":"\#(name)"},"reason":"BackOff","type":"Warning"}"#
        let bad = unreadable.map { #"{"reason":"\#($0)","type":"Warning"}"# }
        let items = (bad + [good]).joined(separator: ",")
        return Array(#"{"kind":"EventList","apiVersion":"v1","items":[\#(items)]}"#.utf8)
    }

    private func dropped(_ count: Int) -> Bool {
        metrics.registry.render().contains(#"portcullis_source_dropped_total{source="events"} \#(count)"#)
    }

    @Test func unreadableEventsPastTheCapHoldUpNoSource() async throws {
        let rig = try await GateRig(letters: 2)
        let intake = try intake(rig)
        #expect(await intake.take(body("a", unreadable: "one")) == 201)
        // One more finds room, two do not.
        #expect(await intake.take(body("b", unreadable: "two", "three", "four")) == 200)
        #expect(dropped(2))
        #expect(try await rig.delivery.letters(origin: nil, most: 10).total == 2)
        // Its neighbour is stored all the same.
        #expect(await intake.take(body("b")) == 202)
        #expect(await intake.take(body("b", unreadable: "one")) == 202)
        #expect(dropped(2))
    }

    @Test func aStoreThatIsAwayIsWaitedFor() async throws {
        let rig = try await GateRig(letters: 2, timeout: .milliseconds(300))
        let intake = try intake(rig)
        rig.redis.kill()
        #expect(await intake.take(body("a", unreadable: "one", "two", "three")) == 503)
        #expect(await intake.take(Array(#"{"kind":"EventList","apiVersion":"v1","items":[7]}"#.utf8)) == 503)
    }

    @Test func aLongGapIsToldByReadiness() {
        let gaps = SourceGaps()
        #expect(gaps.note("events", .seconds(2)) >= .seconds(2))
        #expect(gaps.warnings.isEmpty)
        #expect(gaps.note("events", .seconds(90)) >= .seconds(90))
        #expect(gaps.warnings == ["source events: nothing has been read for 90 s"])
        // A store that does not say leaves the last one growing.
        #expect(gaps.note("events", nil) >= .seconds(90))
        #expect(gaps.note("events", .zero) < .seconds(60))
        #expect(gaps.warnings.isEmpty)
    }
}
