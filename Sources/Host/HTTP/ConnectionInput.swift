import NIOCore
import NIOHTTP1

/// What a connection's decoder has made of its bytes, until somebody wants it.
struct ConnectionInput {
    /// Parts that came while the present request was in work. While there are any, no more bytes are read.
    private(set) var waiting = CircularBuffer<HTTPServerRequestPart>(initialCapacity: 4)
    /// Nothing follows `waiting` but this.
    enum End: Sendable { case closed, malformed }
    private(set) var end: End?
    /// The decoder is between a head and the end of its body.
    private(set) var isInRequest = false
    private var hasBytes = false
    private var hasParts = false

    mutating func bytesCame() { hasBytes = true }

    mutating func partCame(_ part: HTTPServerRequestPart) {
        hasParts = true
        switch part {
        case .head: isInRequest = true
        case .body: break
        case .end: isInRequest = false
        }
    }

    /// What was read at once has been decoded.
    /// - Returns: whether all of it was a head's, which has not ended yet.
    mutating func readEnded() -> Bool {
        defer { (hasBytes, hasParts) = (false, false) }
        return hasBytes && !hasParts && !isInRequest
    }

    mutating func keep(_ part: HTTPServerRequestPart) { waiting.append(part) }
    mutating func next() -> HTTPServerRequestPart? { waiting.popFirst() }

    /// The first end stays: after bytes that are no HTTP nothing is known.
    mutating func ended(_ how: End) { if end == nil { end = how } }

    /// Tells a connection of bytes before they are decoded: those of a head that never ends make no part.
    final class Bytes: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let connection: IntakeConnection
        init(_ connection: IntakeConnection) { self.connection = connection }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            connection.input.bytesCame()
            context.fireChannelRead(data)
        }
    }
}
