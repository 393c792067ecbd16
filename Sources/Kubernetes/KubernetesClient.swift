public struct KubernetesRequest: Sendable {
    public enum Method: String, Sendable {
        case get = "GET", post = "POST", put = "PUT", patch = "PATCH", delete = "DELETE"
    }

    public var method: Method
    /// From the root, with query: `/api/v1/namespaces/shop/events?limit=500`. What stands in it must be encoded.
    public var path: String
    /// JSON; empty for none.
    public var body: [UInt8]
    public var contentType: String?

    public init(_ method: Method, _ path: String, body: [UInt8] = [], contentType: String? = nil) {
        (self.method, self.path, self.body) = (method, path, body)
        self.contentType = contentType ?? (body.isEmpty ? nil : "application/json")
    }

    /// For one segment of a path or one value of a query (RFC 3986, 2.3).
    public static func encoded(_ text: String) -> String {
        var out = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                out.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let hex = String(byte, radix: 16, uppercase: true)
                out += "%" + (hex.count == 1 ? "0" : "") + hex
            }
        }
        return out
    }
}

public struct KubernetesResponse: Sendable {
    public internal(set) var status: Int
    /// Names in lower case.
    public internal(set) var headers: [String: String]
    public internal(set) var body: [UInt8]
    /// Texts of the `Warning:` headers, 16 at most.
    public internal(set) var warnings: [String] = []
}

/// Talks to one API server.
public final class KubernetesClient: Sendable {
    /// What a client's requests are for. Requests of different purposes share no connection (decision 0023).
    public enum Purpose: Sendable { case watches, reviews, objects }

    private let credentials: Credentials
    private let purpose: Purpose

    /// - Parameter purpose: of what `send` sends; a `stream` is always a watch.
    public init(_ credentials: Credentials, for purpose: Purpose = .objects) {
        (self.credentials, self.purpose) = (credentials, purpose)
    }

    /// A request whose kept connection ends before the first byte of an answer is sent again by libcurl itself, once, whatever its
    /// method: what must not happen twice needs a name that only one can have.
    /// - Parameter deadline: of the whole request, its connection included.
    /// - Returns: an answer with 2xx.
    /// - Throws: anything else, as one of the bounded codes. After `timeout` and `interrupted` it is not known what
    ///   became of the request.
    public func send(
        _ request: KubernetesRequest, within deadline: Duration = .seconds(10)
    ) async throws(KubernetesError) -> KubernetesResponse {
        let server = try credentials.access()
        let loop = try Self.loop(purpose)
        let box = TransferBox()
        let result: Result<KubernetesResponse, KubernetesError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let transfer = Transfer(request, server, on: loop, within: deadline) {
                    continuation.resume(returning: $0)
                }
                box.hold(transfer)
            }
        } onCancel: {
            box.cancel()
        }
        return try result.get()
    }

    /// Begins a request whose answer is lines without a foreseeable end.
    /// - Parameter deadline: of all of it: what the request's own `timeoutSeconds` allows, and then some.
    /// - Throws: `credentials`, `unreachable`; whatever the server says comes from the stream.
    public func stream(
        _ request: KubernetesRequest, within deadline: Duration
    ) throws(KubernetesError) -> KubernetesStream {
        let server = try credentials.access()
        return KubernetesStream(request, server, on: try Self.loop(.watches), within: deadline)
    }

    private static func loop(_ purpose: Purpose) throws(KubernetesError) -> HTTPLoop {
        guard let loop = HTTPLoop.of(purpose) else {
            throw KubernetesError(.unreachable, "no memory or no thread for libcurl")
        }
        return loop
    }

    /// The namespace that the credentials name: that of the service account, or of the kubeconfig's context.
    public var namespace: String? { try? credentials.access().namespace }
}
