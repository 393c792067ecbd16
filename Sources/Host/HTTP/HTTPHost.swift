import HummingbirdCore
import Logging
import NIOConcurrencyHelpers
import NIOCore
import SignalKit

/// Why a host can't serve. The message is for the operator.
struct StartError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Both listeners.
final class HTTPHost: Sendable {
    private let intake: HummingbirdCore.Server<ConnectionChannel>
    private let admin: HummingbirdCore.Server<ConnectionChannel>?
    private let configuration: HostConfiguration
    private let draining = NIOLockedValueBox(false)
    private let inFlight: InFlight
    private let group: any EventLoopGroup

    /// - Throws: `StartError` when a certificate can't be used.
    init(
        _ configuration: HostConfiguration, intake: any Taking, api: any OperatorAPI, readiness: any Readiness,
        metrics: HostMetrics, log: Logger, group: any EventLoopGroup, answered: @escaping @Sendable () -> Void = {}
    ) throws {
        self.configuration = configuration
        // The server itself only has news for whoever debugs it.
        var serverLog = log
        serverLog.logLevel = .error
        let limits = configuration.server.limits
        var tls: TLSFiles?
        if let files = configuration.server.tls {
            do {
                tls = try TLSFiles(files, log: log)
            } catch {
                throw StartError("can't use the certificate \(files.certificate) with the key \(files.key): \(error)")
            }
        }
        let responder = IntakeResponder(
            configuration, intake: intake, metrics: metrics, log: log, draining: draining, answered: answered)
        inFlight = responder.inFlight
        self.group = group
        func server(
            _ address: HostConfiguration.Address, _ tls: TLSFiles?, _ what: String,
            _ responder: @escaping HTTPChannelHandler.Responder
        ) -> HummingbirdCore.Server<ConnectionChannel> {
            HummingbirdCore.Server(
                childChannelSetup: ConnectionChannel(
                    limits: limits, tls: tls, responder: responder,
                    open: OpenConnections(most: limits.connections) { metrics.connectionRefused(listener: what) }),
                configuration: ServerConfiguration(
                    address: .hostname(address.host, port: address.port), backlog: 4_096),
                onServerRunning: { channel in
                    log.notice(
                        "listening",
                        metadata: [
                            "for": "\(what)", "on": "\(address.host):\(channel.localAddress?.port ?? address.port)",
                        ])
                },
                eventLoopGroup: group, logger: serverLog)
        }
        self.intake = server(configuration.server.listen, tls, "senders") { request, writer, channel in
            try await responder.respond(request, writer, channel)
        }
        let operators = AdminResponder(
            api: api, readiness: readiness, metrics: metrics, authenticator: Authenticator([], log: log),
            tokenFile: configuration.server.adminTokenFile, draining: draining)
        admin = configuration.server.admin.map { address in
            server(address, nil, "operators") { request, writer, channel in
                try await operators.respond(request, writer, channel)
            }
        }
    }

    /// Returns after `stop`.
    /// - Throws: `StartError` when an address can't be listened on.
    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            let listeners =
                [(configuration.server.listen, intake)]
                + (admin.flatMap { server in
                    configuration.server.admin.map { [($0, server)] }
                } ?? [])
            for (address, server) in listeners {
                tasks.addTask {
                    do {
                        try await server.run()
                    } catch {
                        throw StartError("can't listen on \(address.host):\(address.port): \(error)")
                    }
                }
            }
            do {
                try await tasks.waitForAll()
            } catch {
                tasks.cancelAll()
                throw error
            }
        }
    }

    /// Says so on `/readyz`, and lets what is in flight end; whoever comes meanwhile is answered a 503. Then every
    /// connection is closed. Every request ends by its deadline, so this does too.
    func stop() async {
        draining.withLockedValue { $0 = true }
        let ending = Task { [inFlight] in await inFlight.ended() }
        _ = await value(
            of: ending, before: .now() + TimeAmount(configuration.server.limits.deadline), on: group.any())
        try? await intake.shutdownGracefully()
    }

    /// The last to go, so that probes see the host stopping.
    func stopAdmin() async { try? await admin?.shutdownGracefully() }
}
