import HummingbirdCore
import Logging
import NIOCore
import NIOHTTPTypes
import NIOSSL

/// A connection as Hummingbird serves it, with the host's time-outs around it and TLS below it.
struct ConnectionChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    let limits: HostConfiguration.Limits
    let tls: TLSFiles?
    let responder: HTTPChannelHandler.Responder

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        let timeout = HeaderTimeout(limits.header)
        do {
            if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls.current)) }
            try channel.pipeline.syncOperations.addHandler(HeaderTimeout.Below(timeout))
        } catch {
            return channel.eventLoop.makeFailedFuture(error)
        }
        return http(timeout).setup(channel: channel, logger: logger)
    }

    func handle(value: Value, logger: Logger) async { await http(nil).handle(value: value, logger: logger) }

    private func http(_ timeout: HeaderTimeout?) -> HTTP1Channel {
        HTTP1Channel(
            responder: responder,
            configuration: .init(
                additionalChannelHandlers: timeout.map { [HeaderTimeout.Above($0)] } ?? [],
                idleTimeout: TimeAmount(limits.idle)))
    }
}
