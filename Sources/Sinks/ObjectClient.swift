import JSON
import Kubernetes
import SignalKit

/// The calls that the sink makes: of one kind, in one namespace. deploy/kubernetes/base/rbac.yaml allows these and no other.
struct ObjectClient: Sendable {
    /// Objects of one page of a list.
    static let page = 200

    let client: KubernetesClient
    let shape: any ObjectShape
    let namespace: String?
    /// of one call
    let timeout: Duration
    let failPoint: @Sendable (String) -> Void

    /// Everything that carries the delivery's label.
    func look(
        for delivery: Delivery, until deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) -> [SeenObject] {
        let label = ObjectNames.label(of: delivery)
        return try await look("\(label.name)=\(label.value)", until: deadline)
    }

    /// Objects of these problems, in no order.
    func look(
        for fingerprints: some Collection<String>, until deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) -> [SeenObject] {
        let values = fingerprints.map { $0.prefix(ObjectNames.labelLength) }.joined(separator: ",")
        return try await look("\(ObjectNames.fingerprintLabel) in (\(values))", until: deadline)
    }

    private func look(
        _ labels: String, until deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) -> [SeenObject] {
        let selector = KubernetesRequest.encoded(labels)
        // Without a resourceVersion: a list that has seen every write before it.
        let path = try collection() + "?labelSelector=\(selector)&limit=\(Self.page)"
        var seen: [SeenObject] = []
        var next = ""
        repeat {
            let more = next.isEmpty ? "" : "&continue=" + KubernetesRequest.encoded(next)
            let answer = try await send(KubernetesRequest(.get, path + more), until: deadline)
            guard let list = try? JSONDocument.parse(answer.body), let items = list.root["items"]?.array else {
                throw KubernetesError(.garbage, "a list without items")
            }
            seen += items.compactMap(shape.seen)
            next = list.root["metadata"]?["continue"]?.string ?? ""
        } while !next.isEmpty
        return seen
    }

    /// - Returns: nil when it is not there; without `object` when it is no object of this sink's.
    func read(
        _ name: String, label: String, until deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) -> (object: SeenObject?, label: String?)? {
        let answer: KubernetesResponse
        do throws(KubernetesError) {
            answer = try await send(KubernetesRequest(.get, try collection() + "/\(name)"), until: deadline)
        } catch  where error.code == .notFound {
            return nil
        }
        guard let document = try? JSONDocument.parse(answer.body) else {
            throw KubernetesError(.garbage, "an object that is not JSON")
        }
        return (shape.seen(document.root), document.root["metadata"]?["labels"]?[label]?.string)
    }

    func create(
        _ delivery: Delivery, _ name: String, until deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) -> SeenObject {
        var object = shape.made(of: delivery)
        let label = ObjectNames.label(of: delivery)
        var metadata = object["metadata"] ?? [:]
        var labels = metadata["labels"] ?? [:]
        labels[label.name] = .string(label.value)
        if delivery.kind == .storm { labels[ObjectNames.stormLabel] = .string(delivery.fingerprint) }
        metadata["labels"] = labels
        metadata["name"] = .string(name)
        object["metadata"] = metadata
        let request = KubernetesRequest(.post, try collection() + "?fieldManager=portcullis", body: try text(object))
        let answer = try await send(request, until: deadline)
        failPoint("object-created")
        guard let document = try? JSONDocument.parse(answer.body), let made = shape.seen(document.root) else {
            throw KubernetesError(.garbage, "the object that was made is not in the answer")
        }
        return made
    }

    /// Refused with a conflict when the object has changed since it was seen.
    func apply(
        _ change: ObjectChange, to object: SeenObject, until deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) {
        var fields = change.fields
        var metadata = fields["metadata"] ?? [:]
        metadata["name"] = .string(object.name)
        metadata["resourceVersion"] = .string(object.resourceVersion)
        // Without it, applying to what has been deleted makes it again.
        metadata["uid"] = .string(object.uid)
        fields["metadata"] = metadata
        let place = change.subresource.map { "\(object.name)/\($0)" } ?? object.name
        let path = try collection() + "/\(place)?fieldManager=portcullis&force=true"
        let request = KubernetesRequest(
            .patch, path, body: try text(fields), contentType: "application/apply-patch+yaml")
        _ = try await send(request, until: deadline)
    }

    private func send(
        _ request: KubernetesRequest, until deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) -> KubernetesResponse {
        // Past it, another host may have the delivery.
        let left = ContinuousClock.now.duration(to: deadline)
        guard left > .zero else { throw KubernetesError(.timeout, "the claim's time is over") }
        return try await client.send(request, within: min(timeout, left))
    }

    private func collection() throws(KubernetesError) -> String {
        guard let namespace = namespace ?? client.namespace else {
            throw KubernetesError(
                .credentials, "no namespace: give namespace: NAME, or one in the kubeconfig's context")
        }
        let root = shape.apiVersion.contains("/") ? "apis" : "api"
        return "/\(root)/\(shape.apiVersion)/namespaces/\(KubernetesRequest.encoded(namespace))/\(shape.plural)"
    }

    private func text(_ fields: [String: JSONTree]) throws(KubernetesError) -> [UInt8] {
        var fields = fields
        fields["apiVersion"] = .string(shape.apiVersion)
        fields["kind"] = .string(shape.kind)
        do throws(JSONError) {
            return try JSONTree.object(fields).text()
        } catch {
            throw KubernetesError(.garbage, "the delivery can't be written as JSON: \(error.message)")
        }
    }
}
