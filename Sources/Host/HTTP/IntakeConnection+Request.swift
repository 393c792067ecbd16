import NIOCore
import NIOHTTP1

/// The way of a request, from its head to its answer.
extension IntakeConnection {
    /// Bodies up to this are worked on by the connection's own loop; a larger one would hold up all others of the loop.
    static let mostOnLoop = 256 << 10

    func take(_ part: HTTPServerRequestPart) {
        switch (phase, part) {
        case (.idle, .head(let head)): begin(head)
        case (.reading, .body(let chunk)): read(chunk)
        case (.reading, .end): decide()
        case (.discarding, .body(let chunk)): discard(chunk.readableBytes)
        case (.discarding, .end): bodyEnded()
        default: break
        }
    }

    // MARK: The head

    private func begin(_ decoded: HTTPRequestHead) {
        let head = RequestHead(decoded, &ids)
        number += 1
        input.bodyFollows(head.length)
        place.sends()
        let now = NIODeadline.now()
        requestDue = now + TimeAmount(service.limits.deadline)
        wake(at: min(requestDue, now + BodyPace.interval))
        let target = service.place(of: head.path)
        if let fault = head.fault { return refuse(fault, target) }
        switch target {
        case .beside(let side):
            answer(
                RequestInWork(head, to: nil), service.reply(to: side, head), nil, then: closes ? .close : nil,
                hasRest: true)
        case .route(let destination): look(RequestInWork(head, to: destination))
        case nil: look(RequestInWork(head, to: nil))
        }

        func refuse(_ fault: String, _ target: IntakeService.Place?) {
            let destination: Destination? = if case .route(let known)? = target { known } else { nil }
            conclude(
                RequestInWork(head, to: destination), .refused(.badRequest(detail: fault)), then: .close, hasRest: true)
        }
    }

    private func look(_ request: RequestInWork) {
        self.request = request
        switch service.look(request.head, request.destination) {
        case .ask(let review): ask(review, request.destination)
        case let early: follow(early)
        }
    }

    private func ask(_ review: Authenticator.Review, _ destination: Destination?) {
        guard let context, let destination else { return }
        phase = .asking
        place.works()
        let (number, eventLoop) = (number, context.eventLoop)
        let connection = NIOLoopBound(self, eventLoop: eventLoop)
        Task(executorPreference: executor) {
            let decision = await review.decide()
            eventLoop.run { connection.value.heard(decision, destination, number) }
        }
    }

    private func heard(_ decision: Authenticator.Decision, _ destination: Destination, _ number: Int) {
        guard number == self.number, phase == .asking, let request else { return }
        place.sends()
        follow(service.judge(decision, request.head, destination))
        pump()
    }

    private func follow(_ early: IntakeService.Early) {
        guard let request else { return }
        switch early {
        case .refused(let refusal): return refuse(refusal)
        case .goOn, .ask: break
        }
        guard let ticket = service.inFlight.begin() else { return refuse(service.full) }
        if request.head.expectsContinue { write { $0.writeContinue() } }
        request.ticket = ticket
        phase = .reading
    }

    /// Before its end was read.
    private func refuse(_ refusal: Refusal) {
        guard let request = giveUp() else { return }
        // A small rest is read, and the connection lives on; a large one is not waited for.
        let isLong = request.head.announced > 64 << 10
        conclude(request, .refused(refusal), then: closes || isLong ? .close : nil, hasRest: true)
    }

    /// Bytes that are no request: of what they were meant to be, nothing is known.
    func refuseBytes() {
        let id = ids.next()
        let reply = service.refuseBytes(id, by: lines)
        write(256 + reply.body.count) { $0.write(reply, id: id, close: true, isHead: false) }
    }

    /// A request whose body has a chunk that is none. Nothing behind it can be read.
    func refuseMalformed() {
        guard let request = giveUp() else { return }
        let refusal = Refusal.badRequest(detail: "the body has a chunk that is malformed")
        conclude(request, .refused(refusal), then: .finish, hasRest: false)
    }

    // MARK: The body

    private func read(_ chunk: ByteBuffer) {
        guard let request, var ticket = request.ticket else { return }
        let count = chunk.readableBytes
        guard request.bytes + count <= service.limits.body else {
            return refuse(.tooLarge(limit: service.limits.body))
        }
        guard service.inFlight.grow(&ticket, by: count) else {
            return refuse(.overloaded(detail: "\(service.limits.inFlightBytes) bytes in flight"))
        }
        request.ticket = ticket
        if request.bytes == 0 { request.body.reserveCapacity(min(request.head.length ?? 0, 1 << 20)) }
        request.bytes += count
        request.body.append(contentsOf: chunk.readableBytesView)
    }

    /// Looked at while it comes: a slow body is given up before its deadline.
    func lookAtBody() {
        guard let request, var ticket = request.ticket else { return }
        let hasShare = service.inFlight.slow(&ticket, from: place.peer)
        request.ticket = ticket
        if request.bytes - request.bytesAtLook < BodyPace.least {
            giveUpBody(.overloaded(detail: "the body came slower than \(BodyPace.least) bytes in 5 s"))
        } else if !hasShare {
            giveUpBody(.overloaded(detail: "too many slow bodies from one address"))
        } else {
            request.bytesAtLook = request.bytes
            wake(at: min(requestDue, .now() + BodyPace.interval))
        }
    }

