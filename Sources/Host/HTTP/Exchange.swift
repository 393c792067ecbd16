import HTTPTypes
import HummingbirdCore
import NIOCore

/// What the operators' listener does with a request's outside: its id, its path, its body, and writing the answer.
struct Exchange: Sendable {
    let id: String
    /// Without query.
    let path: String

    init(_ request: Request) {
        let given = request.headers[HTTPField.Name("X-Request-Id")!] ?? ""
        id = RequestID.isSane(given) ? given : RequestID.new()
        let whole = request.head.path ?? "/"
        path = whole.firstIndex(of: "?").map { String(whole[..<$0]) } ?? whole
    }

    func head(_ reply: Reply, close: Bool) -> HTTPResponse {
        var head = HTTPResponse(status: .init(code: reply.status))
        if let type = reply.type { head.headerFields[.contentType] = type.rawValue }
        head.headerFields[.contentLength] = String(reply.body.count)
        head.headerFields[HTTPField.Name("X-Request-Id")!] = id
        for (name, value) in reply.headers { head.headerFields[name] = value }
        if close { head.headerFields[.connection] = "close" }
        return head
    }

    func write(
        _ reply: Reply, close: Bool, to request: Request, _ writer: consuming ResponseWriter
    ) async throws {
        let body = request.method == .head ? ResponseBody() : ResponseBody(byteBuffer: ByteBuffer(bytes: reply.body))
        try await writer.write(response: head(reply, close: close), body: body)
    }
}

/// Ends a connection after its answer was written.
struct ConnectionDone: Error {}

/// A body that nobody wants.
struct BodyRest: @unchecked Sendable {  // SAFETY: handed from the task that read to the one that lingers, never shared
    private var iterator: RequestBody.AsyncIterator

    init(_ body: RequestBody) { iterator = body.makeAsyncIterator() }

    mutating func next() async throws -> ByteBuffer? { try await iterator.next() }

    /// - Returns: whether the body's end was reached.
    func linger(on eventLoop: any EventLoop) async -> Bool {
        await before(.now() + Linger.time, on: eventLoop) {
            var rest = self
            var count = 0
            while count < Linger.bytes {
                guard let chunk = try? await rest.next() else { return true }
                count += chunk.readableBytes
            }
            return false
        } ?? false
    }
}
