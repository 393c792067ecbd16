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
    private let intake: IntakeListener
    private let admin: HummingbirdCore.Server<ConnectionChannel>?
    private let configuration: HostConfiguration
    private let draining = NIOLockedValueBox(false)
    private let inFlight: InFlight
    private let group: any EventLoopGroup

    /// - Parameter files: how many connections each listener may hold; nil for `limits.connections` each.
    /// - Throws: `StartError` when a certificate can't be used.
    init(
        _ configuration: HostConfiguration, intake: any Taking, api: any OperatorAPI, readiness: any Readiness,
        metrics: HostMetrics, log: Logger, group: any EventLoopGroup, files: OpenFiles? = nil
    ) throws {
        self.configuration = configuration
        let limits = configuration.server.limits
        var tls: TLSFiles?
        if let files = configuration.server.tls {
            do {
                tls = try TLSFiles(files, log: log)
            } catch {
                throw StartError("can't use the certificate \(files.certificate) with the key \(files.key): \(error)")
            }
        }
        let service = IntakeService(
            configuration, intake: intake, metrics: metrics, log: log, draining: draining)
        inFlight = service.inFlight
        self.group = group
        // The one place where a listener's bound on connections is read.
        func open(_ listener: String, _ most: Int?, reserve: Int = 0) -> OpenConnections {
            OpenConnections(most: most ?? limits.connections, reserve: reserve) {
                metrics.connectionRefused(listener: listener)
            }
        }
        self.intake = IntakeListener(
            service, on: configuration.server.listen, tls: tls, open: open("senders", files?.senders),
            group: group, log: log)
        let operators = AdminResponder(
            api: api, readiness: readiness, metrics: metrics, authenticator: Authenticator([], log: log),
            access: AdminAccess(
                listener: configuration.server.admin, further: configuration.server.adminHosts),
            tokenFile: configuration.server.adminTokenFile, draining: draining)
        // The server itself only has news for whoever debugs it.
        var serverLog = log
        serverLog.logLevel = .error
        let openToOperators = open("operators", files?.operators, reserve: OpenConnections.reserve)
        let around = AdminConnection.Limits(
            header: limits.header, open: openToOperators, inFlight: inFlight,
            ended: { metrics.connectionEnded(listener: "operators", $0) })
        admin = configuration.server.admin.map { [serverLog] address in
            HummingbirdCore.Server(
                childChannelSetup: ConnectionChannel(idle: limits.idle, limits: around) { request, writer, channel in
                    try await operators.respond(request, writer, channel)
                },
                configuration: ServerConfiguration(
                    address: .hostname(address.host, port: address.port), backlog: 4_096,
                    availableConnectionsDelegate: MaximumAvailableConnections(openToOperators.accepted)),
                onServerRunning: { channel in
                    log.notice(
                        "listening",
                        metadata: [
                            "for": "operators", "on": "\(address.host):\(channel.localAddress?.port ?? address.port)",
                        ])
                },
                eventLoopGroup: group, logger: serverLog)
        }
    }

    /// Serves senders. Returns after `stopSenders`.
    /// - Throws: `StartError` when the address can't be listened on.
    func runSenders() async throws {
        try await Self.listen(configuration.server.listen) { try await intake.run() }
    }

    /// Serves operators and probes, if there is a listener for them. Returns after `stopOperators`.
    /// - Throws: `StartError` when the address can't be listened on.
    func runOperators() async throws {
        guard let admin, let address = configuration.server.admin else { return }
        try await Self.listen(address) { try await admin.run() }
    }

    private static func listen(_ address: HostConfiguration.Address, _ run: () async throws -> Void) async throws {
        do {
            try await run()
        } catch {
            throw StartError("can't listen on \(address.host):\(address.port): \(error)")
        }
    }

    /// From now on `/readyz` answers 503, and so does every new request of a sender.
    func drain() { draining.withLockedValue { $0 = true } }

    /// Waits for the requests in flight, and closes every connection of a sender. Every request ends by its deadline, so
    /// this does too.
    func stopSenders() async {
        drain()
        let ending = Task { [inFlight] in await inFlight.ended() }
        _ = await value(
            of: ending, before: .now() + TimeAmount(configuration.server.limits.deadline), on: group.any())
        await intake.stop()
    }

    /// The last to go, so that probes see the host stopping.
    func stopOperators() async { try? await admin?.shutdownGracefully() }
}
