import FailPoints
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
    /// a label's value, for all objects that the sink makes
    let owner: String?
    /// of one call
    let timeout: Duration
    let warnings: WarningLog

    /// A field that the kind does not have is an error; without it the API server drops the field and says nothing.
    private static let writing = "fieldManager=portcullis&fieldValidation=Strict"

    /// Everything that carries the delivery's label.
    func look(
        for delivery: Delivery, until deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) -> [SeenObject] {
        let label = ObjectNames.label(of: delivery)
        return try await look(
            "\(label.name)=\(label.value)", of: label.name, among: [label.value], until: deadline)
    }

    /// Objects of these problems, in no order.
    func look(
        for fingerprints: some Collection<String>, until deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) -> [SeenObject] {
        let (name, values) = (
            ObjectNames.fingerprintLabel, fingerprints.map { String($0.prefix(ObjectNames.labelLength)) }
        )
        return try await look(
            "\(name) in (\(values.joined(separator: ",")))", of: name, among: Set(values), until: deadline)
    }

    /// - Parameters:
    ///   - selector: of a list.
    ///   - label: what every object that it finds must carry,
    ///   - values: with one of these.
    private func look(
        _ selector: String, of label: String, among values: Set<String>, until deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) -> [SeenObject] {
        let selector = KubernetesRequest.encoded(selector)
        // Without a resourceVersion: a list that has seen every write before it.
        let path = try collection() + "?labelSelector=\(selector)&limit=\(Self.page)"
        var seen: [SeenObject] = []
        var next = ""
        repeat {
            let more = next.isEmpty ? "" : "&continue=" + KubernetesRequest.encoded(next)
            let answer: KubernetesResponse
            do throws(KubernetesError) {
                answer = try await send(KubernetesRequest(.get, path + more), until: deadline)
            } catch  where error.code == .expired && !next.isEmpty {
                throw KubernetesError(.conflict, "a page of a list came too late")
            }
            let page = try listed(in: answer, label: label, values: values)
            seen += page.items.compactMap(shape.seen)
            next = page.next
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
        let object = try object(ExpectedObject(name: name), in: answer)
        return (shape.seen(object), object["metadata"]?["labels"]?[label]?.string)
    }

    func create(
        _ delivery: Delivery, _ name: String, until deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) -> SeenObject {
        let object = try storable(delivery, name)
        let request = KubernetesRequest(.post, try collection() + "?\(Self.writing)", body: try text(object))
        let answer = try await send(request, until: deadline)
        FailPoint.hit(.objectCreated)
        let expected = ExpectedObject(name: name, fingerprint: delivery.fingerprint)
        guard let made = shape.seen(try self.object(expected, in: answer)) else {
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
        let path = try collection() + "/\(place)?\(Self.writing)&force=true"
        let request = KubernetesRequest(
            .patch, path, body: try text(fields), contentType: "application/apply-patch+yaml")
        let answer = try await send(request, until: deadline)
        let expected = ExpectedObject(name: object.name, uid: object.uid, fingerprint: object.fingerprint)
        _ = try self.object(expected, in: answer)
    }

    // MARK: Deleting

    /// A page of the objects of one owner: those with its label, or without an owner those without the label.
    func page(of count: Int, after next: String) async throws(KubernetesError) -> (items: [SeenObject], next: String) {
        let label = ObjectNames.ownerLabel
        let selector = owner.map { "labelSelector=\(KubernetesRequest.encoded("\(label)=\($0)"))&" } ?? ""
        let more = next.isEmpty ? "" : "&continue=" + KubernetesRequest.encoded(next)
        let request = KubernetesRequest(.get, try collection() + "?\(selector)limit=\(count)\(more)")
        let answer = try await send(request, until: .now + .seconds(60))
        guard let owner else {
            let page = try listed(in: answer)
            return (page.items.filter { $0["metadata"]?["labels"]?[label] == nil }.compactMap(shape.seen), page.next)
        }
        let page = try listed(in: answer, label: label, values: [owner])
        return (page.items.compactMap(shape.seen), page.next)
    }

    /// Unless it has changed since it was seen.
    /// - Returns: whether it was deleted.
    func delete(_ object: SeenObject) async throws(KubernetesError) -> Bool {
        let options: JSONTree = [
            "kind": "DeleteOptions", "apiVersion": "v1",
            "preconditions": ["uid": .string(object.uid), "resourceVersion": .string(object.resourceVersion)],
        ]
        guard let body = try? options.text() else { return false }
        do throws(KubernetesError) {
            let request = KubernetesRequest(.delete, try collection() + "/\(object.name)", body: body)
            _ = try await send(request, until: .now + .seconds(60))
            return true
        } catch  where error.code == .notFound || error.code == .conflict {
            return false
        }
    }

    private func send(
        _ request: KubernetesRequest, until deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) -> KubernetesResponse {
        // Past it, another host may have the delivery.
        let left = ContinuousClock.now.duration(to: deadline)
        guard left > .zero else { throw KubernetesError(.timeout, "the claim's time is over") }
        let answer = try await client.send(request, within: min(timeout, left))
        warnings.note(answer.warnings)
        return answer
    }

    func usedNamespace() throws(KubernetesError) -> String {
        guard let namespace = namespace ?? client.namespace else {
            throw KubernetesError(
                .credentials, "no namespace: give namespace: NAME, or one in the kubeconfig's context")
        }
        return namespace
    }

    private func collection() throws(KubernetesError) -> String {
        let root = shape.apiVersion.contains("/") ? "apis" : "api"
        let namespace = KubernetesRequest.encoded(try usedNamespace())
        return "/\(root)/\(shape.apiVersion)/namespaces/\(namespace)/\(shape.plural)"
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
