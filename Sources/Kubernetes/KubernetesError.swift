public import JSON

/// Why a call did not do what it should.
public struct KubernetesError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable, CaseIterable {
        /// The configuration or the service account's files can't be used.
        case credentials
        /// No connection was made: the request was not sent.
        case unreachable
        /// The server's certificate is not trusted, or ours could not be used.
        case tls
        /// No answer in time: what became of the request is unknown.
        case timeout
        /// The connection ended before the answer did: what became of the request is unknown.
        case interrupted
        /// 401
        case unauthorized
        /// 403
        case forbidden
        /// An admission policy or an admission webhook denied the object. Any status.
        case denied
        /// 404
        case notFound
        /// 409 with `AlreadyExists`
        case alreadyExists
        /// any other 409
        case conflict
        /// 410, and an ERROR line of a watch that says so
        case expired
        /// 400, 413, 415, 422
        case invalid
        /// The object has a field that its kind does not have in this cluster: strict decoding, or server-side apply.
        case unknownField
        /// The object is larger than the API server or etcd stores. Any status.
        case tooLarge
        /// 429
        case overloaded
        /// 5xx
        case unavailable
        /// An answer that is none of the API's, or that belongs to another request.
        case garbage
    }

    public let code: Code
    /// For the operator. No credential.
    public let message: String
    /// Of the answer, if there was one.
    public let status: Int?
    /// The API's own word, `Status.reason`; decided by, unlike the text.
    public let reason: String?
    /// The resource that the answer speaks of, such as `namespaces` or `signals`; nil when it names none.
    public let resource: String?
    /// Seconds, from `Retry-After`.
    public let retryAfter: Int?

    public init(
        _ code: Code, _ message: String, status: Int? = nil, reason: String? = nil, resource: String? = nil,
        retryAfter: Int? = nil
    ) {
        (self.code, self.message, self.status) = (code, message, status)
        (self.reason, self.resource, self.retryAfter) = (reason, resource, retryAfter)
    }

    public var description: String { "\(code.rawValue): \(message)" }

    /// The API's own word that the request itself can't be right, as opposed to that of a proxy in between.
    public var isFinal: Bool {
        code == .tooLarge || (code == .invalid && reason != nil && [400, 413, 422].contains(status))
    }

    /// A namespace's quota is used up: somebody may raise it, or delete something.
    public var isQuota: Bool { code == .forbidden && message.contains("exceeded quota") }

    /// From an answer that is not 2xx. A proxy in between may answer something else than a `Status`.
    init(_ response: KubernetesResponse) {
        let root = (try? JSONDocument.parse(response.body))?.root
        let status = root?["kind"]?.equals("Status") == true ? StatusDocument(root, response.status) : nil
        let reason = status?.reason
        let code = status?.code ?? StatusDocument.code(response.status, reason)
        let message = status?.message(for: code) ?? "HTTP \(response.status) without a Status"
        self.init(
            code, message, status: response.status, reason: reason, resource: status?.resource,
            retryAfter: response.headers["retry-after"].flatMap { Int($0) })
    }

    /// From the `Status` of an ERROR line of a watch, which comes with an HTTP 200.
    public init(watched status: JSONValue) {
        let number = Int(clamping: status["code"]?.integer ?? 0)
        let reason = status["reason"]?.string
        let message = status["message"]?.string ?? "an ERROR line without a message"
        self.init(
            StatusDocument.code(number, reason), String(message.prefix(1_024)), status: number, reason: reason,
            retryAfter: status["details"]?["retryAfterSeconds"]?.integer.map { Int(clamping: $0) })
    }
}
