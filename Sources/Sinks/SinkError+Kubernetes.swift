import Kubernetes
import SignalKit

extension SinkError {
    /// What a fault of the API means: for one delivery, or for the whole sink.
    init(_ error: KubernetesError) {
        let message = "\(error.code.rawValue): \(error.message)"
        switch error.code {
        case .tooLarge: self.init(.invalid, message, retryable: false)
        case .invalid: self.init(.invalid, message, retryable: !error.isFinal)
        // A policy may be changed, or its webhook mended, while the object is tried again.
        case .denied: self.init(.denied, message, retryable: true)
        case .alreadyExists, .conflict: self.init(.refused, message, retryable: true)
        case .notFound where !error.isMissingKind: self.init(.refused, message, retryable: true)
        case .notFound:
            self.init(
                wholeSink: .refused,
                message + "; is the kind installed (deploy/kubernetes/base/crd.yaml), and the namespace there?")
        case .unknownField:
            self.init(
                wholeSink: .refused,
                message
                    + "; does the sink's object: fit the kind that is installed, and is its CustomResourceDefinition current?"
            )
        case .overloaded, .unavailable: self.init(wholeSink: .overloaded, message)
        case .forbidden where error.isQuota: self.init(wholeSink: .overloaded, message)
        // Somebody may grant it, or renew it.
        case .credentials, .tls, .unauthorized, .forbidden: self.init(wholeSink: .denied, message)
        case .timeout: self.init(wholeSink: .timeout, message)
        case .unreachable, .interrupted: self.init(wholeSink: .unreachable, message)
        case .expired, .garbage: self.init(wholeSink: .refused, message)
        }
    }
}

extension KubernetesError {
    /// A 404 that names no object: the kind, or the namespace, is not there.
    fileprivate var isMissingKind: Bool { resource == nil || resource == "namespaces" }
}
