import FailPoints
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import SignalKit

/// What the connections of senders share: where to post, who may, how much at once, and what is counted and logged.
final class IntakeService: Sendable {
    /// What a path leads to.
    enum Place: Sendable {
        case route(Destination)
        case beside(AlertmanagerAPI.Side)
    }

    let limits: HostConfiguration.Limits
    let inFlight: InFlight
    private let places: [String: Place]
    private let intake: any Taking
    private let authenticator: Authenticator
    private let metrics: HostMetrics
    private let log: Logger
    private let started: Timestamp
    private let draining: NIOLockedValueBox<Bool>

    init(
        _ configuration: HostConfiguration, intake: any Taking, metrics: HostMetrics, log: Logger,
        draining: NIOLockedValueBox<Bool>
    ) {
        var places = Dictionary(configuration.routes.map { ($0.path, Place.route(Destination($0))) }) { first, _ in
            first
        }
        for route in configuration.routes where route.adapter == AlertmanagerAPI.adapter {
            for (path, side) in AlertmanagerAPI.sides(of: route.path) { places[path] = .beside(side) }
        }
        self.places = places
        limits = configuration.server.limits
        self.intake = intake
        authenticator = Authenticator(configuration.routes, log: log)
        inFlight = InFlight(limits, metrics)
        self.metrics = metrics
        self.log = log
        started = Timestamp.now
        self.draining = draining
    }

    var isDraining: Bool { draining.withLockedValue { $0 } }

    func place(of path: String) -> Place? { places[path] }

    // MARK: Before the body

    enum Early: Sendable {
        case goOn
        case refused(Refusal)
        /// Somebody else has to be asked; `judge` takes what they say.
        case ask(Authenticator.Review)
    }

    func look(_ head: RequestHead, _ destination: Destination?) -> Early {
        guard let destination else { return .refused(.unknownPath) }
        guard head.method == .POST else { return .refused(.wrongMethod(allowed: "POST")) }
        if isDraining { return .refused(.shuttingDown) }
        if let type = head.mediaType, type != "application/json", !type.hasSuffix("+json") {
            return .refused(.wrongMediaType)
        }
        if head.isEncoded { return .refused(.wrongContentCoding) }
        switch authenticator.early(destination.route, authorization: head.authorization, field: head.value) {
        case .ask(let review): return .ask(review)
        case .decided(let decision): return judge(decision, head, destination)
        case .afterBody: return judge(.allowed, head, destination)
        }
    }

    func judge(_ decision: Authenticator.Decision, _ head: RequestHead, _ destination: Destination) -> Early {
        if let refusal = refusal(decision, destination) { return .refused(refusal) }
        if let length = head.length, length > limits.body { return .refused(.tooLarge(limit: limits.body)) }
        return .goOn
    }

    private func refusal(_ decision: Authenticator.Decision, _ destination: Destination) -> Refusal? {
        switch decision {
        case .allowed: nil
        case .refused: .unauthenticated(scheme: destination.route.authentication.scheme)
        case .forbidden: .forbidden
        case .unavailable: .unavailable(detail: "authentication service unavailable")
        }
    }

    // MARK: The body

    var late: Refusal {
        .overloaded(detail: "the request was not done within \(ConfigReader.text(limits.deadline))")
    }

    var full: Refusal { .overloaded(detail: "\(limits.inFlight) requests in flight") }

    /// Whether an answer shows that its sender belongs here: a refusal for the host's own reasons does.
    func isGood(_ answer: IntakeAnswer) -> Bool { !(400..<500).contains(StatusTable.status(of: answer)) }

    func ended(_ reason: ConnectionEnd) { metrics.connectionEnded(listener: "senders", reason) }

    /// A request that was read whole.
    struct Whole: Sendable {
        let head: RequestHead
        let destination: Destination
        let body: [UInt8]
        let ticket: InFlight.Ticket
        let deadline: ContinuousClock.Instant
    }

