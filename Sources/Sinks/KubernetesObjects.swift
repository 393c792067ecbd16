import JSON
import Kubernetes
public import SignalKit

/// One object in a cluster for each episode and each storm. The API server is the arbiter: the sink looks before it makes
/// anything, and makes it under a name that only one maker can have.
public final class KubernetesObjects: Sink {
    public static let id: PluginID = "kubernetes"
    public static let needsHistory = true

    /// Times that one delivery looks again, because something changed between its look and its step.
    static let looks = 8

    private let client: KubernetesClient
    private let namespace: String?
    private let timeout: Duration
    private let failPoint: @Sendable (String) -> Void

    public init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        let kubeconfig = try config.optionalText("kubeconfig", longest: 4_096)
        namespace = try config.optionalText("namespace", longest: 63)
        timeout = try config.duration("timeout", default: .seconds(10), in: .milliseconds(100)...(.seconds(30)))
        client = KubernetesClient(kubeconfig.map(Credentials.kubeconfig) ?? .inCluster)
        failPoint = services.failPoint
    }

    public func deliver(_ delivery: Delivery, _ context: DeliveryContext) async throws(SinkError) {
        do throws(KubernetesError) {
            try await bring(delivery)
        } catch {
            throw Self.sinkError(error)
        }
    }

    private func bring(_ delivery: Delivery) async throws(KubernetesError) {
        var lengths = SignalObject.nameLengths[...]
        for _ in 0..<Self.looks {
            let seen = try await look(for: delivery)
            let steps = Arbiter.steps(for: delivery, seen: seen)
            do throws(KubernetesError) {
                for step in steps { try await take(step, delivery, nameLength: lengths.first ?? 64) }
                return
            } catch {
                switch error.code {
                case .alreadyExists:
                    // Somebody made it since we looked, or another problem has the name.
                    let now = try await look(for: delivery)
                    if Arbiter.steps(for: delivery, seen: now) == steps { lengths = lengths.dropFirst() }
                case .conflict: continue
                case .notFound where !seen.isEmpty: continue
                default: throw error
                }
            }
        }
        throw KubernetesError(.conflict, "the objects of a problem keep changing: looked \(Self.looks) times")
    }

    // MARK: Calls

    private func look(for delivery: Delivery) async throws(KubernetesError) -> [SeenObject] {
        let label = SignalObject.label(of: delivery)
        let selector = KubernetesRequest.encoded("\(label.name)=\(label.value)")
        // Without a resourceVersion: a list that has seen every write before it.
        let answer = try await client.send(
            KubernetesRequest(.get, try collection() + "?labelSelector=\(selector)"), within: timeout)
        guard let list = try? JSONDocument.parse(answer.body), let items = list.root["items"]?.array else {
            throw KubernetesError(.garbage, "a list without items")
        }
        return items.compactMap(SignalObject.seen)
    }

    private func take(
        _ step: Arbiter.Step, _ delivery: Delivery, nameLength: Int
    ) async throws(KubernetesError) {
        switch step {
        case .update(let object): try await apply(SignalObject.status(of: delivery, on: object), to: object)
        case .resolve(let object): try await apply(SignalObject.ended(by: delivery, object), to: object)
        case .create(let number):
            let name = SignalObject.name(of: delivery, number: number, length: nameLength)
            let object = try await create(delivery, name)
            try await apply(SignalObject.status(of: delivery, on: object), to: object)
        }
    }

    private func create(_ delivery: Delivery, _ name: String) async throws(KubernetesError) -> SeenObject {
        let body = try Self.bytes(SignalObject.made(of: delivery, named: name))
        let answer = try await client.send(KubernetesRequest(.post, try collection(), body: body), within: timeout)
        failPoint("object-created")
        guard let document = try? JSONDocument.parse(answer.body), let object = SignalObject.seen(document.root) else {
            throw KubernetesError(.garbage, "the object that was made is not in the answer")
        }
        return object
    }

    private func apply(_ change: JSONTree, to object: SeenObject) async throws(KubernetesError) {
        let path = try collection() + "/\(object.name)/status?fieldManager=portcullis&force=true"
        _ = try await client.send(
            KubernetesRequest(
                .patch, path, body: try Self.bytes(change), contentType: "application/apply-patch+yaml"),
            within: timeout)
    }

    private func collection() throws(KubernetesError) -> String {
        guard let namespace = namespace ?? client.namespace else {
            throw KubernetesError(
                .credentials, "no namespace: give namespace: NAME, or one in the kubeconfig's context")
        }
        return "/apis/\(SignalObject.group)/\(SignalObject.version)/namespaces/\(KubernetesRequest.encoded(namespace))/"
            + SignalObject.plural
    }

    private static func bytes(_ tree: JSONTree) throws(KubernetesError) -> [UInt8] {
        do throws(JSONError) {
            return try tree.text()
        } catch {
            throw KubernetesError(.invalid, "the delivery can't be written as JSON: \(error.message)")
        }
    }

    // MARK: Errors

    static func sinkError(_ error: KubernetesError) -> SinkError {
        let message = "\(error.code.rawValue): \(error.message)"
        switch error.code {
        case .invalid: return SinkError(.invalid, message, retryable: false)
        case .overloaded, .unavailable: return SinkError(.overloaded, message, retryable: true)
        case .forbidden where error.isQuota: return SinkError(.overloaded, message, retryable: true)
        // Somebody can grant it, renew it, or install it: what waits is kept until then.
        case .credentials, .tls, .unauthorized, .forbidden: return SinkError(.denied, message, retryable: true)
        case .notFound:
            return SinkError(
                .refused, message + "; is the CustomResourceDefinition installed (deploy/kubernetes/crd.yaml)?",
                retryable: true)
        case .timeout: return SinkError(.timeout, message, retryable: true)
        case .unreachable, .interrupted: return SinkError(.unreachable, message, retryable: true)
        case .alreadyExists, .conflict, .expired, .garbage: return SinkError(.refused, message, retryable: true)
        }
    }
}
