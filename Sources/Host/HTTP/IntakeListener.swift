import HummingbirdCore
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// The listener of senders: accepts connections, spread over the group's loops, and ends them.
final class IntakeListener: Sendable {
    private struct State {
        var server: (any Channel)?
        var isStopping = false
    }

    private let state = NIOLockedValueBox(State())
    private let service: IntakeService
    private let address: HostConfiguration.Address
    private let tls: TLSFiles?
    private let open: OpenConnections
    private let group: any EventLoopGroup
    private let shares: LoopShares
    private let log: Logger

    init(
        _ service: IntakeService, on address: HostConfiguration.Address, tls: TLSFiles?, open: OpenConnections,
        group: any EventLoopGroup, log: Logger
    ) {
        (self.service, self.address, self.tls, self.open) = (service, address, tls, open)
        (self.group, self.log) = (group, log)
        shares = LoopShares(group)
    }

    /// Returns after `stop`.
    /// - Throws: when the address can't be listened on, or the listening socket closes before `stop`.
    func run() async throws {
        let server = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4_096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { [most = open.accepted] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AvailableConnectionsChannelHandler(maxConnections: most))
                }
            }
            // A sender may end its side after its request, and still wants its answer.
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            // What is read ahead of a connection's turn is held, so no more than one read of it.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.writeBufferWaterMark, value: AnswerPace.waterMark)
            .childChannelOption(.tcpOption(AnswerPace.unsentOption), value: AnswerPace.unsent)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { try begin(channel) }
            }
            .bind(host: address.host, port: address.port).get()
        let isStopping = state.withLockedValue { state in
            state.server = server
            return state.isStopping
        }
        if isStopping { try await server.close() }
        log.notice(
            "listening",
            metadata: ["for": "senders", "on": "\(address.host):\(server.localAddress?.port ?? address.port)"])
        try await server.closeFuture.get()
        guard state.withLockedValue({ $0.isStopping }) else { throw ChannelError.eof }
    }

    /// Accepts nobody any more, and ends every connection: one with a request in work after its answer.
    func stop() async {
        let server = state.withLockedValue { state in
            state.isStopping = true
            return state.server
        }
        try? await server?.close()
        let connections = open.channels
        for channel in connections { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        for channel in connections { try? await channel.closeFuture.get() }
    }

    private func begin(_ channel: any Channel) throws {
        guard let place = open.open(channel) else { throw ChannelError.eof }
        // `stop` closes those that are open by then.
        if state.withLockedValue({ $0.isStopping }) { throw ChannelError.eof }
        let share = shares[channel.eventLoop]
        let connection = IntakeConnection(service, share.executor, share.lines.value, place)
        let pipeline = channel.pipeline.syncOperations
        if let tls {
            try pipeline.addHandler(ConnectionSocket(connection))
            try pipeline.addHandler(NIOSSLServerHandler(context: tls.current))
        }
        try pipeline.addHandler(ConnectionBytes(connection))
        try pipeline.addHandler(ByteToMessageHandler(HTTPRequestDecoder(limitConfiguration: Self.limits)))
        try pipeline.addHandler(connection)
    }

    /// A head's bytes and fields, at most.
    private static var limits: NIOHTTPDecoderLimitConfiguration {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = RequestHead.mostBytes
        limits.maxHeaderListSize = RequestHead.mostBytes
        limits.maxHeaderFieldCount = RequestHead.mostFields
        return limits
    }
}
