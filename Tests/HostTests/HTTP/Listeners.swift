import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import SignalKit
import TestSupport

@testable import Host

/// Both listeners on real sockets, before an intake that answers what the test says.
struct Listeners {
    let http: HTTP
    let admin: HTTP
    let host: HTTPHost
    let log: RecordedLog

    struct Anything: SignalAdapter {
        static let id: PluginID = "alertmanager"
        init() {}
        init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {}
        func decode(_ request: InboundRequest) throws(AdapterError) -> Decoded { Decoded() }
    }

    final class Intake: Taking {
        let requests = NIOLockedValueBox<[InboundRequest]>([])
        private let hold: @Sendable () async -> Void
        private let deadLetters: Int

        /// - Parameter deadLetters: of each answer: 100 bytes each.
        init(deadLetters: Int = 0, hold: @escaping @Sendable () async -> Void = {}) {
            (self.deadLetters, self.hold) = (deadLetters, hold)
        }
        func take(
            _ request: InboundRequest, route: HostConfiguration.Route, requestID: String, eventLoop: (any EventLoop)?,
            deadline: ContinuousClock.Instant
        ) async -> IntakeAnswer {
            requests.withLockedValue { $0.append(request) }
            await hold()
            let reason = String(repeating: "x", count: 80)
            return .taken(Outcome(signals: [], deadLetters: (0..<deadLetters).map { ($0, reason) }))
        }
    }

    struct NoAPI: OperatorAPI {
        func answer(_ request: OperatorRequest) async -> OperatorAnswer {
            .document(
                status: 200,
                Array("{\"path\":\"\(request.path)\",\"origin\":\"\(request.query["origin"] ?? "")\"}".utf8))
        }
    }

    struct Ready: Readiness {
        var storeShut: String?
        var warnings = ["durability is unverified"]
    }

    /// Serves until `body` returns.
    static func serving(
        _ intake: Intake = Intake(), authentication: HostConfiguration.Authentication = .none,
        limits: HostConfiguration.Limits = .init(), tls: HostConfiguration.TLS? = nil, adminToken: String? = nil,
        adminHosts: [String] = [], shut: String? = nil, _ body: (Listeners) async throws -> Void
    ) async throws {
        let (port, admin) = (try freePort(), try freePort())
        let configuration = HostConfiguration(
            server: .init(
                listen: .init(host: "127.0.0.1", port: port), admin: .init(host: "127.0.0.1", port: admin),
                adminTokenFile: adminToken, adminHosts: adminHosts, limits: limits, tls: tls),
            state: .init(store: .embedded(directory: "unused"), timeout: .seconds(1), prefix: "test"),
            routes: [
                .init(adapter: "alertmanager", path: "/in", authentication: authentication, plugin: Anything()),
                .init(
                    adapter: "prometheus", path: "/api/v2/alerts", authentication: authentication, plugin: Anything()),
            ],
            policies: [], gatePolicies: [], sinks: [])
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let log = RecordedLog()
        let host = try HTTPHost(
            configuration, intake: intake, api: NoAPI(), readiness: Ready(storeShut: shut), metrics: HostMetrics(),
            log: log.logger, group: group)
        let senders = Task { try await host.runSenders() }
        let operators = Task { try await host.runOperators() }
        func end() async {
            await host.stopSenders()
            await host.stopOperators()
            _ = try? await senders.value
            _ = try? await operators.value
            try? await group.shutdownGracefully()
        }
        do {
            try await eventually("a listener") { (try? await HTTP(port: admin).get("/livez"))?.status == 200 }
            if tls == nil {
                try await eventually("the other") { (try? await HTTP(port: port).get("/"))?.status == 404 }
            }
            try await body(Listeners(http: HTTP(port: port), admin: HTTP(port: admin), host: host, log: log))
        } catch {
            await end()
            throw error
        }
        await end()
    }
}

extension Listeners {
    /// A sample of `/metrics`, by its name with labels; 0 when it has never been counted.
    func metric(_ name: String) async throws -> Double {
        let text = try await admin.get("/metrics").text
        for line in text.split(separator: "\n") where line.hasPrefix(name + " ") {
            return Double(line.dropFirst(name.count + 1)) ?? .nan
        }
        return 0
    }
}

/// Keeps what is logged.
struct RecordedLog: LogHandler {
    struct Line: Sendable {
        let message: String
        let metadata: Logger.Metadata
    }

    private let kept = NIOLockedValueBox<[Line]>([])
    var logLevel: Logger.Level = .info
    var metadata: Logger.Metadata = [:]

    var logger: Logger { Logger(label: "test") { _ in self } }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        kept.withLockedValue {
            $0.append(Line(message: event.message.description, metadata: event.metadata ?? [:]))
        }
    }

    var messages: [String] { kept.withLockedValue { $0.map(\.message) } }

    /// Of requests with this id, what the line says under these keys, as text.
    func requests(_ id: String, _ keys: String...) -> [[String]] {
        kept.withLockedValue { $0 }
            .filter { $0.message == "request" && $0.metadata["request_id"] == .string(id) }
            .map { line in keys.map { line.metadata[$0].map { "\($0)" } ?? "" } }
    }
}