    func decide(_ request: Whole, on eventLoop: any EventLoop) async -> IntakeAnswer {
        defer { inFlight.end(request.ticket) }
        let (head, destination) = (request.head, request.destination)
        let decision = authenticator.late(destination.route.authentication, field: head.value, request.body)
        if let refusal = refusal(decision, destination) { return .refused(refusal) }
        let headers = head.headers
        let inbound = InboundRequest(
            body: request.body, contentType: head.mediaType, receivedAt: Timestamp.now
        ) { RequestHead.fields(headers) }
        return await intake.take(
            inbound, route: destination.route, requestID: head.id, eventLoop: eventLoop, deadline: request.deadline)
    }

    // MARK: The answer

    func reply(to side: AlertmanagerAPI.Side, _ head: RequestHead) -> Reply {
        AlertmanagerAPI.reply(to: side, method: head.method, started: started)
    }

    func reply(to answer: IntakeAnswer, _ head: RequestHead, _ destination: Destination?) -> Reply {
        // Spread, so that senders do not come back together.
        let retryAfter = if case .taken = answer { 0 } else { Int.random(in: 1...5) }
        let instance = destination?.route.path
        if let instance, destination?.speaksAlertmanager == true {
            return AlertmanagerAPI.reply(to: answer, instance: instance, requestID: head.id, retryAfter: retryAfter)
        }
        return StatusTable.reply(to: answer, instance: instance, requestID: head.id, retryAfter: retryAfter)
    }

    /// What came is not HTTP/1.1.
    func refuseBytes(_ id: String, by lines: LineBatch) -> Reply {
        let refusal = Refusal.badRequest(detail: "the bytes are not HTTP/1.1")
        let reply = StatusTable.reply(to: .refused(refusal), instance: nil, requestID: id, retryAfter: 0)
        metrics.response(status: reply.status, route: "other")
        RequestLine(id: id, route: "other", status: reply.status, milliseconds: 0, bytes: 0, outcome: nil)
            .write(to: log, by: lines)
        return reply
    }

    /// The answer has been written.
    func tell(_ request: RequestInWork, _ status: Int, _ answer: IntakeAnswer?, by lines: LineBatch) {
        let label = request.destination?.route.path ?? "other"
        if case .taken? = answer { FailPoint.hit(.answered) }
        metrics.response(status: status, route: label)
        let spent = request.began.duration(to: .now)
        if answer != nil { metrics.request(route: label, spent) }
        note(request, status, spent, answer, lines)
    }

    /// Its sender went away, and has none.
    func tellCut(_ request: RequestInWork, _ answer: IntakeAnswer? = nil, by lines: LineBatch) {
        note(request, nil, request.began.duration(to: .now), answer, lines)
    }

    private func note(
        _ request: RequestInWork, _ status: Int?, _ spent: Duration, _ answer: IntakeAnswer?, _ lines: LineBatch
    ) {
        RequestLine(
            id: request.head.id, route: request.destination?.route.path ?? "other", status: status,
            milliseconds: spent.milliseconds,
            bytes: request.bytes, outcome: { if case .taken(let outcome)? = answer { outcome } else { nil } }()
        ).write(to: log, by: lines)
    }
}

/// A route, in a box: what it holds is not to be copied for each request.
final class Destination: Sendable {
    let route: HostConfiguration.Route
    let speaksAlertmanager: Bool

    init(_ route: HostConfiguration.Route) {
        self.route = route
        speaksAlertmanager = route.adapter == AlertmanagerAPI.adapter
    }
}

/// A request between its head and its answer, in its connection's hands.
final class RequestInWork {
    let head: RequestHead
    /// Nil when there is none for it.
    let destination: Destination?
    let began = ContinuousClock.now
    /// As far as it was read; handed on once it is whole.
    var body: [UInt8] = []
    /// Of the body.
    var bytes = 0
    /// As many there were when its pace was last looked at.
    var bytesAtLook = 0
    var ticket: InFlight.Ticket?
    var task: Task<Void, Never>?

    init(_ head: RequestHead, to destination: Destination?) { (self.head, self.destination) = (head, destination) }
}
