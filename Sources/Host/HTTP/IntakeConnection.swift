import NIOCore
import NIOHTTP1

/// One connection of a sender, on its event loop: one request after the other, each answered before the next is looked at.
///
/// This file hears of the channel, keeps the one timer and says whose turn it is; IntakeConnection+Request.swift is what
/// becomes of a request.
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
    var phase = Phase.idle
    var input = ConnectionInput()
    /// From its head to its answer.
    var request: RequestInWork?
    /// Of the present request, so that what comes late for an earlier one is known.
    var number = 0
    var ids = RequestID.Sequence()
    /// Of the body that is being discarded.
    var discarded = 0
    /// The first byte of the rest makes more time for it.
    var isPaused = false
    /// After the body that is being discarded.
    var next = Next.stay
    enum Next { case stay, finish, close }

    private(set) var context: ChannelHandlerContext?
    private(set) var isQuiescing = false
    private var isPumping = false
    private var readIsHeld = false
    /// When a head that has begun must have ended.
    private var headDue: NIODeadline?
    private var due = NIODeadline.distantFuture
    private var timer: (due: NIODeadline, task: Scheduled<Void>)?

    init(_ service: IntakeService, _ executor: LoopExecutor, _ lines: LineBatch) {
        (self.service, self.executor, self.lines) = (service, executor, lines)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { rest() }
    }
    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        timer?.task.cancel()
        timer = nil
    }

    // MARK: What comes

    func channelActive(context: ChannelHandlerContext) {
        if phase == .idle { rest() }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = Self.unwrapInboundIn(data)
        input.partCame(part)
        if case .head = part { headDue = nil }
        guard !isPumping, input.waiting.isEmpty, isReady(context) else { return input.keep(part) }
        isPumping = true
        take(part)
        isPumping = false
        pump()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if input.readEnded(), headDue == nil {
            headDue = .now() + TimeAmount(service.limits.header)
            if phase == .idle { wake(at: min(due, headDue ?? due)) }
        }
        context.fireChannelReadComplete()
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
            if phase == .ending { close() } else { pump() }
        } else if event is ChannelShouldQuiesceEvent {
            isQuiescing = true
            switch phase {
            case .idle, .discarding, .ending: close()
            case .asking, .reading, .deciding, .ended: break
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
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
        case .idle: context.channel.isWritable
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
            } else {
                if let end = input.end { inputEnded(end) }
                break
            }
        }
        isPumping = false
        if readIsHeld, input.waiting.isEmpty {
            readIsHeld = false
            context.read()
        }
    }

    func read(context: ChannelHandlerContext) {
        if input.waiting.isEmpty { context.read() } else { readIsHeld = true }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        pump()
        context.fireChannelWritabilityChanged()
    }

    private func inputEnded(_ how: ConnectionInput.End) {
        switch (phase, how) {
        case (.idle, .malformed):
            write { $0.writeBadRequest() }
            finish()
        case (.reading, _): cut()
        case (.idle, .closed), (.discarding, _), (.ending, .closed): close()
        case (.ending, .malformed), (.asking, _), (.deciding, _), (.ended, _): break
        }
    }

    // MARK: The end

    /// Nothing more is said; what the sender still sends is thrown away until it closes, for a while.
    func finish() {
        phase = .ending
        wake(at: .now() + Linger.time)
        whenWritten { connection, context in
            if connection.input.end == .closed {
                context.close(promise: nil)
            } else {
                context.close(mode: .output, promise: nil)
            }
        }
    }

    /// Once the sender has been sent all of its answer; it has a while to take it.
    func closeWhenWritten() {
        phase = .ending
        wake(at: .now() + Linger.time)
        whenWritten { _, context in context.close(promise: nil) }
    }

    func close() {
        phase = .ended
        context?.close(promise: nil)
    }

    private func whenWritten(_ body: @escaping (IntakeConnection, ChannelHandlerContext) -> Void) {
        guard let context else { return }
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer()), promise: written)
        written.futureResult.assumeIsolated().whenComplete { _ in
            if let context = self.context { body(self, context) }
        }
    }

    func write(_ body: (inout ByteBuffer) -> Void) {
        guard let context, context.channel.isActive else { return }
        var buffer = context.channel.allocator.buffer(capacity: 512)
        body(&buffer)
        context.writeAndFlush(Self.wrapOutboundOut(buffer), promise: nil)
    }

    // MARK: The time

    /// Waits for the next request.
    func rest() {
        phase = .idle
        let idle = NIODeadline.now() + TimeAmount(service.limits.idle)
        wake(at: min(idle, headDue ?? idle))
    }

    /// One timer for everything: it is set anew only when it would ring too late, and looked at again when it rings. What is
    /// done in time costs nothing.
    func wake(at deadline: NIODeadline) {
        due = deadline
        if let timer {
            guard deadline < timer.due else { return }
            timer.task.cancel()
        }
        guard let context else { return }
        timer = (
            deadline, context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { self.timerRang() }
        )
    }

    private func timerRang() {
        timer = nil
        guard phase != .ended else { return }
        if due <= .now() { timeIsOver() } else { wake(at: due) }
        pump()
    }

    private func timeIsOver() {
        switch phase {
        case .asking, .reading, .deciding: late()
        case .idle, .discarding, .ending: close()
        case .ended: break
        }
    }
}
