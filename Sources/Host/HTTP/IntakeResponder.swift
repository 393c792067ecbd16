import HTTPTypes
import HummingbirdCore
import Logging
import NIOConcurrencyHelpers
import NIOCore
import SignalKit

/// Answers the listener that senders see.
struct IntakeResponder: Sendable {
    let routes: [String: HostConfiguration.Route]
    /// Of routes that speak as Alertmanager does, what stands before `/api/v2/alerts`.
    let prefixes: [String]
    let limits: HostConfiguration.Limits
    let intake: any Taking
    let authenticator: Authenticator
    let inFlight: InFlight
    let metrics: HostMetrics
    let log: Logger
    let started: Timestamp
    let draining: NIOLockedValueBox<Bool>
    /// A success has been handed to the sender.
    let answered: @Sendable () -> Void

    init(
        _ configuration: HostConfiguration, intake: any Taking, metrics: HostMetrics, log: Logger,
        draining: NIOLockedValueBox<Bool>, answered: @escaping @Sendable () -> Void
    ) {
        routes = Dictionary(configuration.routes.map { ($0.path, $0) }) { first, _ in first }
        prefixes = configuration.routes.filter { $0.adapter == AlertmanagerAPI.adapter }
            .map { AlertmanagerAPI.prefix(of: $0.path) }
        limits = configuration.server.limits
        self.intake = intake
        authenticator = Authenticator(configuration.routes, log: log)
        inFlight = InFlight(limits, metrics)
        self.metrics = metrics
        self.log = log
        started = JSONLogHandler.now
        self.draining = draining
        self.answered = answered
    }

    /// What became of a request's body.
    private enum Reading: Sendable {
        case answered(IntakeAnswer, bytes: Int)
        /// Refused before its end; the rest is still to come.
        case refused(Refusal, BodyRest)
        /// The sender is gone, or what it sends is no HTTP.
        case cut(bytes: Int)
    }

    func respond(_ request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel) async throws {
        let began = ContinuousClock.now
        let exchange = Exchange(request)
        if let side = side(request, exchange) {
            let close = draining.withLockedValue { $0 }
            try await exchange.write(side, close: close, to: request, writer)
            metrics.response(status: side.status, route: "other")
            note(exchange, nil, .stringConvertible(side.status), bytes: 0, began)
            if close { throw ConnectionDone() }
            return
        }
        let route = routes[exchange.path]
        let answer: IntakeAnswer
        var rest: BodyRest?
        var bytes = 0
        let refusal = await refusal(of: request, route)
        if refusal == nil, request.headers[.expect]?.lowercased() == "100-continue" {
            try await writer.writeInformationalHead(HTTPResponse(status: .continue))
        }
        if let refusal {
            answer = .refused(refusal)
            rest = BodyRest(request.body)
        } else if let route, let ticket = inFlight.begin() {
            let deadline = NIODeadline.now() + TimeAmount(limits.deadline)
            let reader = Task {
                await read(request, route, exchange.id, ticket, channel.eventLoop, until: began + limits.deadline)
            }
            defer { reader.cancel() }
            switch await value(of: reader, before: deadline, on: channel.eventLoop) {
            case .answered(let given, let count): (answer, bytes) = (given, count)
            case .refused(let refusal, let unread): (answer, rest) = (.refused(refusal), unread)
            case .cut(let count):
                note(exchange, route, "cut", bytes: count, began)
                throw ConnectionDone()
            case nil:
                try await finish(request, exchange, route, .refused(late), bytes, began, close: true, writer)
                // A sender that is still at its body is let go on for a while, like any whose body nobody wants.
                if case .refused(_, let unread)? = await value(
                    of: reader, before: .now() + BodyRest.pause, on: channel.eventLoop)
                {
                    _ = await unread.linger(on: channel.eventLoop)
                }
                throw ConnectionDone()
            }
        } else {
            answer = .refused(.overloaded(detail: "\(limits.inFlight) requests in flight"))
            rest = BodyRest(request.body)
        }
        // A small rest is read, and the connection lives on; a large one is not waited for.
        let announced =
            request.headers[.contentLength].flatMap { Int($0) }
            ?? (request.headers[.transferEncoding] == nil ? 0 : Int.max)
        let close = draining.withLockedValue { $0 } || (rest != nil && announced > 64 << 10)
        try await finish(request, exchange, route, answer, bytes, began, close: close, writer)
        if let rest, await !rest.linger(on: channel.eventLoop) { throw ConnectionDone() }
        if close { throw ConnectionDone() }
    }

    // MARK: Before the body

    private func side(_ request: Request, _ exchange: Exchange) -> Reply? {
        for prefix in prefixes {
            if let reply = AlertmanagerAPI.side(
                exchange.path, prefix: prefix, method: request.method, started: started)
            {
                return reply
            }
        }
        return nil
    }

    private func refusal(of request: Request, _ route: HostConfiguration.Route?) async -> Refusal? {
        guard let route else { return .unknownPath }
        guard request.method == .post else { return .wrongMethod(allowed: "POST") }
        if draining.withLockedValue({ $0 }) { return .shuttingDown }
        if let type = mediaType(request), type != "application/json", !type.hasSuffix("+json") {
            return .wrongMediaType
        }
        switch await authenticator.early(route, request.headers) {
        case .refused: return .unauthenticated(scheme: route.authentication.scheme)
        case .forbidden: return .forbidden
        case .unavailable: return .unavailable(detail: "authentication service unavailable")
        case .allowed, nil: break
        }
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limits.body {
            return .tooLarge(limit: limits.body)
        }
        return nil
    }

