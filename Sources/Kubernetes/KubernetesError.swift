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
        /// 429
        case overloaded
        /// 5xx
        case unavailable
        /// An answer that is none of the API's.
        case garbage
    }

    public let code: Code
    /// For the operator. No credential.
    public let message: String
    /// Of the answer, if there was one.
    public let status: Int?
    /// The API's own word, `Status.reason`; decided by, unlike the text.
    public let reason: String?
    /// Seconds, from `Retry-After`.
    public let retryAfter: Int?

    public init(
        _ code: Code, _ message: String, status: Int? = nil, reason: String? = nil, retryAfter: Int? = nil
    ) {
        (self.code, self.message, self.status) = (code, message, status)
        (self.reason, self.retryAfter) = (reason, retryAfter)
    }

    public var description: String { "\(code.rawValue): \(message)" }

    /// The API's own word that the request itself can't be right, as opposed to that of a proxy in between.
    public var isFinal: Bool { code == .invalid && reason != nil && [400, 413, 422].contains(status) }

    /// A namespace's quota is used up: somebody may raise it, or delete something.
    public var isQuota: Bool { code == .forbidden && message.contains("exceeded quota") }

    /// From an answer that is not 2xx. A proxy in between may answer something else than a `Status`.
    init(_ response: KubernetesResponse) {
        let root = (try? JSONDocument.parse(response.body))?.root
        let status = root?["kind"]?.equals("Status") == true ? root : nil
        let reason = status?["reason"]?.string
        let message = Self.message(status, response.status)
        self.init(
            Self.code(response.status, reason), String(message.prefix(1_024)), status: response.status, reason: reason,
            retryAfter: response.headers["retry-after"].flatMap { Int($0) })
    }

    /// Without the values that were sent, which the text of a 422 quotes.
    private static func message(_ status: JSONValue?, _ number: Int) -> String {
        guard let status else { return "HTTP \(number) without a Status" }
        let causes = status["details"]?["causes"]?.array?.prefix(8).compactMap { cause in
            cause["field"]?.string.map { "\($0): \(cause["reason"]?.string ?? "invalid")" }
        }
        if number == 422 {
            return causes.flatMap { $0.isEmpty ? nil : "fields are invalid: " + $0.joined(separator: ", ") }
                ?? "the object is invalid"
        }
        return status["message"]?.string ?? "HTTP \(number) without a message"
    }

    /// From the `Status` of an ERROR line of a watch, which comes with an HTTP 200.
    public init(watched status: JSONValue) {
        let number = Int(clamping: status["code"]?.integer ?? 0)
        let reason = status["reason"]?.string
        let message = status["message"]?.string ?? "an ERROR line without a message"
        self.init(
            Self.code(number, reason), String(message.prefix(1_024)), status: number, reason: reason,
            retryAfter: status["details"]?["retryAfterSeconds"]?.integer.map { Int(clamping: $0) })
    }

    private static func code(_ status: Int, _ reason: String?) -> Code {
        switch status {
        case 401: .unauthorized
        case 403: .forbidden
        case 404: .notFound
        case 409: reason == "AlreadyExists" ? .alreadyExists : .conflict
        case 410: .expired
        case 429: .overloaded
        case 400..<500: .invalid
        case 500..<600: .unavailable
        default: .garbage
        }
    }
}
