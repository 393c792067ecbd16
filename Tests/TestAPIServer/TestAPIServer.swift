public import JSON
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// A small API server on a loopback port: objects, lists by label, conflicts, and faults on demand. What it answers is
/// what a real one answered, as far as that was recorded.
public final class TestAPIServer: Sendable {
    private struct Fault: Sendable {
        let method: String
        let part: String
        let fault: APIFault
        var left: Int
    }
    private struct State: Sendable {
        var objects = Objects()
        var faults: [Fault] = []
        var requests: [APIRequest] = []
    }
    private let state = NIOLockedValueBox(State())
    private let token: String?
    private let channel: any Channel
    public let port: Int

    /// - Parameters:
    ///   - token: that every request must carry; nil for none.
    ///   - tls: files of a certificate and its key; nil for plain HTTP.
    public init(token: String? = nil, tls: (certificate: String, key: String)? = nil, port: Int = 0) async throws {
        self.token = token
        var context: NIOSSLContext?
        if let tls {
            let certificates = try NIOSSLCertificate.fromPEMFile(tls.certificate)
            let key = try NIOSSLPrivateKey(file: tls.key, format: .pem)
            context = try NIOSSLContext(
                configuration: .makeServerConfiguration(
                    certificateChain: certificates.map { .certificate($0) }, privateKey: .privateKey(key)))
        }
        let asked = NIOLockedValueBox<(@Sendable (APIRequest) -> APIFault)?>(nil)
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { [context] channel in
                channel.eventLoop.makeCompletedFuture {
                    if let context {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    }
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(
                        Connection { request in asked.withLockedValue { $0 }?(request) ?? .reset })
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
        self.port = channel.localAddress?.port ?? 0
        asked.withLockedValue { $0 = { [weak self] in self?.answer($0) ?? .reset } }
    }

    /// Refuses connections from now on; those that are open live on.
    public func stop() async throws { try await channel.close() }

    deinit { channel.close(promise: nil) }

    // MARK: For tests

    /// What the next `count` requests of this method get whose path contains `part`.
    public func fail(_ method: String, _ part: String, _ fault: APIFault, count: Int = 1) {
        state.withLockedValue { $0.faults.append(Fault(method: method, part: part, fault: fault, left: count)) }
    }

    public func heal() { state.withLockedValue { $0.faults.removeAll() } }

    public var requests: [APIRequest] { state.withLockedValue { $0.requests } }

    /// All objects of a collection, by their names.
    public func objects(_ plural: String) -> [String: JSONTree] {
        let all = state.withLockedValue { $0.objects.all }
        let found = all.filter { $0.key.collection.hasSuffix("/" + plural) }
        return Dictionary(uniqueKeysWithValues: found.map { ($0.key.name, $0.value) })
    }

    /// By hand, as with kubectl.
    public func delete(_ plural: String, _ name: String) {
        state.withLockedValue { state in
            for key in state.objects.all.keys where key.collection.hasSuffix("/" + plural) && key.name == name {
                _ = state.objects.delete(key)
            }
        }
    }

    /// By another controller.
    public func patch(_ plural: String, _ name: String, status: JSONTree) {
        state.withLockedValue { state in
            for key in state.objects.all.keys where key.collection.hasSuffix("/" + plural) && key.name == name {
                _ = state.objects.patch(key, ["status": status], status: true)
            }
        }
    }

    // MARK: Requests

    private func answer(_ request: APIRequest) -> APIFault {
        state.withLockedValue { state in
            state.requests.append(request)
            var wanted: APIFault?
            if let place = state.faults.firstIndex(where: {
                $0.left > 0 && $0.method == request.method && request.path.contains($0.part)
            }) {
                state.faults[place].left -= 1
                wanted = state.faults[place].fault
            }
            switch wanted {
            case .loseReply:
                _ = serve(request, &state.objects)
                return .reset
            case let fault?: return fault
            case nil: return .answer(serve(request, &state.objects))
            }
        }
    }

    private func serve(_ request: APIRequest, _ objects: inout Objects) -> APIAnswer {
        if let token, request.headers["authorization"] != "Bearer \(token)" {
            return .failure(401, "Unauthorized", "Unauthorized")
        }
        // …/namespaces/NS/PLURAL[/NAME[/status]]
        let parts = request.path.split(separator: "/").map(String.init)
        guard let at = parts.firstIndex(of: "namespaces"), parts.count >= at + 3, parts.count <= at + 5 else {
            return .failure(404, "NotFound", "the server could not find the requested resource")
        }
        let collection = "/" + parts[...(at + 2)].joined(separator: "/")
        guard parts.count > at + 3 else {
            if request.method == "GET" { return objects.list(collection, selector: request.query["labelSelector"]) }
            guard request.method == "POST" else { return Self.wrongMethod }
            guard let object = Self.tree(request.body) else { return Self.notJSON }
            return objects.create(collection, object)
        }
        let key = Objects.Key(collection: collection, name: parts[at + 3])
        let isStatus = parts.count == at + 5
        switch request.method {
        case "GET": return objects.read(key)
        case "DELETE": return objects.delete(key)
        case "PATCH":
            guard let change = Self.tree(request.body) else { return Self.notJSON }
            return objects.patch(key, change, status: isStatus)
        default: return Self.wrongMethod
        }
    }

    private static let wrongMethod = APIAnswer.failure(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    private static let notJSON = APIAnswer.failure(400, "BadRequest", "the body is not JSON")

    private static func tree(_ body: [UInt8]) -> JSONTree? { (try? JSONDocument.parse(body)).map { JSONTree($0.root) } }
}

/// One connection: reads a request whole, answers it, waits for the next.
private final class Connection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let answer: @Sendable (APIRequest) -> APIFault
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []

    init(_ answer: @escaping @Sendable (APIRequest) -> APIFault) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): (self.head, body) = (head, [])
        case .body(let bytes): body.append(contentsOf: bytes.readableBytesView)
        case .end:
            guard let head else { return }
            let headers = Dictionary(head.headers.map { ($0.name.lowercased(), $0.value) }) { $1 }
            let request = APIRequest(method: head.method.rawValue, uri: head.uri, headers: headers, body: body)
            switch answer(request) {
            case .answer(let answer): write(answer, context)
            case .stall: break
            case .reset, .loseReply: context.close(promise: nil)
            }
        }
    }

    private func write(_ answer: APIAnswer, _ context: ChannelHandlerContext) {
        var headers = HTTPHeaders(answer.headers.map { ($0.key, $0.value) })
        headers.add(name: "Content-Type", value: "application/json")
        headers.add(name: "Content-Length", value: String(answer.body.count))
        let head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: answer.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
