import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes

/// An operator's connection as Hummingbird serves it, with the host's own bounds around it.
struct ConnectionChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    let idle: Duration
    let limits: AdminConnection.Limits
    let responder: HTTPChannelHandler.Responder

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        guard let place = limits.open.open(channel) else {
            return channel.eventLoop.makeFailedFuture(ChannelError.eof)
        }
        let connection = AdminConnection(limits, place)
        let pipeline = channel.pipeline.syncOperations
        do {
            try channel.syncOptions?.setOption(.maxMessagesPerRead, value: 1)
            try channel.syncOptions?.setOption(.tcpOption(AnswerPace.unsentOption), value: AnswerPace.unsent)
            try pipeline.addHandler(AdminConnection.Below(connection))
        } catch {
            return channel.eventLoop.makeFailedFuture(error)
        }
        return http.setup(channel: channel, logger: logger).assumeIsolated().flatMapThrowing { value in
            let decoder = try pipeline.context(handlerType: ByteToMessageHandler<HTTPRequestDecoder>.self)
            try pipeline.addHandler(AdminConnection.Above(connection), position: .after(decoder.handler))
            return value
        }.nonisolated()
    }

    func handle(value: Value, logger: Logger) async { await http.handle(value: value, logger: logger) }

    private var http: HTTP1Channel {
        HTTP1Channel(responder: responder, configuration: .init(idleTimeout: TimeAmount(idle)))
    }
}
