import HummingbirdCore
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTPTypes

/// An operator's connection as Hummingbird serves it, with the host's time-outs around it.
struct ConnectionChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    let limits: HostConfiguration.Limits
    let open: OpenConnections
    let responder: HTTPChannelHandler.Responder

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        let timeout = HeaderTimeout(limits.header)
        do {
            try channel.pipeline.syncOperations.addHandler(HeaderTimeout.Below(timeout))
        } catch {
            return channel.eventLoop.makeFailedFuture(error)
        }
        return http(timeout).setup(channel: channel, logger: logger)
    }

    func handle(value: Value, logger: Logger) async {
        guard open.begin() else {
            try? await value.executeThenClose { _, _ in }
            return
        }
        defer { open.end() }
        await http(nil).handle(value: value, logger: logger)
    }

    private func http(_ timeout: HeaderTimeout?) -> HTTP1Channel {
        HTTP1Channel(
            responder: responder,
            configuration: .init(
                additionalChannelHandlers: timeout.map { [HeaderTimeout.Above($0)] } ?? [],
                idleTimeout: TimeAmount(limits.idle)))
    }
}

/// Connections that a listener holds at once, bounded: each costs a descriptor and buffers for as long as it is idle. Past
/// the bound one is closed as soon as it is accepted.
final class OpenConnections: Sendable {
    private let count = NIOLockedValueBox(0)
    private let most: Int
    private let refused: @Sendable () -> Void

    init(most: Int, refused: @escaping @Sendable () -> Void) {
        self.most = most
        self.refused = refused
    }

    /// Descriptors that the listener may hold at once: past it nothing is accepted. A flood is accepted faster than the loops can close
    /// it, so that `most` alone bounds nothing.
    var accepted: Int { most + OpenFiles.excess }

    /// - Returns: false when there is no room; then there is nothing to end.
    func begin() -> Bool {
        let fits = count.withLockedValue { count in
            guard count < most else { return false }
            count += 1
            return true
        }
        if !fits { refused() }
        return fits
    }

    func end() { count.withLockedValue { $0 -= 1 } }
}
