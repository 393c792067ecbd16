import HTTPTypes
import HummingbirdCore
import Logging
import NIOConcurrencyHelpers
import NIOCore

/// Answers the listener that operators and probes see: `/metrics`, `/livez`, `/readyz`, and the operator API.
struct AdminResponder: Sendable {
    let api: any OperatorAPI
    let readiness: any Readiness
    let metrics: HostMetrics
    let authenticator: Authenticator
    let access: AdminAccess
    let tokenFile: String?
    let draining: NIOLockedValueBox<Bool>

    /// Asked by kubelets and load balancers, and answered when the listener is full too.
    static let probes: Set = ["/livez", "/readyz"]

    func respond(_ request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel) async throws {
        let exchange = Exchange(request)
        let rest = BodyRest(request.body)
        // Nothing here reads a body.
        let ended = await rest.linger(on: channel.eventLoop)
        let reply = await reply(to: request, exchange)
        try await exchange.write(reply, close: !ended, to: request, writer)
        if !ended { throw ConnectionDone() }
    }

    private func reply(to request: Request, _ exchange: Exchange) async -> Reply {
        switch exchange.path {
        case "/livez": return read(request) { .text(200, "ok\n") }
        case "/readyz":
            let verbose = request.head.path?.hasSuffix("?verbose") ?? false
            return read(request) { ready(verbose: verbose) }
        case "/metrics":
            return read(request) { Reply(status: 200, type: .metrics, body: Array(metrics.registry.render().utf8)) }
        default: break
        }
        // The three above are exempt: the kubelet and Prometheus name the pod's address.
        if let refusal = access.refusal(request.head) { return refusal.reply(instance: nil, requestID: exchange.id) }
        guard exchange.path.hasPrefix("/api/v1/") else {
            let problem = Problem(
                word: "unknown-path", title: "Nothing is served here", status: 404,
                detail: "this listener has /metrics, /livez, /readyz and /api/v1")
            return problem.reply(instance: nil, requestID: exchange.id)
        }
        if let tokenFile {
            let decision = authenticator.bearer(tokenFile, request.headers[.authorization])
            if decision != .allowed {
                let refusal: Refusal =
                    decision == .unavailable
                    ? .unavailable(detail: "authentication service unavailable") : .unauthenticated(scheme: "Bearer")
                return StatusTable.reply(
                    to: .refused(refusal), instance: nil, requestID: exchange.id, retryAfter: Int.random(in: 1...5))
            }
        }
        var query: [String: String] = [:]
        for (key, value) in request.uri.queryParameters { query[String(key)] = String(value) }
        let asked = OperatorRequest(
            method: request.method.rawValue, path: String(exchange.path.dropFirst("/api/v1".count)), query: query,
            requestID: exchange.id)
        switch await api.answer(asked) {
        case .document(let status, let body): return .json(status, body)
        case .problem(let problem): return problem.reply(instance: nil, requestID: exchange.id)
        }
    }

    private func read(_ request: Request, _ body: () -> Reply) -> Reply {
        request.method == .get || request.method == .head ? body() : Reply(status: 405, headers: [(.allow, "GET")])
    }

    /// A store that is shut leaves the host ready: taken out of its Service, its clear 503s would become refused
    /// connections.
    private func ready(verbose: Bool) -> Reply {
        let stopping = draining.withLockedValue { $0 }
        let shut = readiness.storeShut
        let word = stopping ? "stopping" : shut == nil ? "ok" : "degraded"
        var text = "\(word)\n"
        if verbose {
            text += "store: \(shut.map { "shut (\($0))" } ?? "ok")\n"
            text += "draining: \(stopping ? "yes" : "no")\n"
            for warning in readiness.warnings { text += "warning: \(warning)\n" }
        }
        return .text(stopping ? 503 : 200, text)
    }
}
