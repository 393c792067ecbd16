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
    /// Answers that are remembered; past it all are forgotten, so that guessing costs memory nothing.
    static let most = 1_024
    /// Questions under way at once.
    static let atOnce = 8
    /// of both reviews together; a request has to be answered within its own deadline
    static let timeout = Duration.seconds(3)

    let way: HostConfiguration.Authentication.Kubernetes
    private let client: KubernetesClient
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
        var known: [Question: Known] = [:]
        /// Of their own, so that tokens that somebody invents push out no good answer.
        var refused: [Question: Known] = [:]
        /// Many requests with one new token ask once.
        var asking: [Question: Task<Authenticator.Decision, Never>] = [:]
    }
    private let state = NIOLockedValueBox(State())

    init(_ way: HostConfiguration.Authentication.Kubernetes, log: Logger) {
        (self.way, self.log) = (way, log)
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
        if let known = state.known[question] ?? state.refused[question], known.until > .now {
            return .success(known.decision)
        }
        if let task = state.asking[question] { return .failure(Asking(task: task)) }
        let task = Task { await self.ask(question, token) }
        state.asking[question] = task
        return .failure(Asking(task: task))
    }

    private func ask(_ question: Question, _ token: String) async -> Authenticator.Decision {
        let decision: Authenticator.Decision
        do throws(KubernetesError) {
            decision = try await review(token, question.path)
        } catch {
            log.error("nobody can vouch for a sender", metadata: ["reason": "\(error)"])
            decision = .unavailable
        }
        state.withLockedValue { state in
            state.asking[question] = nil
            (state.known[question], state.refused[question]) = (nil, nil)
            if state.known.count >= Self.most { state.known.removeAll() }
            if state.refused.count >= Self.most { state.refused.removeAll() }
            switch decision {
            case .allowed: state.known[question] = Known(decision: decision, until: .now + Self.life)
            case .refused, .forbidden:
                state.refused[question] = Known(decision: decision, until: .now + Self.refusalLife)
            case .unavailable: break
            }
        }
        return decision
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
