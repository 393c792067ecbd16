import NIOCore
import NIOHTTP1

/// The one timer of a connection, and how it ends.
extension IntakeConnection {
    // MARK: The time

    /// Waits for the next request.
    func rest() {
        phase = .idle
        let now = NIODeadline.now()
        guard unread == nil else { return wake(at: now + AnswerPace.interval) }
        place.rests(since: now)
        let idle = now + TimeAmount(service.limits.idle)
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
        case .asking, .deciding: if requestDue <= .now() { late() } else { wake(at: requestDue) }
        case .reading: if requestDue <= .now() { late() } else { lookAtBody() }
        case .idle:
            if unread != nil { lookAtAnswer() } else if headDue != nil { cutOff(.header) } else { close() }
        case .discarding: if unread != nil { lookAtAnswer() } else { close() }
        case .ending: if isWritten { close() } else { lookAtAnswer() }
        case .ended: break
        }
    }

    // MARK: The reader of an answer

    /// - Parameter count: bytes that are held for it.
    func answerIsUnread(_ count: Int) {
        guard unread == nil else { return }
        unread = UnreadAnswer(service.inFlight.unread(count))
    }

    /// All of it is with the kernel, or its reader is gone.
    func answerIsRead() {
        guard let unread else { return }
        service.inFlight.end(unread.ticket)
        self.unread = nil
        if phase == .idle { rest() }
    }

    private func lookAtAnswer() {
        guard let context else { return }
        if unread == nil { answerIsUnread(0) }
        guard unread?.moves(context.channel.unsentBytes) ?? true else { return cutOff(.unread) }
        wake(at: .now() + AnswerPace.interval)
    }

    // MARK: The end

    func quiesce() {
        isQuiescing = true
        switch phase {
        case .idle where unread != nil: closeWhenWritten()
        case .ending where !isWritten: break
        case .idle, .discarding, .ending: close()
        case .asking, .reading, .deciding, .ended: break
        }
    }

    /// Another connection needs its place.
    func leave() {
        switch phase {
        case .idle where unread == nil, .discarding,
            .ending where isWritten:
            cutOff(.replaced)
        case .reading where place.maySendNoLonger: cutOff(.replaced)
        case .idle, .asking, .reading, .deciding, .ending: place.stays()
        case .ended: break
        }
    }

    /// Nothing more is said; what the sender still sends is thrown away until it closes, for a while.
    func finish() {
        end { connection, context in
            if connection.input.isClosed {
                context.close(promise: nil)
            } else {
                context.close(mode: .output, promise: nil)
            }
        }
    }

    /// Once the sender has been sent all of its answer; it has a while to take it.
    func closeWhenWritten() { end { _, context in context.close(promise: nil) } }

    /// The sender has as long for its last answer as it goes on reading, and a while after it.
    private func end(_ body: @escaping (IntakeConnection, ChannelHandlerContext) -> Void) {
        guard let context else { return }
        phase = .ending
        wake(at: .now() + AnswerPace.interval)
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer()), promise: written)
        written.futureResult.assumeIsolated().whenComplete { _ in
            guard let context = self.context, self.phase == .ending else { return }
            self.isWritten = true
            self.answerIsRead()
            let now = NIODeadline.now()
            self.place.rests(since: now)
            self.wake(at: now + Linger.time)
            body(self, context)
        }
    }

    func close() {
        phase = .ended
        context?.close(promise: nil)
    }

    /// Closes without a word, and without waiting for one.
    func cutOff(_ reason: ConnectionEnd) {
        service.ended(reason)
        if request != nil { forget() }
        phase = .ended
        (socketContext ?? decoderContext)?.close(promise: nil)
    }
}

/// Why a connection was closed before its time.
enum ConnectionEnd: String, CaseIterable {
    /// No head within `limits.header`.
    case header
    /// Its answer was not read.
    case unread
    /// Its bytes went far ahead of its turn.
    case ahead
    /// A new connection needed its place.
    case replaced
}
