import NIOCore
import NIOHTTP1

/// One connection of a sender, on its event loop: one request after the other, each answered before the next is decoded.
///
/// This file hears of the channel and says whose turn it is; IntakeConnection+Request.swift is the way of a request, and
/// IntakeConnection+Time.swift has the one timer, and how a connection ends.
final class IntakeConnection: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase {
        /// Between requests.
        case idle
        /// Somebody else is asked whether the sender may.
        case asking
        case reading
        /// The body is whole, and a task works on it.
        case deciding
        /// Answered; the rest of the body is thrown away.
        case discarding
        /// The last answer is written, and what still comes is nobody's.
        case ending
        case ended
    }

    let service: IntakeService
    let executor: LoopExecutor
    let lines: LineBatch
    let place: OpenConnections.Place
    var phase = Phase.idle
    var input = ConnectionInput()
    /// From its head to its answer.
    var request: RequestInWork?
    /// Of the present request, so that what comes late for an earlier one is known.
    var number = 0
    var ids = RequestID.Sequence()
    /// An answer that the socket has not taken whole.
    var unread: UnreadAnswer?
    /// Of the body that is being discarded.
    var discarded = 0
    /// The first byte of the rest makes more time for it.
    var isPaused = false
    /// After the body that is being discarded.
    var next = Next.stay
    enum Next { case stay, finish, close }
    /// The last answer is with the kernel.
    var isWritten = false
    var isQuiescing = false

    private(set) var context: ChannelHandlerContext?
    /// Reads from it go to the decoder.
    var decoderContext: ChannelHandlerContext?
    /// In front of TLS; nil without it.
    var socketContext: ChannelHandlerContext?
    private var isPumping = false
    private var readIsHeld = false

    /// When a head must have ended: the first one counts from the connection's beginning, a later one from its first byte.
    var headDue: NIODeadline?
    /// When the present request must have its answer.
    var requestDue = NIODeadline.distantFuture
    var due = NIODeadline.distantFuture
    var timer: (due: NIODeadline, task: Scheduled<Void>)?

    init(_ service: IntakeService, _ executor: LoopExecutor, _ lines: LineBatch, _ place: OpenConnections.Place) {
        (self.service, self.executor, self.lines, self.place) = (service, executor, lines, place)
        headDue = .now() + TimeAmount(service.limits.header)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { rest() }
    }
    func handlerRemoved(context: ChannelHandlerContext) {
        answerIsRead()
        self.context = nil
        timer?.task.cancel()
        timer = nil
    }

    // MARK: What comes

    func channelActive(context: ChannelHandlerContext) {
        if phase == .idle { rest() }
        context.fireChannelActive()
    }

    /// Before they are decoded.
    func bytesCame(_ bytes: ByteBuffer) {
        // Behind the last answer, or behind bytes that are no HTTP.
        guard phase != .ending, phase != .ended, input.end == nil else { return }
        guard input.keep(bytes) else { return cutOff(.ahead) }
        pump()
    }

    func inputClosed() {
        input.close()
        if phase == .ending, isWritten { close() } else { pump() }
    }

    /// Within `pump`, but for what a decoder makes of its channel's end.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = Self.unwrapInboundIn(data)
        input.partCame(part)
        if case .head = part { headDue = nil }
        guard isPumping, input.hasNoParts, isReady(context) else { return input.keep(part) }
        take(part)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case is HTTPParserError:
            input.ended(.malformed)
            pump()
        // Of bytes behind those.
        case is ByteToMessageDecoderError: break
        default: context.close(promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent {
            input.ended(.closed)
        } else if event is ChannelShouldQuiesceEvent {
            quiesce()
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        answerIsRead()
        switch phase {
        case .asking, .reading: cut()
        case .deciding: abandon(context.eventLoop)
        case .idle, .discarding, .ending, .ended: phase = .ended
        }
        context.fireChannelInactive()
    }

    // MARK: Whose turn it is

    /// A sender that does not read its answers is read no further.
    private func isReady(_ context: ChannelHandlerContext) -> Bool {
        switch phase {
        case .idle: unread == nil
        case .asking, .deciding: false
        case .reading, .discarding, .ending, .ended: true
        }
    }

    /// Takes what has been waiting, as far as its turn has come.
    func pump() {
        guard !isPumping, let context else { return }
        isPumping = true
        while isReady(context) {
            if let part = input.next() {
                take(part)
            } else if let decoderContext, let bytes = input.nextBytes() {
                decoderContext.fireChannelRead(NIOAny(bytes))
                if input.isInHead { headBegins() }
            } else if let decoderContext, input.tellClosing() {
                decoderContext.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            } else {
                if let end = input.end { inputEnded(end) }
                break
            }
        }
        isPumping = false
        if readIsHeld, !input.holdsBytes {
            readIsHeld = false
            context.read()
        }
    }

    private func headBegins() {
        guard headDue == nil else { return }
        let due = NIODeadline.now() + TimeAmount(service.limits.header)
        headDue = due
        if phase == .idle { wake(at: min(self.due, due)) }
    }

    func read(context: ChannelHandlerContext) {
        if input.holdsBytes { readIsHeld = true } else { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { answerIsRead() }
        pump()
        context.fireChannelWritabilityChanged()
    }

    private func inputEnded(_ how: ConnectionInput.End) {
        switch (phase, how) {
        case (.idle, .malformed):
            refuseBytes()
            finish()
        case (.reading, .malformed) where !input.isClosed: refuseMalformed()
        case (.reading, _): cut()
        case (.idle, .closed), (.discarding, _): close()
        case (.ending, .closed): if isWritten { close() }
        case (.ending, .malformed), (.asking, _), (.deciding, _), (.ended, _): break
        }
    }

    // MARK: What goes

    /// - Parameter capacity: bytes that `body` writes, about.
    func write(_ capacity: Int = 512, _ body: (inout ByteBuffer) -> Void) {
        guard let context, context.channel.isActive else { return }
        var buffer = context.channel.allocator.buffer(capacity: max(capacity, 512))
        body(&buffer)
        let count = buffer.readableBytes
        context.writeAndFlush(Self.wrapOutboundOut(buffer), promise: nil)
        if !context.channel.isWritable { answerIsUnread(count + input.byteCount) }
    }
}