    /// Lower case, without parameters; nil when there is none.
    private func mediaType(_ request: Request) -> String? {
        guard let header = request.headers[.contentType] else { return nil }
        let type = header.prefix { $0 != ";" }.filter { !$0.isWhitespace }.lowercased()
        return type.isEmpty ? nil : type
    }

    // MARK: The body

    private var late: Refusal {
        .overloaded(detail: "the request was not done within \(ConfigReader.text(limits.deadline))")
    }

    private func read(
        _ request: Request, _ route: HostConfiguration.Route, _ id: String, _ held: InFlight.Ticket,
        _ eventLoop: any EventLoop, until deadline: ContinuousClock.Instant
    ) async -> Reading {
        var ticket = held
        defer { inFlight.end(ticket) }
        let announced = request.headers[.contentLength].flatMap { Int($0) }
        var body: [UInt8] = []
        body.reserveCapacity(min(announced ?? 0, 1 << 20))
        var rest = BodyRest(request.body)
        do {
            while let chunk = try await rest.next() {
                guard ContinuousClock.now < deadline else { return .refused(late, rest) }
                guard body.count + chunk.readableBytes <= limits.body else {
                    return .refused(.tooLarge(limit: limits.body), rest)
                }
                guard inFlight.grow(&ticket, by: chunk.readableBytes) else {
                    return .refused(.overloaded(detail: "\(limits.inFlightBytes) bytes in flight"), rest)
                }
                body.append(contentsOf: chunk.readableBytesView)
            }
        } catch {
            return .cut(bytes: body.count)
        }
        // The stream ends without an error when the connection does.
        if let announced, announced != body.count { return .cut(bytes: body.count) }
        if Task.isCancelled { return .cut(bytes: body.count) }
        switch authenticator.late(route.authentication, request.headers, body) {
        case .refused:
            return
                .answered(
                    .refused(.unauthenticated(scheme: route.authentication.scheme)), bytes: body.count)
        case .unavailable:
            return .answered(.refused(.unavailable(detail: "authentication service unavailable")), bytes: body.count)
        case .allowed, .forbidden: break
        }
        let inbound = InboundRequest(
            body: body, contentType: mediaType(request), headers: headers(request), receivedAt: JSONLogHandler.now)
        let answer = await intake.take(inbound, route: route, requestID: id, eventLoop: eventLoop, deadline: deadline)
        return .answered(answer, bytes: body.count)
    }

    private func headers(_ request: Request) -> [String: String] {
        Dictionary(request.headers.map { ($0.name.canonicalName, $0.value) }) { "\($0), \($1)" }
    }

    // MARK: The answer

    private func finish(
        _ request: Request, _ exchange: Exchange, _ route: HostConfiguration.Route?, _ answer: IntakeAnswer,
        _ bytes: Int,
        _ began: ContinuousClock.Instant, close: Bool, _ writer: consuming ResponseWriter
    ) async throws {
        let retryAfter = Int.random(in: 1...5)
        let reply =
            route?.adapter == AlertmanagerAPI.adapter
            ? AlertmanagerAPI.reply(
                to: answer, instance: route?.path ?? "", requestID: exchange.id, retryAfter: retryAfter)
            : StatusTable.reply(to: answer, instance: route?.path, requestID: exchange.id, retryAfter: retryAfter)
        do {
            try await exchange.write(reply, close: close, to: request, writer)
        } catch {
            note(exchange, route, "cut", bytes: bytes, began, answer)
            throw error
        }
        if case .taken = answer { answered() }
        metrics.response(status: reply.status, route: label(route))
        metrics.request(route: label(route), began.duration(to: .now))
        note(exchange, route, .stringConvertible(reply.status), bytes: bytes, began, answer)
    }

    private func label(_ route: HostConfiguration.Route?) -> String { route?.path ?? "other" }

    /// The request's line in the log.
    /// - Parameter status: of its answer; `cut` when its sender went away and has none.
    private func note(
        _ exchange: Exchange, _ route: HostConfiguration.Route?, _ status: Logger.MetadataValue, bytes: Int,
        _ began: ContinuousClock.Instant, _ answer: IntakeAnswer? = nil
    ) {
        log.info(
            "request",
            metadata: [
                "request_id": .string(exchange.id), "route": .string(label(route)), "status": status,
                "ms": .stringConvertible(began.duration(to: .now).milliseconds), "bytes": .stringConvertible(bytes),
                "verdicts": .dictionary(verdicts(answer)),
            ])
    }

    private func verdicts(_ answer: IntakeAnswer?) -> Logger.Metadata {
        guard case .taken(let outcome)? = answer else { return [:] }
        var counts: [Verdict: Int] = [:]
        for signal in outcome.signals { counts[signal.verdict, default: 0] += 1 }
        if !outcome.deadLetters.isEmpty { counts[.deadLettered] = outcome.deadLetters.count }
        return Dictionary(uniqueKeysWithValues: counts.map { ($0.key.rawValue, .stringConvertible($0.value)) })
    }
}
