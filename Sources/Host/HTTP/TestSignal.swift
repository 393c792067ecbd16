import JSON
import Redis
import SignalKit

/// `portcullis send`: a signal that says of itself that it is a test, and where it has got to.
extension OperatorRoutes {
    /// What a test signal is called, and the adapter it comes from.
    static let testName = "PortcullisTest"

    func send(_ request: OperatorRequest) async -> OperatorAnswer {
        let now = Timestamp.now
        guard
            let labels = try? Labels([.init("alertname", Self.testName), .init("portcullis_test", request.requestID)]),
            let annotations = try? Labels([.init("description", "A test signal of `portcullis send`; ignore it.")]),
            let signal = try? Signal(
                identity: Identity(family: "portcullis-test", fields: [.init("id", request.requestID)]),
                name: Self.testName, status: .firing, severity: "none", labels: labels, annotations: annotations,
                // It ends by itself two minutes later, so that nobody has to.
                startsAt: now, endsAt: now.advanced(by: .minutes(1)))
        else { return .problem(StatusTable.problem(of: .bug)) }
        let answer = await intake.take(
            Decoded(signals: [signal]), from: "send", receivedAt: now, eventLoop: nil,
            deadline: .now + configuration.server.limits.deadline)
        switch answer {
        case .refused(let refusal): return .problem(StatusTable.problem(of: refusal))
        case .taken(let outcome):
            guard let found = outcome.signals.first else { return missing("no outcome") }
            return document { out in
                out.member("fingerprint", found.fingerprint.description)
                out.member("verdict", found.verdict.rawValue)
                out.member("episode", found.episode.map(String.init))
            }
        }
    }

    func sent(_ fingerprint: String) async throws(RedisError) -> OperatorAnswer {
        guard let bytes = Hex.bytes(fingerprint), bytes.count == 32,
            let state = try await store.whereabouts(bytes, configuration.sinks.map(\.name))
        else { return missing("no record of \(fingerprint.prefix(64))") }
        return document { out in
            out.key("sinks")
            out.beginArray()
            for (sink, word) in state {
                out.beginObject()
                out.member("name", sink.description)
                out.member("state", word)
                out.endObject()
            }
            out.endArray()
        }
    }
}
