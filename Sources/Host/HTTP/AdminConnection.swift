import HTTPTypes
import NIOCore
import NIOHTTP1

/// One connection of an operator or a probe, around the decoder of Hummingbird's channel: one request is decoded at a time,
/// heads and the readers of answers have a time limit, and what is no HTTP/1.1 is a 400.
///
/// Two handlers on one event loop: bytes come in below the decoder, parts come out above it.
final class AdminConnection: @unchecked Sendable {  // SAFETY: used on its channel's event loop alone
    struct Limits: Sendable {
        /// For a head to arrive.
        let header: Duration
        let open: OpenConnections
        let inFlight: InFlight
        let ended: @Sendable (ConnectionEnd) -> Void
    }

    private let limits: Limits
    private let place: OpenConnections.Place
    private var input = ConnectionInput()
    private var below, above: ChannelHandlerContext?
    /// From a head to its answer.
    private var isAnswering = false
    private var hasAnswerBegun = false
    /// This class has given the last answer itself, or closed the connection.
    private var isEnding = false
    private var isPumping = false
    private var readIsHeld = false
    private var unread: UnreadAnswer?
    private var timer: Scheduled<Void>?

    init(_ limits: Limits, _ place: OpenConnections.Place) { (self.limits, self.place) = (limits, place) }

    // MARK: What comes

    private func begin(_ context: ChannelHandlerContext) {
        below = context
        wake(in: TimeAmount(limits.header)) { $0.cutOff(.header) }
    }

    private func bytesCame(_ bytes: ByteBuffer) {
        guard !isEnding, input.end == nil else { return }
        guard input.keep(bytes) else { return cutOff(.ahead) }
        pump()
    }

