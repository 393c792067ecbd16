import NIOCore
import NIOHTTP1

/// What a sender has sent and its connection has not taken: bytes before the decoder, parts behind it, and the end.
struct ConnectionInput {
    /// Before the decoder. While there are any, no more are read.
    private var bytes = RequestSlicer()
    /// Parts of the request whose turn has not come: a piece that goes through the decoder may make several.
    private var parts = CircularBuffer<HTTPServerRequestPart>(initialCapacity: 4)
    /// Nothing follows but this.
    enum End: Sendable { case closed, malformed }
    private(set) var end: End?
    /// The sender has ended its side. The decoder hears of it behind the last bytes.
    private(set) var isClosed = false
    private var isClosingTold = false
    /// The decoder is between a head and the end of its body.
    private(set) var isInRequest = false
    /// Of the body that the decoder is in, as announced; nil when only the body itself tells.
    private var length: Int?
    private var decoded = 0
    private var hasParts = false

    // MARK: Bytes

    /// - Returns: false when it is more than a connection may send ahead of its turn.
    mutating func keep(_ more: ByteBuffer) -> Bool {
        bytes.keep(more)
        return bytes.count <= RequestSlicer.capacity
    }

    mutating func close() { isClosed = true }

    /// The bytes that the decoder may have next. Call it when all parts are taken.
    mutating func nextBytes() -> ByteBuffer? {
        hasParts = false
        guard isInRequest else { return bytes.next(.head) }
        return bytes.next(length.map { .body(missing: $0 - decoded) } ?? .chunks)
    }

    /// The last bytes were a head's, which has not ended yet.
    var isInHead: Bool { !hasParts && !isInRequest }

    /// The sender's end, once, behind all of its bytes.
    mutating func tellClosing() -> Bool {
        guard isClosed, !isClosingTold, bytes.isEmpty else { return false }
        isClosingTold = true
        return true
    }

    var holdsBytes: Bool { !bytes.isEmpty }
    var byteCount: Int { bytes.count }

    // MARK: Parts

    mutating func partCame(_ part: HTTPServerRequestPart) {
        hasParts = true
        switch part {
        case .head: (isInRequest, length, decoded) = (true, nil, 0)
        case .body(let chunk): decoded += chunk.readableBytes
        case .end: isInRequest = false
        }
    }

    /// What the head says of its body.
    mutating func bodyFollows(_ length: Int?) { self.length = length }

    var hasNoParts: Bool { parts.isEmpty }
    mutating func keep(_ part: HTTPServerRequestPart) { parts.append(part) }
    mutating func next() -> HTTPServerRequestPart? { parts.popFirst() }

    // MARK: The end

    /// The first end stays: after bytes that are no HTTP nothing is known.
    mutating func ended(_ how: End) {
        if end == nil { end = how }
        if how == .malformed { bytes.removeAll() }
    }
}

/// Brings a connection its bytes before they are decoded, and its sender's end.
final class ConnectionBytes: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let connection: IntakeConnection

    init(_ connection: IntakeConnection) { self.connection = connection }

    func handlerAdded(context: ChannelHandlerContext) { connection.decoderContext = context }
    func handlerRemoved(context: ChannelHandlerContext) { connection.decoderContext = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { connection.bytesCame(Self.unwrapInboundIn(data)) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent {
            connection.inputClosed()
        } else if event is OpenConnections.Leave {
            connection.leave()
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }
}

/// Next to the socket, in front of TLS: closes a connection without asking its other side, which may never answer. Without
/// TLS there is none, because `ConnectionBytes` is next to the socket.
final class ConnectionSocket: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let connection: IntakeConnection

    init(_ connection: IntakeConnection) { self.connection = connection }

    func handlerAdded(context: ChannelHandlerContext) { connection.socketContext = context }
    func handlerRemoved(context: ChannelHandlerContext) { connection.socketContext = nil }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is OpenConnections.Leave {
            connection.leave()
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }
}
