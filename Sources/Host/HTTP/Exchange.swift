import Glibc
import HTTPTypes
import HummingbirdCore
import NIOCore

/// What both listeners do with a request's outside: its id, its path, its body, and writing the answer.
struct Exchange: Sendable {
    let id: String
    /// Without query.
    let path: String

    init(_ request: Request) {
        let given = request.headers[HTTPField.Name("X-Request-Id")!] ?? ""
        id = Self.isSane(given) ? given : Self.newID()
        let whole = request.head.path ?? "/"
        path = whole.firstIndex(of: "?").map { String(whole[..<$0]) } ?? whole
    }

    private static func isSane(_ id: String) -> Bool {
        (1...64).contains(id.utf8.count)
            && id.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }

    /// For a request that came without one: 32 hex digits.
    static func newID() -> String {
        func hex(_ value: UInt64) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }
        return hex(.random(in: 0 ... .max)) + hex(.random(in: 0 ... .max))
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

/// The rest of a body that nobody wants: read and thrown away for a while, for a connection that is closed with unread
/// bytes is reset, and the sender might never see its answer.
struct BodyRest: @unchecked Sendable {  // SAFETY: handed from the task that read to the one that lingers, never shared
    private var iterator: RequestBody.AsyncIterator

    init(_ body: RequestBody) { iterator = body.makeAsyncIterator() }

    mutating func next() async throws -> ByteBuffer? { try await iterator.next() }

    /// Bytes and time that are spent on it.
    static let most = 128 << 20
    static let time = TimeAmount.seconds(5)
    /// For more of a body that took too long: one that stalls holds its bytes in memory meanwhile.
    static let pause = TimeAmount.seconds(2)

    /// - Returns: whether the body's end was reached.
    func linger(on eventLoop: any EventLoop) async -> Bool {
        await before(.now() + Self.time, on: eventLoop) {
            var rest = self
            var count = 0
            while count < Self.most {
                guard let chunk = try? await rest.next() else { return true }
                count += chunk.readableBytes
            }
            return false
        } ?? false
    }
}