    private func pump() {
        guard !isPumping, let below else { return }
        isPumping = true
        while !isEnding, input.isInRequest || !isAnswering {
            if let bytes = input.nextBytes() {
                below.fireChannelRead(NIOAny(bytes))
                if input.isInHead, timer == nil { wake(in: TimeAmount(limits.header)) { $0.cutOff(.header) } }
            } else {
                if input.tellClosing() { below.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
                break
            }
        }
        isPumping = false
        if readIsHeld, !input.holdsBytes {
            readIsHeld = false
            below.read()
        }
    }

    private func partCame(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
        input.partCame(part)
        guard !isEnding else { return }
        if case .head(let decoded) = part {
            stopTimer()
            place.works()
            var ids = RequestID.Sequence()
            let head = RequestHead(decoded, &ids)
            input.bodyFollows(head.length)
            (isAnswering, hasAnswerBegun) = (true, false)
            if let fault = head.fault { return refuse(.badRequest(detail: fault)) }
            if place.isReserved, !AdminResponder.probes.contains(head.path) {
                return refuse(.overloaded(detail: "the listener is full; it answers probes alone"))
            }
        }
        context.fireChannelRead(NIOAny(part))
    }

    private func errorCaught(_ error: any Error, _ context: ChannelHandlerContext) {
        guard error is HTTPParserError, !isEnding, !input.isClosed else { return context.fireErrorCaught(error) }
        input.ended(.malformed)
        if hasAnswerBegun { return close() }
        refuse(.badRequest(detail: "the bytes are not HTTP/1.1"))
    }

    // MARK: What goes

    private func write(
        _ part: HTTPServerResponsePart, _ promise: EventLoopPromise<Void>?, _ context: ChannelHandlerContext
    ) {
        guard !isEnding else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        if !hasAnswerBegun {
            hasAnswerBegun = true
            // Hummingbird writes the end of an answer only when the socket takes more.
            wake(in: AnswerPace.interval) { $0.lookAtAnswer() }
        }
        guard case .end = part else { return context.write(NIOAny(part), promise: promise) }
        let written = promise ?? context.eventLoop.makePromise(of: Void.self)
        context.write(NIOAny(part), promise: written)
        written.futureResult.assumeIsolated().whenComplete { _ in self.answered() }
    }

    private func answered() {
        endUnread()
        stopTimer()
        isAnswering = false
        if !place.isReserved { place.prove() }
        place.rests(since: .now())
        pump()
        // Hummingbird takes parts at the end of a read, and what was held came with an earlier one.
        below?.fireChannelReadComplete()
    }

    private func lookAtAnswer() {
        guard let below else { return }
        let count = below.channel.unsentBytes
        if count == 0 {
            endUnread()
        } else {
            if unread == nil { unread = UnreadAnswer(limits.inFlight.unread(count)) }
            guard unread?.moves(count) ?? true else { return cutOff(.unread) }
        }
        wake(in: AnswerPace.interval) { $0.lookAtAnswer() }
    }

    private func endUnread() {
        if let unread { limits.inFlight.end(unread.ticket) }
        unread = nil
    }

    // MARK: The end

    /// Answers in the place of Hummingbird, and closes.
    private func refuse(_ refusal: Refusal) {
        guard let above else { return }
        isEnding = true
        let reply = StatusTable.reply(
            to: .refused(refusal), instance: nil, requestID: RequestID.new(), retryAfter: Int.random(in: 1...5))
        var headers = HTTPHeaders([
            ("Content-Type", Reply.MediaType.problem.rawValue), ("Content-Length", String(reply.body.count)),
            ("Connection", "close"),
        ])
        for (name, value) in reply.headers { headers.add(name: name.rawName, value: value) }
        let status = HTTPResponseStatus(statusCode: reply.status)
        above.write(
            NIOAny(HTTPServerResponsePart.head(.init(version: .http1_1, status: status, headers: headers))),
            promise: nil)
        above.write(NIOAny(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: reply.body)))), promise: nil)
        let written = above.eventLoop.makePromise(of: Void.self)
        above.writeAndFlush(NIOAny(HTTPServerResponsePart.end(nil)), promise: written)
        written.futureResult.assumeIsolated().whenComplete { _ in self.below?.close(mode: .output, promise: nil) }
        wake(in: Linger.time) { $0.close() }
    }

    private func leave() {
        if isAnswering { return place.stays() }
        cutOff(.replaced)
    }

    private func cutOff(_ reason: ConnectionEnd) {
        limits.ended(reason)
        close()
    }

    private func close() {
        isEnding = true
        below?.close(promise: nil)
    }

    private func gone() {
        endUnread()
        stopTimer()
        (below, above) = (nil, nil)
    }

    private func wake(in time: TimeAmount, _ body: @escaping (AdminConnection) -> Void) {
        stopTimer()
        timer = below?.eventLoop.assumeIsolated().scheduleTask(in: time) {
            self.timer = nil
            body(self)
        }
    }

    private func stopTimer() {
        timer?.cancel()
        timer = nil
    }

    // MARK: The handlers

    final class Below: ChannelDuplexHandler, @unchecked Sendable {  // SAFETY: as its owner
        typealias InboundIn = ByteBuffer
        typealias OutboundIn = ByteBuffer
        private let owner: AdminConnection
        init(_ owner: AdminConnection) { self.owner = owner }
        func handlerAdded(context: ChannelHandlerContext) { owner.begin(context) }
        func handlerRemoved(context: ChannelHandlerContext) { owner.gone() }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { owner.bytesCame(Self.unwrapInboundIn(data)) }
        func read(context: ChannelHandlerContext) {
            if owner.input.holdsBytes { owner.readIsHeld = true } else { context.read() }
        }
        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event is OpenConnections.Leave {
                owner.leave()
            } else if case .inputClosed? = event as? ChannelEvent {
                owner.input.close()
                if owner.isEnding { owner.close() } else { owner.pump() }
            } else {
                context.fireUserInboundEventTriggered(event)
            }
        }
    }

    final class Above: ChannelDuplexHandler, @unchecked Sendable {  // SAFETY: as its owner
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundIn = HTTPServerResponsePart
        private let owner: AdminConnection
        init(_ owner: AdminConnection) { self.owner = owner }
        func handlerAdded(context: ChannelHandlerContext) { owner.above = context }
        func handlerRemoved(context: ChannelHandlerContext) { owner.above = nil }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            owner.partCame(Self.unwrapInboundIn(data), context)
        }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { owner.errorCaught(error, context) }
        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            owner.write(Self.unwrapOutboundIn(data), promise, context)
        }
    }
}
