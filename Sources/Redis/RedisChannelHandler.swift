internal import NIOCore
internal import NIOSSL
internal import NIOTLS

/// Matches replies to commands in order, and bounds how long anyone waits. Lives on its connection's event loop.
///
/// The one rule: after a deadline has passed nothing more is read from this connection, so that a late reply can
/// never be taken for the reply to a later command.
final class RedisChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    typealias Waiter = CheckedContinuation<Result<[RedisValue], RedisError>, Never>

    /// The commands of one `send`.
    private struct Pending {
        let count: Int
        let deadline: NIODeadline
        let waiter: Waiter
        var replies: [RedisValue] = []
    }

    private var pending = CircularBuffer<Pending>()
    private let reader = ReplyReader()
    private var context: ChannelHandlerContext?
    private var timer: (deadline: NIODeadline, task: Scheduled<Void>)?
    private var flushIsDue = false
    /// Why nothing more goes through; the first reason stays.
    private var ended: RedisError?
    private var observers: [@Sendable (RedisError) -> Void] = []
    private let pushed: (@Sendable (RedisValue) -> Void)?
    private var opening: ConnectionOpening
    /// Before it in the pipeline; nil in plain text.
    private let secured: NIOSSLClientHandler?

    init(
        _ opening: ConnectionOpening, secured: NIOSSLClientHandler? = nil,
        pushed: (@Sendable (RedisValue) -> Void)? = nil
    ) {
        (self.opening, self.secured, self.pushed) = (opening, secured, pushed)
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) {
        end(RedisError(.reset, "the connection was closed"))
        self.context = nil
    }

    // MARK: Commands out

    func send(_ bytes: ByteBuffer, count: Int, deadline: NIODeadline, _ waiter: Waiter) {
        guard ended == nil, let context else {
            waiter.resume(returning: .failure(ended ?? RedisError(.reset, "the connection was closed")))
            return
        }
        pending.append(Pending(count: count, deadline: deadline, waiter: waiter))
        watch(deadline)
        context.write(wrapOutboundOut(bytes), promise: nil)
        guard !flushIsDue else { return }
        // Commands of several tasks that arrive in the same turn of the loop share one system call.
        flushIsDue = true
        context.eventLoop.assumeIsolated().execute {
            self.flushIsDue = false
            self.context?.flush()
        }
    }

    func push(_ bytes: ByteBuffer) {
        guard ended == nil, let context else { return }
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    // MARK: Replies in

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard ended == nil else { return }
        do throws(RedisError) {
            let bytes = unwrapInboundIn(data)
            if !opening.isHeard, opening.isAlert(bytes) { return end(opening.closed()) }
            try reader.feed(bytes)
            // Also when it is not yet whole.
            opening.isHeard = true
            while ended == nil, let reply = try reader.next() { take(reply) }
        } catch {
            end(error)
        }
    }

    private func take(_ reply: RedisValue) {
        // Comes instead of an answer, before the server hangs up.
        if let error = reply.serverError, error.code == .refused { return end(RedisError(error)) }
        guard !pending.isEmpty else {
            if let pushed, reply.serverError == nil { return pushed(reply) }
            end(reply.serverError.map(RedisError.init) ?? RedisError(.garbage, "a reply that nobody asked for"))
            return
        }
        pending[pending.startIndex].replies.append(reply)
        if pending[pending.startIndex].replies.count == pending[pending.startIndex].count {
            let done = pending.removeFirst()
            done.waiter.resume(returning: .success(done.replies))
        }
    }

    // MARK: The end

    func channelInactive(context: ChannelHandlerContext) {
        end(opening.closed())
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(opening.failed(error, peer: secured?.peerCertificate))
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { opening.isEncrypted = true }
        context.fireUserInboundEventTriggered(event)
    }

    func end(_ error: RedisError) {
        guard ended == nil else { return }
        ended = error
        timer?.task.cancel()
        timer = nil
        let (failed, told) = (pending, observers)
        pending.removeAll()
        observers.removeAll()
        context?.close(promise: nil)
        for entry in failed { entry.waiter.resume(returning: .failure(error)) }
        for observer in told { observer(error) }
    }

    func onClose(_ observer: @escaping @Sendable (RedisError) -> Void) {
        if let ended { observer(ended) } else { observers.append(observer) }
    }

    // MARK: Deadlines

    /// One timer for all: set to the earliest deadline when it is set, looked at again when it fires. Replies
    /// that come in time cost nothing.
    private func watch(_ deadline: NIODeadline) {
        if let timer {
            guard deadline < timer.deadline else { return }
            timer.task.cancel()
        }
        guard let context else { return }
        let task = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { self.timerFired() }
        timer = (deadline, task)
    }

    private func timerFired() {
        timer = nil
        guard ended == nil, let earliest = pending.lazy.map(\.deadline).min() else { return }
        if earliest <= .now() {
            end(opening.late())
        } else {
            watch(earliest)
        }
    }
}
