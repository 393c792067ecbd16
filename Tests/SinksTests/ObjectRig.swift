import JSON
import Kubernetes
import SignalKit
import TestAPIServer
import TestSupport
import Testing

@testable import Sinks

/// The sink before a real server on a real socket.
struct ObjectRig {
    let server: TestAPIServer
    let directory: TemporaryDirectory

    init() async throws {
        server = try await TestAPIServer(token: "letmein")
        directory = try TemporaryDirectory()
    }

    /// - Parameter more: YAML-like keys of the sink; values are scalars or nodes.
    func sink(
        port: Int? = nil, timeout: String = "5s", more: [(String, ConfigNode)] = [], services: Services = .silent
    ) throws -> KubernetesObjects {
        try Files.write(
            """
            current-context: here
            contexts: [{name: here, context: {cluster: c, user: u, namespace: gate}}]
            clusters: [{name: c, cluster: {server: 'http://127.0.0.1:\(port ?? server.port)'}}]
            users: [{name: u, user: {token: letmein}}]
            """, to: directory.file("kubeconfig"))
        let mark = ConfigMark(line: 1, column: 1)
        let entries = [("kubeconfig", directory.file("kubeconfig")), ("timeout", timeout)].map {
            ConfigNode.Entry(key: $0.0, mark: mark, value: ConfigNode(.scalar($0.1, plain: true), mark: mark))
        }
        let all = entries + more.map { ConfigNode.Entry(key: $0.0, mark: mark, value: $0.1) }
        var reader = ConfigReader(ConfigNode(.map(all), mark: mark), path: "sinks[0]")
        let sink = try KubernetesObjects(&reader, services)
        guard reader.errors.isEmpty else { throw reader.errors[0] }
        return sink
    }

    static let fingerprint = String(repeating: "ab", count: 32)

    static func delivery(
        _ state: Delivery.State, _ episode: Int64, _ version: Int64, fingerprint: String = fingerprint,
        follows: Int64? = nil, count: Int64 = 1, startsAt: Int64 = 1_000, isUpdate: Bool = false,
        knownSince: Int64 = .max,
        hasSignal: Bool = true, reason: Delivery.Reason? = nil,
        annotations: [Labels.Entry] = [.init("summary", "\"it\" is full")], skipped: Delivery.Skipped? = nil
    ) throws -> Delivery {
        let signal = try Signal(
            identity: Identity(family: "alert", fields: [.init("alertname", "A")]), name: "A",
            status: state == .firing ? .firing : .resolved, severity: "critical",
            labels: Labels([.init("alertname", "A")]),
            annotations: Labels(annotations, longestValue: Signal.Bounds.annotationValue),
            target: Target(kind: "pod", namespace: "shop", name: "p.1"), startsAt: Timestamp(milliseconds: startsAt))
        return Delivery(
            id: "\(fingerprint)-\(episode)-\(version)", kind: .signal, state: state, fingerprint: fingerprint,
            episode: episode, version: version, follows: follows, count: count, first: Timestamp(milliseconds: episode),
            last: Timestamp(milliseconds: version), reason: reason, signal: hasSignal ? signal : nil, storm: nil,
            isUpdate: isUpdate, skipped: skipped, knownSince: knownSince, json: [])
    }

    /// - Parameter opened: tells storms of the one group apart.
    func storm(
        _ state: Delivery.State, _ version: Int64, firing: Int, isUpdate: Bool = false, opened: Int64 = 1,
        knownSince: Int64 = 0
    ) -> Delivery {
        let id = String(repeating: "cd", count: 16) + "-\(1_795_489_732_977 + opened)"
        let member = StormMember(
            fingerprint: Self.fingerprint, episode: 7, name: "A", target: nil, firing: firing > 0)
        return Delivery(
            id: "\(id)-\(opened)-\(version)", kind: .storm, state: state, fingerprint: id, episode: opened,
            version: version,
            follows: nil, count: 12, first: Timestamp(milliseconds: 1), last: Timestamp(milliseconds: version),
            reason: nil, signal: nil,
            storm: Storm(id: id, group: [.init("name", "A")], members: 12, firing: firing, listed: [member]),
            isUpdate: isUpdate, knownSince: knownSince, json: [])
    }

    func deliver(_ sink: KubernetesObjects, _ delivery: Delivery) async throws(SinkError) {
        try await sink.deliver(delivery, DeliveryContext(attempt: 1, deadline: .now + .seconds(60)))
    }

    func failure(_ sink: KubernetesObjects, _ delivery: Delivery) async -> SinkError? {
        do throws(SinkError) {
            try await deliver(sink, delivery)
            return nil
        } catch {
            return error
        }
    }

    /// Each object as `name state episode version`.
    var objects: [String] {
        server.objects("signals").sorted { $0.key < $1.key }.map { name, object in
            let status = object["status"]
            return [name, status?["state"]?.text, status?["episode"]?.text, status?["version"]?.text]
                .map { $0 ?? "-" }.joined(separator: " ")
        }
    }
}
