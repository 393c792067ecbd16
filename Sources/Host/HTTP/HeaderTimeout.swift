import NIOCore
import NIOHTTPTypes

/// Closes a connection whose request header takes too long: a slow one would hold its socket for as long as it liked.
///
/// Two handlers around the HTTP decoder, on one event loop: bytes come in below, heads and ends come out above.
final class HeaderTimeout: @unchecked Sendable {  // SAFETY: used on its channel's event loop alone
    private let limit: TimeAmount
    private var timer: Scheduled<Void>?
    /// Between a head and the end of its body, bytes are no header's.
    private var inRequest = false

    init(_ limit: Duration) { self.limit = TimeAmount(limit) }

    private func bytesCame(_ channel: any Channel) {
        guard !inRequest, timer == nil else { return }
        timer = channel.eventLoop.scheduleTask(in: limit) { channel.close(promise: nil) }
    }

    private func headCame() {
        inRequest = true
        stop()
    }

    private func stop() {
        timer?.cancel()
        timer = nil
    }

    final class Below: ChannelInboundHandler, @unchecked Sendable {  // SAFETY: as its owner
        typealias InboundIn = ByteBuffer
        private let owner: HeaderTimeout
        init(_ owner: HeaderTimeout) { self.owner = owner }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            owner.bytesCame(context.channel)
            context.fireChannelRead(data)
        }
        func channelInactive(context: ChannelHandlerContext) {
            owner.stop()
            context.fireChannelInactive()
        }
    }

    final class Above: ChannelInboundHandler, RemovableChannelHandler, @unchecked Sendable {  // SAFETY: as its owner
        typealias InboundIn = HTTPRequestPart
        private let owner: HeaderTimeout
        init(_ owner: HeaderTimeout) { self.owner = owner }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head: owner.headCame()
            case .end: owner.inRequest = false
            case .body: break
            }
            context.fireChannelRead(data)
        }
    }
}
