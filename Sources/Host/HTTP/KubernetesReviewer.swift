import Crypto
import JSON
import Kubernetes
import Logging
import NIOConcurrencyHelpers

/// Asks the API server who a token is (TokenReview), and whether they may post to a path (SubjectAccessReview on a
/// non-resource URL). Whatever goes wrong on the way is no yes and no no.
final class KubernetesReviewer: Sendable {
    /// A yes holds this long after its account was deleted or its permission withdrawn, a no this long after it was given.
    static let life = Duration.seconds(30)
    static let refusalLife = Duration.seconds(5)
    /// Answers of each kind that are remembered; past it the oldest are forgotten, so that guessing costs memory nothing.
    static let most = 4_096
    /// Questions under way at once.
    static let atOnce = 8
    /// of both reviews together; a request has to be answered within its own deadline
    static let timeout = Duration.seconds(3)

    let way: HostConfiguration.Authentication.Kubernetes
    private let client: KubernetesClient
    private let queue: ReviewQueue
    private let life: Duration
    private let log: Logger

    /// The token itself is not kept.
    private struct Question: Hashable, Sendable {
        let token: SHA256Digest
        let path: String
    }
    private struct Known: Sendable {
        let decision: Authenticator.Decision
        let until: ContinuousClock.Instant
    }
    private struct State: Sendable {
        var allowed = BoundedTable<Question, Known>(most: KubernetesReviewer.most)
        /// Tokens that were good once, for their place in the queue.
        var proven = BoundedTable<SHA256Digest, Bool>(most: KubernetesReviewer.most)
        /// The others are apart, so that invented tokens push out no good answer. A token that nobody knows is refused on every path.
        var unknown = BoundedTable<SHA256Digest, ContinuousClock.Instant>(most: KubernetesReviewer.most)
        var forbidden = BoundedTable<Question, ContinuousClock.Instant>(most: KubernetesReviewer.most)
        /// When it was last said that too many wait.
        var saidFull: ContinuousClock.Instant?
        /// Many requests with one new token ask once.
        var asking: [Question: Task<Authenticator.Decision, Never>] = [:]
    }
    private let state = NIOLockedValueBox(State())

    /// - Parameter life: of a yes.
    init(
        _ way: HostConfiguration.Authentication.Kubernetes, log: Logger, life: Duration = KubernetesReviewer.life,
        queue: ReviewQueue = ReviewQueue()
    ) {
        (self.way, self.log, self.life, self.queue) = (way, log, life, queue)
        client = KubernetesClient(way.kubeconfig.map(Credentials.kubeconfig) ?? .inCluster, for: .reviews)
    }

    func decide(_ token: Substring, path: String) async -> Authenticator.Decision {
        let question = Question(token: SHA256.hash(data: Array(token.utf8)), path: path)
        let token = String(token)
        let task: Task<Authenticator.Decision, Never>
        switch state.withLockedValue({ self.begin(question, token, &$0) }) {
        case .success(let known): return known
        case .failure(let asking): task = asking.task
        }
        return await task.value
    }

    private struct Asking: Error { let task: Task<Authenticator.Decision, Never> }

    private func begin(
        _ question: Question, _ token: String, _ state: inout State
    ) -> Result<Authenticator.Decision, Asking> {
        let now = ContinuousClock.now
        if let known = state.allowed[question], known.until > now { return .success(known.decision) }
        if let until = state.unknown[question.token], until > now { return .success(.refused) }
        if let until = state.forbidden[question], until > now { return .success(.forbidden) }
        if let task = state.asking[question] { return .failure(Asking(task: task)) }
        let task = Task { await self.ask(question, token) }
        state.asking[question] = task
        return .failure(Asking(task: task))
    }