    private func giveUpBody(_ refusal: Refusal) {
        guard let request = giveUp() else { return }
        conclude(request, .refused(refusal), then: .close, hasRest: true)
        pauseBody()
    }

    private func decide() {
        guard let context, let request, let destination = request.destination, var ticket = request.ticket else {
            return
        }
        guard service.inFlight.takePlace(&ticket) else {
            _ = giveUp()
            return conclude(request, .refused(service.full), then: closes ? .close : nil, hasRest: false)
        }
        phase = .deciding
        place.works()
        let whole = IntakeService.Whole(
            head: request.head, destination: destination, body: request.body, ticket: ticket,
            deadline: request.began + service.limits.deadline)
        // They are the task's by now.
        request.body = []
        request.ticket = nil
        let (number, service, eventLoop) = (number, service, context.eventLoop)
        let connection = NIOLoopBound(self, eventLoop: eventLoop)
        let work: @Sendable () async -> Void = {
            let answer = await service.decide(whole, on: eventLoop)
            eventLoop.run { connection.value.decided(answer, number) }
        }
        if request.bytes > Self.mostOnLoop {
            request.task = Task(operation: work)
        } else {
            // Begun here and now; the executor has what comes after the first wait.
            let task = Task.immediate(executorPreference: executor, operation: work)
            if self.request === request { request.task = task }
        }
    }

    private func decided(_ answer: IntakeAnswer, _ number: Int) {
        guard number == self.number, phase == .deciding, let request = giveUp() else { return }
        if service.isGood(answer) { place.prove() }
        conclude(request, answer, then: closes ? .close : nil, hasRest: false)
        pump()
    }

    /// The request's time is over. What works on it goes on for a while: what a cancellation would make of it must not come
    /// first.
    func late() {
        let hasRest = phase != .deciding
        guard let context, let request = giveUp() else { return }
        if let task = request.task {
            context.eventLoop.scheduleTask(in: Linger.pause) { task.cancel() }
        }
        conclude(request, .refused(service.late), then: .close, hasRest: hasRest)
        pauseBody()
    }

    /// A sender that is still at its body may go on for a while, as with every body that is thrown away.
    private func pauseBody() {
        guard phase == .discarding else { return }
        isPaused = true
        wake(at: .now() + Linger.pause)
    }

    /// The sender is gone while its request is worked on. The answer is for the log alone, and somebody may never give one.
    func abandon(_ eventLoop: any EventLoop) {
        guard let task = request?.task else { return }
        eventLoop.scheduleTask(in: TimeAmount(service.limits.deadline) + Linger.pause) { task.cancel() }
    }

    /// The sender is gone in the middle of its body, or what it sends is no HTTP.
    func cut() {
        forget()
        close()
    }

    /// Its sender hears no answer.
    func forget() {
        if let request = giveUp() { service.tellCut(request, by: lines) }
    }

    /// The request, out of its connection's hands, and with it the room that it took.
    private func giveUp() -> RequestInWork? {
        guard let request else { return nil }
        if let ticket = request.ticket { service.inFlight.end(ticket) }
        self.request = nil
        return request
    }

    // MARK: The answer

    var closes: Bool { isQuiescing || service.isDraining }

    /// - Parameter then: how the connection ends with this answer; nil as the sender asks.
    private func conclude(_ request: RequestInWork, _ answer: IntakeAnswer, then end: Next?, hasRest: Bool) {
        self.answer(
            request, service.reply(to: answer, request.head, request.destination), answer, then: end, hasRest: hasRest)
    }

    private func answer(
        _ request: RequestInWork, _ reply: Reply, _ answer: IntakeAnswer?, then end: Next?, hasRest: Bool
    ) {
        guard let context, context.channel.isActive else {
            phase = .ended
            return service.tellCut(request, answer, by: lines)
        }
        let head = request.head
        next = end ?? (head.isLast ? .close : head.keepsAlive ? .stay : .finish)
        let saysClose = end != nil || head.isLast
        write(256 + reply.body.count) {
            $0.write(reply, id: head.id, close: saysClose, isHead: head.method == .HEAD)
        }
        service.tell(request, reply.status, answer, by: lines)
        guard hasRest else { return bodyEnded() }
        phase = .discarding
        (discarded, isPaused) = (0, false)
        let now = NIODeadline.now()
        place.rests(since: now)
        wake(at: now + Linger.time)
    }

    private func discard(_ count: Int) {
        discarded += count
        if discarded > Linger.bytes { return close() }
        guard isPaused else { return }
        isPaused = false
        wake(at: .now() + Linger.time)
    }

    private func bodyEnded() {
        switch next {
        case .stay: rest()
        case .finish: finish()
        case .close: closeWhenWritten()
        }
    }
}

extension EventLoop {
    /// At once where this is the loop's own thread.
    fileprivate func run(_ body: @escaping @Sendable () -> Void) {
        if inEventLoop { body() } else { execute(body) }
    }
}
