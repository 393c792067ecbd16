import FailPoints
import Logging
import NIOCore
import Redis
import SignalKit

/// The road of a request: adapter, policies, gate, answer. Nothing is acted on before all of it is decoded, and
/// every signal is tried before answering.
struct Intake: Taking {
    let policies: PolicyChain
    let gate: Gate
    let store: RedisStore
    let metrics: HostMetrics
    let log: Logger
    /// Called when the gate queued something: this host's delivery need not wait for its next poll.
    let wakeDelivery: @Sendable () -> Void
    /// Who delivers new episodes without a claim.
    let hands: (any DirectDispatch)?
    var room = DecodeRoom()

    func take(
        _ request: InboundRequest, route: HostConfiguration.Route, requestID: String, eventLoop: (any EventLoop)?,
        deadline: ContinuousClock.Instant
    ) async -> IntakeAnswer {
        guard var share = room.begin(body: request.body.count) else { return .refused(Self.overloaded) }
        defer { room.end(share) }
        let decoded: Decoded
        do throws(AdapterError) {
            decoded = try route.plugin.decode(request)
            try decoded.checkRejected()
        } catch {
            return .refused(.malformed(message: error.message, offset: error.offset, path: error.path))
        }
        guard room.grow(&share, body: request.body.count, items: decoded.items - decoded.skipped) else {
            return .refused(Self.overloaded)
        }
        note(decoded, from: route.adapter, requestID)
        return await take(
            decoded, from: route.adapter, resolves: route.resolves, receivedAt: request.receivedAt,
            eventLoop: eventLoop,
            deadline: deadline)
    }

    /// From the policies on: also for signals that came in by no request.
    /// - Parameter resolves: false for senders that report no ends.
    func take(
        _ decoded: Decoded, from adapter: PluginID, resolves: Bool = true, receivedAt: Timestamp,
        eventLoop: (any EventLoop)?,
        deadline: ContinuousClock.Instant
    ) async -> IntakeAnswer {
        var docket = Docket(count: decoded.signals.count, from: resolves ? adapter : nil)
        let context = PolicyContext(adapter: adapter, receivedAt: receivedAt)
        for signal in decoded.signals {
            // Most chains have nothing to decide here.
            let result = policies.policies.isEmpty ? .pass(signal) : await policies.decide(signal, context)
            docket.add(signal, result, isKnown: gate.knows)
        }
        let letters = decoded.rejected.map { GateDeadLetter(origin: adapter, item: $0, receivedAt: receivedAt) }
        if !docket.forGate.isEmpty || !letters.isEmpty {
            let started = ContinuousClock.now
            let answer = await gate.decide(
                docket.forGate, letters, in: store, on: eventLoop, to: hands, until: deadline)
            metrics.gate(started.duration(to: .now))
            FailPoint.hit(.gateReplied)
            if answer.queued { wakeDelivery() }
            docket.settle(answer)
        }
        for (key, count) in docket.tally {
            metrics.verdict(key.verdict, adapter: adapter, policy: key.policy, by: count)
        }
        if !letters.isEmpty, docket.lettersStored {
            metrics.verdict(.deadLettered, adapter: adapter, policy: nil, by: letters.count)
        }
        return docket.answer(deadLetters: decoded.rejected.map { ($0.index, $0.reason) })
    }

    private static let overloaded = Refusal.overloaded(detail: "too many items at once for the memory of the host")

    private func note(_ decoded: Decoded, from adapter: PluginID, _ requestID: String) {
        metrics.received(adapter, decoded.items)
        if decoded.skipped > 0 { metrics.verdict(.filtered, adapter: adapter, policy: nil, by: decoded.skipped) }
        if decoded.truncated > 0 {
            metrics.truncated(adapter, decoded.truncated)
            log.warning(
                "the sender left out alerts of a group: raise max_alerts in its webhook_config",
                metadata: [
                    "adapter": "\(adapter)", "truncated": "\(decoded.truncated)", "request_id": .string(requestID),
                ])
        }
    }
}
