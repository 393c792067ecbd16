import Adapters
import NIOCore
import Policies
import Redis
import SignalKit

/// The parts of the road of a request one by one, for Benchmarks/Micro: what each costs, with nothing around it.
package struct HotPath: Sendable {
    private let adapter: any SignalAdapter
    private let commands: GateCommands
    private let request: InboundRequest
    private let signals: [Signal]
    private let whole, known: [GateSignal]
    private let outcome: IntakeAnswer

    /// - Parameter body: what Prometheus posts.
    package init?(_ body: [UInt8]) {
        let text = """
            server: {listen: 127.0.0.1:9099}
            state: {redis: {embedded: {directory: unused}}}
            adapters: [{use: prometheus, path: /api/v2/alerts, authenticate: none}]
            policies: [{use: deduplicate}, {use: storm}, {use: persist, durability: fsync}]
            sinks: [{use: jsonl, name: file, path: unused, when_full: refuse}]
            """
        guard case .success(let configuration) = HostConfiguration.read(text, file: "hot path", plugins: .standard),
            let adapter = configuration.routes.first?.plugin
        else { return nil }
        self.adapter = adapter
        commands = GateCommands(configuration, ScriptComposer(configuration))
        request = InboundRequest(body: body, contentType: "application/json", receivedAt: .now)
        guard let decoded = try? adapter.decode(request), !decoded.signals.isEmpty else { return nil }
        signals = decoded.signals
        whole = signals.map { GateSignal(Fingerprint($0.identity), $0, from: .none) }
        known = signals.map { GateSignal(Fingerprint($0.identity), $0, from: .none, isKnown: true) }
        outcome = .taken(
            Outcome(
                signals: whole.map {
                    SignalOutcome(
                        fingerprint: $0.fingerprint, name: $0.signal.name, verdict: .duplicate,
                        episode: 1_795_000_000_000, count: 7)
                }, deadLetters: []))
    }

    package var count: Int { signals.count }

    /// Each does its part for all signals of the request, and answers something that was made, so that it is not left out.
    package var parts: [(name: String, run: @Sendable () -> Int)] {
        [
            ("decode", { [self] in (try? adapter.decode(request).signals.count) ?? 0 }),
            (
                "fingerprint",
                { [self] in signals.reduce(0) { $0 &+ Int(truncatingIfNeeded: Fingerprint($1.identity).mark) } }
            ),
            ("document", { [self] in signals.reduce(0) { $0 + SignalDocument.encode($1).count } }),
            ("gate call, whole", { [self] in size(commands.gate(whole[...], born: 0)) }),
            ("gate call, known", { [self] in size(commands.gate(known[...], born: 0)) }),
            (
                "response with outcomes",
                { [self] in
                    let id = "0123456789abcdef"
                    let reply = StatusTable.reply(to: outcome, instance: "/", requestID: id, retryAfter: 1)
                    var buffer = ByteBuffer()
                    buffer.write(reply, id: id, close: false, isHead: false)
                    return buffer.readableBytes
                }
            ),
        ]
    }

    private func size(_ command: RedisCommand) -> Int { command.byteCount }
}
