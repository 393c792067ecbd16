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
        var connections: [ObjectIdentifier: any Channel] = [:]
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
    /// - Throws: when the address can't be listened on.
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
    }

    /// Accepts nobody any more, and ends every connection: one with a request in work after its answer.
    func stop() async {
        let (server, connections) = state.withLockedValue { state in
            state.isStopping = true
            return (state.server, Array(state.connections.values))
        }
        try? await server?.close()
        for channel in connections { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        for channel in connections { try? await channel.closeFuture.get() }
    }

    private func begin(_ channel: any Channel) throws {
        guard open.begin() else { throw ChannelError.eof }
        let key = ObjectIdentifier(channel)
        let isStopping = state.withLockedValue { state in
            if !state.isStopping { state.connections[key] = channel }
            return state.isStopping
        }
        channel.closeFuture.whenComplete { [self] _ in
            open.end()
            state.withLockedValue { _ = $0.connections.removeValue(forKey: key) }
        }
        if isStopping { throw ChannelError.eof }
        let share = shares[channel.eventLoop]
        let connection = IntakeConnection(service, share.executor, share.lines.value)
        let pipeline = channel.pipeline.syncOperations
        if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls.current)) }
        try pipeline.addHandler(ConnectionInput.Bytes(connection))
        try pipeline.addHandler(ByteToMessageHandler(HTTPRequestDecoder(limitConfiguration: Self.limits)))
        try pipeline.addHandler(connection)
    }

    /// A head's bytes and fields, at most.
    private static var limits: NIOHTTPDecoderLimitConfiguration {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = 80 << 10
        limits.maxHeaderListSize = 80 << 10
        limits.maxHeaderFieldCount = 1_000
        return limits
    }
}
