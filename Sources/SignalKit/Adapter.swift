/// One request as an adapter sees it.
public struct InboundRequest: Sendable {
    /// The whole body, at most the configured limit (64 MiB by default).
    public let body: [UInt8]
    /// The media type without parameters, lower case; nil when the request had none.
    public let contentType: String?
    /// Names in lower case. Made anew at each look: few adapters ask for any.
    public var headers: [String: String] { makeHeaders() }
    private let makeHeaders: @Sendable () -> [String: String]
    /// The host's clock when the body was complete; an adapter has no clock of its own.
    public let receivedAt: Timestamp

    public init(body: [UInt8], contentType: String? = nil, headers: [String: String] = [:], receivedAt: Timestamp) {
        self.init(body: body, contentType: contentType, receivedAt: receivedAt) { headers }
    }

    package init(
        body: [UInt8], contentType: String?, receivedAt: Timestamp, headers: @escaping @Sendable () -> [String: String]
    ) {
        self.body = body
        self.contentType = contentType
        makeHeaders = headers
        self.receivedAt = receivedAt
    }
}

/// A body that an adapter can't read at all: the request is a 400.
public struct AdapterError: Error, Hashable, Sendable {
    public enum Code: String, Sendable, CaseIterable {
        /// Not JSON (or whatever the adapter reads).
        case malformed
        /// Well-formed, but not this adapter's document.
        case unexpected
        /// Deeper or longer than the adapter reads.
        case tooLarge
    }

    public let code: Code
    /// For the sender. No value from the input.
    public let message: String
    /// Byte offset into the body, when the fault has one.
    public let offset: Int?
    /// Path into the document (`alerts[3].labels`), when the fault has one.
    public let path: String?

    public init(_ code: Code, _ message: String, offset: Int? = nil, path: String? = nil) {
        (self.code, self.message, self.offset, self.path) = (code, message, offset, path)
    }
}

/// Bytes in, signals out. Pure: no I/O, no clock, the same answer for the same request.
public protocol SignalAdapter: Plugin {
    /// - Throws: `AdapterError` when the body as a whole can't be read. A bad item among good ones is not an
    ///   error: it goes into `Decoded.rejected`.
    func decode(_ request: InboundRequest) throws(AdapterError) -> Decoded
}
