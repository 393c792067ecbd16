import HTTPTypes
import NIOCore
import NIOHTTP1

extension ByteBuffer {
    /// A whole answer of HTTP/1.1, head and body in one piece.
    /// - Parameters:
    ///   - close: it says that the connection ends with it.
    ///   - isHead: the request was a HEAD: the body's length is told, the body is not.
    mutating func write(_ reply: Reply, id: String, close: Bool, isHead: Bool) {
        switch reply.status {
        case 200: writeStaticString("HTTP/1.1 200 OK\r\n")
        case 201: writeStaticString("HTTP/1.1 201 Created\r\n")
        case 202: writeStaticString("HTTP/1.1 202 Accepted\r\n")
        default:
            writeString("HTTP/1.1 \(reply.status) \(HTTPResponseStatus(statusCode: reply.status).reasonPhrase)\r\n")
        }
        if let type = reply.type {
            writeString("Content-Type: \(type.rawValue)\r\n")
        }
        if reply.body.isEmpty {
            writeStaticString("Content-Length: 0\r\nX-Request-Id: ")
        } else {
            writeString("Content-Length: \(reply.body.count)\r\nX-Request-Id: ")
        }
        writeString(id)
        for (name, value) in reply.headers { writeString("\r\n\(name.rawName): \(value)") }
        if close { writeStaticString("\r\nConnection: close") }
        writeStaticString("\r\n\r\n")
        if !isHead { writeBytes(reply.body) }
    }

    mutating func writeContinue() { writeStaticString("HTTP/1.1 100 Continue\r\n\r\n") }
}
