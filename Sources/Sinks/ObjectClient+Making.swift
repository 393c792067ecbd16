import JSON
import Kubernetes
import SignalKit

/// How a delivery becomes an object that can be stored.
extension ObjectClient {
    /// The object to create, with annotations shortened when it would be too large.
    /// - Throws: `tooLarge` when that does not help.
    func storable(_ delivery: Delivery, _ name: String) throws(KubernetesError) -> [String: JSONTree] {
        var annotations = ShortenedAnnotations(delivery.signal?.annotations ?? .empty)
        while true {
            let object = whole(shape.made(of: delivery, annotations: annotations.values), delivery, name)
            let (size, noted) = (StoredSize.bytes(.object(object)), StoredSize.annotationBytes(object))
            if size <= StoredSize.most, noted <= StoredSize.mostAnnotations { return object }
            guard annotations.shorten() else {
                throw KubernetesError(
                    .tooLarge,
                    noted > StoredSize.mostAnnotations
                        ? "metadata.annotations would have \(noted) bytes, and Kubernetes stores \(StoredSize.mostAnnotations) at most"
                        : "the object would take \(size) bytes in etcd, which stores \(StoredSize.most) of it at most")
            }
        }
    }

    private func whole(_ made: [String: JSONTree], _ delivery: Delivery, _ name: String) -> [String: JSONTree] {
        var object = made
        let label = ObjectNames.label(of: delivery)
        var metadata = object["metadata"] ?? [:]
        var labels = metadata["labels"] ?? [:]
        labels[label.name] = .string(label.value)
        if let owner { labels[ObjectNames.ownerLabel] = .string(owner) }
        if delivery.kind == .storm { labels[ObjectNames.stormLabel] = .string(delivery.fingerprint) }
        metadata["labels"] = labels
        metadata["name"] = .string(name)
        object["metadata"] = metadata
        return object
    }
}
