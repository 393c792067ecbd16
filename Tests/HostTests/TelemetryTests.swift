import CoreMetrics
import JSON
import Logging
import SignalKit
import TestSupport
import Testing

@testable import Host

@Suite struct TelemetryTests {
    @Test func everythingThatIsMeasuredPassesPromtool() async throws {
        let metrics = HostMetrics()
        metrics.prepare(try GateRig.configuration())
        #expect(metrics.registry.render().contains(#"portcullis_dead_letters{origin="sink/file"} 0"#))
        metrics.verdict(.accepted, adapter: "alertmanager", policy: "persist", by: 3)
        metrics.response(status: 201, route: "/a\"b\\c")
        metrics.request(route: "/a", .milliseconds(3))
        metrics.gate(.microseconds(700))
        var stats = DeliveryStore.Stats()
        stats.queues = [("file", 3, .seconds(4))]
        stats.dead = [("sink/file", 2, 700)]
        metrics.sampled(stats)
        let text = metrics.registry.render()
        let check = try await ChildProcess.run("promtool", ["check", "metrics"], input: text)
        #expect(check.end == .exited(0), "\(check.output)\(check.errors)")
        #expect(
            text.contains(#"portcullis_verdicts_total{adapter="alertmanager",policy="persist",verdict="accepted"} 3"#))
        #expect(text.contains(#"route="/a\"b\\c""#))
        #expect(text.contains(#"portcullis_queue_oldest_age_seconds{sink="file"} 4"#))
        #expect(text.contains("portcullis_gate_duration_seconds_bucket{le=\"0.001\"} 1"))
        #expect(text.contains("portcullis_gate_duration_seconds_bucket{le=\"10\"} 1"))
        #expect(text.contains("portcullis_gate_duration_seconds_count 1"))
        #expect(text.contains("portcullis_store_up 0"))
        #expect(text.contains(#"portcullis_store_errors_total{code="timed-out"} 0"#))
    }

    @Test func whatAnEmptiedStoreNoLongerNamesIsZeroAgain() {
        let metrics = HostMetrics()
        var stats = DeliveryStore.Stats()
        stats.queues = [("file", 3, .seconds(4))]
        stats.dead = [("sink/file", 2, 700)]
        metrics.sampled(stats)
        metrics.sampled(DeliveryStore.Stats())
        let text = metrics.registry.render()
        #expect(text.contains(#"portcullis_queue_depth{sink="file"} 0"#))
        #expect(text.contains(#"portcullis_queue_oldest_age_seconds{sink="file"} 0"#))
        #expect(text.contains(#"portcullis_dead_letters{origin="sink/file"} 0"#))
    }

    @Test func whatAFailoverTellsIsThereBeforeTheFirst() throws {
        let metrics = HostMetrics()
        metrics.prepare(try GateRig.configuration())
        for name in [
            "store_replicas", "store_durable", "store_failovers_total", "replayed_total", "replay_memory_bytes",
            "replay_refused_total",
        ] {
            #expect(metrics.registry.render().contains("\nportcullis_\(name) 0\n"), "\(name)")
        }
        #expect(!metrics.registry.render().contains("sentinel"), "there are none to be too few")
        metrics.prepareFailover(
            .sentinel(
                .init(master: "m", nodes: [.init(host: "a", port: 1), .init(host: "b", port: 1)]), username: nil,
                passwordFile: nil))
        metrics.sentinels(answering: 1, of: 2)
        metrics.replicas(2)
        metrics.durability(met: true)
        metrics.failover()
        metrics.replayed(5)
        metrics.replayMemory(bytes: 4_096)
        metrics.replayRefused()
        let text = metrics.registry.render()
        for line in [
            "sentinels_answering 1", "sentinels_configured 2", "store_replicas 2", "store_durable 1",
            "store_failovers_total 1", "replayed_total 5", "replay_memory_bytes 4096", "replay_refused_total 1",
        ] {
            #expect(text.contains("\nportcullis_\(line)\n"), "\(line)")
        }
    }

    @Test func aLibrarysOwnMetricsAreShownToo() {
        let registry = PrometheusRegistry()
        Counter(label: "lib.requests", dimensions: [("kind", "a")], factory: registry).increment(by: 2)
        Timer(label: "lib.time", dimensions: [], factory: registry).recordNanoseconds(2_000_000)
        let text = registry.render()
        #expect(text.contains("lib_requests{kind=\"a\"} 2"))
        #expect(text.contains("lib_time_seconds_count 1"))
    }

    @Test func labelsThatGrowWithoutEndAreBounded() {
        let registry = PrometheusRegistry()
        for place in 0..<(PrometheusRegistry.mostSeries + 100) {
            registry.counter("c", "x", [("l", "\(place)")]).increment(by: 1)
        }
        let text = registry.render()
        #expect(text.split(separator: "\n").count <= PrometheusRegistry.mostSeries + 4)
        #expect(text.contains("\nc 100\n"), "what has no series of its own is counted together")
    }

    @Test func aLogLineIsOneLineOfJSONWhateverIsInIt() throws {
        let line = JSONLogHandler.line(
            level: .warning, message: "two\nlines \"quoted\"", label: "portcullis",
            metadata: [
                "reason": "a\u{0}b\nc", "count": .stringConvertible(3), "list": .array(["x", "y"]), "map": ["k": "v"],
            ], now: Timestamp(milliseconds: 0))
        #expect(line.filter { $0 == UInt8(ascii: "\n") }.count == 1)
        #expect(line.last == UInt8(ascii: "\n"))
        let document = try JSONDocument.parse(Array(line.dropLast())).root
        #expect(document["msg"]?.string == "two\nlines \"quoted\"")
        #expect(document["level"]?.string == "warning")
        #expect(document["count"]?.integer == 3)
        #expect(document["map"]?["k"]?.string == "v")
        #expect(document["ts"]?.string == "1970-01-01T00:00:00.000Z")
    }

    @Test func aRequestsLineIsWhatItsLogCallWouldSay() throws {
        let fingerprint = try Fingerprint(Identity(family: "alert", fields: [.init("a", "b")]))
        func outcome(_ verdicts: [Verdict], letters: Int) -> Outcome {
            Outcome(
                signals: verdicts.map {
                    SignalOutcome(fingerprint: fingerprint, name: "A", verdict: $0, episode: nil, count: nil)
                }, deadLetters: (0..<letters).map { ($0, "bad") })
        }
        for (status, outcome): (Int?, Outcome?) in [
            (200, outcome([.duplicate], letters: 0)), (503, nil), (nil, nil), (200, outcome([], letters: 2)),
            (201, outcome([.duplicate, .accepted, .duplicate], letters: 1)),
        ] {
            let request = RequestLine(
                id: "r-1", route: "/a\"b", status: status, milliseconds: 12, bytes: 345, outcome: outcome)
            let now = Timestamp(milliseconds: 1_795_400_000_123)
            let long = JSONLogHandler.line(
                level: .info, message: "request", label: "portcullis", metadata: request.metadata, now: now)
            let short = request.line(label: "portcullis", now: now)
            #expect(String(decoding: short, as: UTF8.self) == String(decoding: long, as: UTF8.self))
        }
    }
}