    private func ask(_ question: Question, _ token: String) async -> Authenticator.Decision {
        let isKnown = state.withLockedValue { $0.proven[question.token] == true }
        guard await queue.enter(isKnown: isKnown) else {
            tooMany()
            state.withLockedValue { $0.asking[question] = nil }
            return .unavailable
        }
        defer { queue.leave(isKnown: isKnown) }
        let decision: Authenticator.Decision
        do throws(KubernetesError) {
            decision = try await review(token, question.path)
        } catch {
            log.error("nobody can vouch for a sender", metadata: ["reason": "\(error)"])
            decision = .unavailable
        }
        state.withLockedValue { state in
            state.asking[question] = nil
            state.allowed[question] = nil
            switch decision {
            case .allowed:
                state.allowed[question] = Known(decision: decision, until: .now + life)
                state.proven[question.token] = true
            case .refused:
                state.unknown[question.token] = .now + Self.refusalLife
                state.proven[question.token] = nil
            case .forbidden: state.forbidden[question] = .now + Self.refusalLife
            case .unavailable: break
            }
        }
        return decision
    }

    /// One line in 10 s: each of a flood of tokens would have one.
    private func tooMany() {
        let now = ContinuousClock.now
        let isNews = state.withLockedValue { state in
            if let last = state.saidFull, last + .seconds(10) > now { return false }
            state.saidFull = now
            return true
        }
        guard isNews else { return }
        log.warning("too many tokens wait for a TokenReview: senders with a new token get a 503")
    }

    private func review(_ token: String, _ path: String) async throws(KubernetesError) -> Authenticator.Decision {
        let deadline = ContinuousClock.now + Self.timeout
        var spec: JSONTree = ["token": .string(token)]
        if !way.audiences.isEmpty { spec["audiences"] = .array(way.audiences.map(JSONTree.string)) }
        let who = try await post("authentication.k8s.io", "TokenReview", "tokenreviews", spec, deadline)
        // There is no `authenticated: false`: it is left out.
        guard who.root["authenticated"]?.boolean == true, let user = who.root["user"],
            let name = user["username"]?.string, !name.isEmpty
        else { return .refused }
        if !way.audiences.isEmpty {
            let meant = who.root["audiences"]?.array?.compactMap(\.string) ?? []
            guard !Set(meant).isDisjoint(with: way.audiences) else { return .refused }
        }
        var access: JSONTree = [
            "user": .string(name), "nonResourceAttributes": ["path": .string(path), "verb": "post"],
        ]
        access["uid"] = user["uid"].map(JSONTree.init)
        access["groups"] = user["groups"].map(JSONTree.init)
        access["extra"] = user["extra"].map(JSONTree.init)
        let may = try await post(
            "authorization.k8s.io", "SubjectAccessReview", "subjectaccessreviews", access, deadline)
        return may.root["allowed"]?.boolean == true ? .allowed : .forbidden
    }

    /// - Returns: the answer's `status`, which must be there.
    private func post(
        _ group: String, _ kind: String, _ plural: String, _ spec: JSONTree, _ deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) -> (root: JSONValue, document: JSONDocument) {
        let review: JSONTree = ["apiVersion": .string("\(group)/v1"), "kind": .string(kind), "spec": spec]
        guard let body = try? review.text() else { throw KubernetesError(.invalid, "a token that JSON can't say") }
        let answer = try await client.send(
            KubernetesRequest(.post, "/apis/\(group)/v1/\(plural)", body: body),
            within: max(.milliseconds(1), ContinuousClock.now.duration(to: deadline)))
        guard let document = try? JSONDocument.parse(answer.body), let status = document.root["status"] else {
            throw KubernetesError(.garbage, "a \(kind) without a status")
        }
        guard Self.answers(document.root, kind, spec) else {
            throw KubernetesError(.garbage, "the answer belongs to another request than this \(kind): it is not used")
        }
        return (status, document)
    }

    /// Whether an answer repeats what it was asked about. A connection that gives answers to the wrong requests would let in
    /// one sender for another (decision 0023).
    private static func answers(_ root: JSONValue, _ kind: String, _ asked: JSONTree) -> Bool {
        func isRepeated(_ path: String...) -> Bool {
            let sent = path.reduce(Optional(asked)) { $0?[$1] }?.text
            let got = path.reduce(root["spec"]) { $0?[$1] }?.string
            // As bytes: Swift takes texts for equal that Unicode does.
            return sent.map { Array($0.utf8) } == got.map { Array($0.utf8) }
        }
        return root["kind"]?.string == kind && isRepeated("token") && isRepeated("user")
            && isRepeated("nonResourceAttributes", "path") && isRepeated("nonResourceAttributes", "verb")
    }
}
