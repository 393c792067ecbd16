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
        var users: [String: APIUser] = [:]
        var watches: [ObjectIdentifier: Watch] = [:]
        var faults: [Fault] = []
        var requests: [APIRequest] = []
    }
    /// A closure that is itself the value of a box is wrapped once more at each access, until a call of it fills the stack.
    private struct Answering: Sendable {
        var answer: (@Sendable (APIRequest) -> Served)?
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
        let asked = NIOLockedValueBox(Answering())
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { [context] channel in
                channel.eventLoop.makeCompletedFuture {
                    if let context {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    }
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(
                        Connection { request in asked.withLockedValue { $0.answer }?(request) ?? .reset })
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
        self.port = channel.localAddress?.port ?? 0
        asked.withLockedValue { $0.answer = { [weak self] in self?.answer($0) ?? .reset } }
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

    /// Watches that are being answered.
    public var watching: Int { state.withLockedValue { $0.watches.count } }

    /// Who is known by a token, to reviews.
    public func know(_ token: String, _ user: APIUser) { state.withLockedValue { $0.users[token] = user } }

    /// Ends every watch, as a server does when their time is over.
    public func endWatches() { for watch in state.withLockedValue({ $0.watches.values }) { watch.end() } }

    /// Resource versions up to now are too old from here on.
    public func forget() { state.withLockedValue { $0.objects.forget() } }

    /// All objects of a collection, by their names.
    public func objects(_ plural: String) -> [String: JSONTree] {
        let all = state.withLockedValue { $0.objects.all }
        let found = all.filter { $0.key.collection.plural == plural }
        return Dictionary(found.map { ($0.key.name, $0.value) }) { first, _ in first }
    }

    /// By somebody else.
    public func create(_ collection: String, _ object: JSONTree) {
        guard let path = APIPath.read(collection)?.path else { return }
        change { _ = $0.create(path, object) }
    }

    /// By hand, as with kubectl.
    public func delete(_ plural: String, _ name: String) {
        change { objects in
            for key in objects.all.keys where key.collection.plural == plural && key.name == name {
                _ = objects.delete(key)
            }
        }
    }

    /// By another controller, which sends merge patches.
    public func patch(_ plural: String, _ name: String, status: JSONTree) {
        patch(plural, name, ["status": status], isStatus: true)
    }

    public func patch(_ plural: String, _ name: String, _ change: JSONTree, isStatus: Bool = false) {
        self.change { objects in
            for key in objects.all.keys where key.collection.plural == plural && key.name == name {
                _ = objects.patch(key, change, status: isStatus, manager: nil)
            }
        }
    }

    private func change(_ body: (inout Objects) -> Void) {
        state.withLockedValue { state in
            let before = state.objects.version
            body(&state.objects)
            Self.tell(&state, since: before)
        }
    }

    private static func tell(_ state: inout State, since before: Int) {
        for change in state.objects.changes.suffix(while: { $0.version > before }) {
            for watch in state.watches.values where watch.path.holds(change.key.collection) { watch.send(change.line) }
        }
    }

    // MARK: Requests

    private func answer(_ request: APIRequest) -> Served {
        state.withLockedValue { state in
            state.requests.append(request)
            var wanted: APIFault?
            if let place = state.faults.firstIndex(where: {
                $0.left > 0 && $0.method == request.method && request.path.contains($0.part)
            }) {
                state.faults[place].left -= 1
                wanted = state.faults[place].fault
            }
            let before = state.objects.version
            defer { Self.tell(&state, since: before) }
            switch wanted {
            case .loseReply:
                _ = serve(request, &state, StreamShape())
                return .reset
            case .reset: return .reset
            case .stall: return .stall
            case .answer(let answer): return .answer(answer)
            case .stream(let shape): return serve(request, &state, shape)
            case nil: return serve(request, &state, StreamShape())
            }
        }
    }

    private func serve(_ request: APIRequest, _ state: inout State, _ shape: StreamShape) -> Served {
        if let token, request.headers["authorization"] != "Bearer \(token)" {
            return .answer(.failure(401, "Unauthorized", "Unauthorized"))
        }
        if let known = Discovery.answer(request.path) { return .answer(known) }
        guard let (path, name, sub) = APIPath.read(request.path) else {
            return .answer(.failure(404, "NotFound", "the server could not find the requested resource"))
        }
        if request.method == "GET", name == nil, ["true", "1"].contains(request.query["watch"]) {
            return watch(path, request, &state, shape)
        }
        return .answer(serve(request, path, name, isStatus: sub == "status", &state))
    }

    private func watch(
        _ path: APIPath, _ request: APIRequest, _ state: inout State, _ shape: StreamShape
    ) -> Served {
        let asked = request.query["resourceVersion"] ?? ""
        var lines: [[UInt8]] = []
        var isLast = false
        if asked.isEmpty || asked == "0" {
            lines = state.objects.all.filter { path.holds($0.key.collection) }.map { key, object in
                Objects.Change(version: 0, type: "ADDED", key: key, object: object).line
            }
        } else if let from = Int(asked) {
            if from < state.objects.compacted {
                (lines, isLast) = ([APIAnswer.expiredLine], true)
            } else {
                lines = state.objects.changes.filter { $0.version > from && path.holds($0.key.collection) }.map(\.line)
            }
        } else {
            return .answer(.badVersion(asked))
        }
        let watch = Watch(path, lines, isLast: isLast, shape)
        if !isLast { state.watches[ObjectIdentifier(watch)] = watch }
        return .watch(watch, seconds: request.query["timeoutSeconds"].flatMap { Int($0) }) { [weak self] in
            self?.state.withLockedValue { _ = $0.watches.removeValue(forKey: ObjectIdentifier(watch)) }
        }
    }

    private func serve(
        _ request: APIRequest, _ path: APIPath, _ name: String?, isStatus: Bool, _ state: inout State
    ) -> APIAnswer {
        let body = Self.tree(request.body)
        guard let name else {
            switch (request.method, path.plural, body) {
            case ("GET", _, _): return state.objects.list(path, request.query)
            case ("POST", _, nil): return Self.notJSON
            case ("POST", "tokenreviews", let body?): return Reviews.token(body, state.users)
            case ("POST", "subjectaccessreviews", let body?): return Reviews.access(body, state.users)
            case ("POST", _, let body?): return state.objects.create(path, body)
            default: return Self.wrongMethod
            }
        }
        let key = Objects.Key(collection: path, name: name)
        switch request.method {
        case "GET": return state.objects.read(key)
        case "DELETE": return state.objects.delete(key, body)
        case "PATCH":
            guard let body else { return Self.notJSON }
            let isApplied = request.headers["content-type"]?.hasPrefix("application/apply-patch") == true
            return state.objects.patch(
                key, body, status: isStatus, manager: isApplied ? request.query["fieldManager"] : nil)
        default: return Self.wrongMethod
        }
    }

    private static let wrongMethod = APIAnswer.failure(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    private static let notJSON = APIAnswer.failure(400, "BadRequest", "the body is not JSON")

    private static func tree(_ body: [UInt8]) -> JSONTree? { (try? JSONDocument.parse(body)).map { JSONTree($0.root) } }
}

extension Array {
    /// The elements at the end of which `fits` holds.
    fileprivate func suffix(while fits: (Element) -> Bool) -> ArraySlice<Element> {
        self[(lastIndex { !fits($0) }.map { $0 + 1 } ?? 0)...]
    }
}
