import TestAPIServer
import TestSupport
import Testing

@testable import Host

/// Senders that show a service account's token, before a real server on a real socket.
struct KubernetesReviewerTests {
    private let server: TestAPIServer
    private let directory: TemporaryDirectory

    init() async throws {
        server = try await TestAPIServer(token: "own")
        directory = try TemporaryDirectory()
        try Files.write(
            """
            current-context: here
            contexts: [{name: here, context: {cluster: c, user: u}}]
            clusters: [{name: c, cluster: {server: 'http://127.0.0.1:\(server.port)'}}]
            users: [{name: u, user: {token: own}}]
            """, to: directory.file("kubeconfig"))
        server.know("sender", APIUser("system:serviceaccount:monitoring:alertmanager", paths: ["/in"]))
        server.know("stranger", APIUser("system:serviceaccount:shop:web"))
    }

    private func way(_ audiences: [String] = []) -> HostConfiguration.Authentication {
        .kubernetes(.init(kubeconfig: directory.file("kubeconfig"), audiences: audiences))
    }

    /// - Parameter life: short, so that a good answer has to be asked for again.
    private func reviewer(life: Duration = KubernetesReviewer.life) -> KubernetesReviewer {
        KubernetesReviewer(
            .init(kubeconfig: directory.file("kubeconfig"), audiences: []), log: RecordedLog().logger, life: life)
    }

    private var asked: Int { reviews.count { $0 == "tokenreviews" } }

    private func post(_ http: HTTP, _ token: String?, path: String = "/in") async throws -> HTTPResponse {
        let headers = token.map { ["Authorization": "Bearer \($0)"] } ?? [:]
        return try await http.post(path, "{}", headers: headers)
    }

    private var reviews: [String] {
        server.requests.map { "\($0.path.split(separator: "/").last ?? "")" }
    }

    @Test func anAccountThatMayPostIsLetInAndAskedAboutOnce() async throws {
        try await Listeners.serving(authentication: way()) { listeners in
            for _ in 0..<3 { #expect(try await post(listeners.http, "sender").status == 200) }
            #expect(reviews == ["tokenreviews", "subjectaccessreviews"])
            // The answer holds for the path that was asked about.
            #expect(try await post(listeners.http, "sender", path: "/api/v2/alerts").status == 403)
            let none = try await post(listeners.http, nil)
            #expect(none.status == 401 && none.headers["www-authenticate"] == "Bearer")
            #expect(try await post(listeners.http, "wrong").status == 401)
            let forbidden = try await post(listeners.http, "stranger")
            #expect(forbidden.status == 403 && forbidden.text.contains("problems/forbidden"))
            #expect(!forbidden.text.contains("stranger") && !forbidden.text.contains("web"))
        }
    }

    @Test func spacesBeforeATokenAreNoPartOfItAndABlankInsideIsRefusedUnasked() async throws {
        try await Listeners.serving(authentication: way()) { listeners in
            for token in [" sender", "    sender"] { #expect(try await post(listeners.http, token).status == 200) }
            #expect(reviews == ["tokenreviews", "subjectaccessreviews"])
            for token in ["\tsender", " \tsender", "sender x", "sender\tx", "s\u{e9}nder", "", "  "] {
                #expect(try await post(listeners.http, token).status == 401, "\(token)")
            }
            let other = try await listeners.http.post("/in", "{}", headers: ["Authorization": "Bearer\tsender"])
            #expect(other.status == 401)
            #expect(asked == 1)
        }
    }

    @Test func manyAtOnceAskOnce() async throws {
        try await Listeners.serving(authentication: way()) { listeners in
            let statuses = try await withThrowingTaskGroup(of: Int.self) { tasks in
                for _ in 0..<20 { tasks.addTask { try await post(listeners.http, "sender").status } }
                return try await tasks.reduce(into: Set<Int>()) { $0.insert($1) }
            }
            #expect(statuses == [200])
            #expect(reviews == ["tokenreviews", "subjectaccessreviews"])
        }
    }

    @Test func aTokenMustBeMeantForTheAudience() async throws {
        server.know("meant", APIUser("a", paths: ["/in"], audiences: ["portcullis", "api"]))
        try await Listeners.serving(authentication: way(["portcullis"])) { listeners in
            let (meant, other) = (
                try await post(listeners.http, "meant"), try await post(listeners.http, "sender")
            )
            #expect(meant.status == 200 && other.status == 401)
        }
    }

    @Test func whenNobodyCanVouchTheSenderComesAgain() async throws {
        try await Listeners.serving(authentication: way()) { listeners in
            for fault in [
                APIFault.answer(.failure(403, "Forbidden", "tokenreviews is forbidden")), .reset, .reset,
                .answer(.failure(500, "InternalError", "etcd")), .answer(APIAnswer(201, Array("<html>".utf8))),
                .answer(APIAnswer(201, Array("{}".utf8))),
            ] {
                server.fail("POST", "tokenreviews", fault, count: 2)
                let answer = try await post(listeners.http, "sender")
                #expect(answer.status == 503 && answer.text.contains("authentication service unavailable"))
                server.heal()
                server.fail("POST", "subjectaccessreviews", fault, count: 2)
                #expect(try await post(listeners.http, "sender").status == 503)
                server.heal()
            }
            // Nothing of it is remembered.
            #expect(try await post(listeners.http, "sender").status == 200)
        }
    }

    /// An answer is never taken for that to another review: decision 0023.
    @Test func theAnswerToAnothersReviewLetsNobodyInAndKeepsNobodyOut() async throws {
        let yes = #""status":{"authenticated":true,"user":{"username":"u"}}}"#
        let no = #""status":{"user":{},"error":"invalid bearer token"}}"#
        let may = #""status":{"allowed":true}}"#
        let token = #"{"kind":"TokenReview","spec":{"token":"another"},"#
        let access =
            #"{"kind":"SubjectAccessReview","spec":{"user":"u","nonResourceAttributes":{"path":"/in","verb":"post"}},"#
        let answers = [
            ("tokenreviews", token + yes), ("tokenreviews", token + no), ("tokenreviews", access + may),
            ("tokenreviews", #"{"kind":"TokenReview","# + yes), ("subjectaccessreviews", access + may),
            ("subjectaccessreviews", token + yes),
        ]
        try await Listeners.serving(authentication: way()) { listeners in
            for (part, answer) in answers {
                server.fail("POST", part, .answer(APIAnswer(201, Array(answer.utf8))))
                let refused = try await post(listeners.http, "sender")
                #expect(refused.status == 503, "\(answer)")
                server.heal()
            }
            #expect(try await post(listeners.http, "sender").status == 200)
        }
    }

    @Test func inventedTokensAreAskedAboutAFewAtATimeAndAreInNoKnownSendersWay() async throws {
        let reviewer = reviewer(life: .zero)
        #expect(await reviewer.decide("sender", path: "/in") == .allowed)
        // Of whatever comes next, so many answers never come.
        let held = KubernetesReviewer.atOnce / 2
        server.fail("POST", "tokenreviews", .stall, count: held)
        let flood = Task {
            await withTaskGroup(of: Authenticator.Decision.self) { tasks in
                for number in 0..<100 { tasks.addTask { await reviewer.decide("invented-\(number)", path: "/in") } }
                return await tasks.reduce(into: [Authenticator.Decision]()) { $0.append($1) }
            }
        }
        try await eventually("questions under way") { asked == 1 + held }
        // Its answer has ended, and it is asked about before all that wait.
        #expect(await reviewer.decide("sender", path: "/in") == .allowed)
        #expect(asked == 2 + held)
        let decisions = await flood.value
        #expect(decisions.count == 100 && decisions.count { $0 == .unavailable } == held)
        #expect(decisions.count { $0 == .refused } == 100 - held)
    }

    @Test func whatIsPastTheBoundIsGivenUpAtOnceAndAKnownTokenGoesFirst() async throws {
        let queue = ReviewQueue(.init(atOnce: 2, strangers: 1, waiting: 2, patience: .seconds(60)))
        #expect(await queue.enter(isKnown: false))
        // There is a second place, and none for another stranger.
        let waiting = (0..<2).map { _ in Task { await queue.enter(isKnown: false) } }
        try await eventually("two that wait") { queue.waiting == 2 }
        #expect(await queue.enter(isKnown: false) == false)
        #expect(await queue.enter(isKnown: true))
        let known = Task { await queue.enter(isKnown: true) }
        try await eventually("a third") { queue.waiting == 3 }
        queue.leave(isKnown: false)
        #expect(await known.value)
        #expect(queue.waiting == 2)
        queue.leave(isKnown: true)
        try await eventually("one stranger fewer") { queue.waiting == 1 }
        queue.leave(isKnown: true)
        #expect(queue.waiting == 1)
        queue.leave(isKnown: false)
        for task in waiting { #expect(await task.value) }
    }

    @Test func whatWaitedTooLongIsGivenUpWhenItsTurnComes() async throws {
        let queue = ReviewQueue(.init(atOnce: 1, strangers: 1, waiting: 8, patience: .zero))
        #expect(await queue.enter(isKnown: false))
        let late = [true, false].map { isKnown in Task { await queue.enter(isKnown: isKnown) } }
        try await eventually("two that wait") { queue.waiting == 2 }
        queue.leave(isKnown: false)
        for task in late { #expect(await task.value == false) }
        #expect(await queue.enter(isKnown: false))
    }

    @Test func anUnknownTokenIsAskedAboutOnceForAllPaths() async throws {
        let reviewer = reviewer()
        for path in ["/in", "/other", "/in"] { #expect(await reviewer.decide("wrong", path: path) == .refused) }
        #expect(reviews == ["tokenreviews"])
        // One that is known and may not is another matter on another path.
        #expect(await reviewer.decide("stranger", path: "/in") == .forbidden)
        #expect(await reviewer.decide("sender", path: "/in") == .allowed)
    }

    @Test func whatIsRememberedIsBounded() {
        var table = BoundedTable<Int, Int>(most: 100)
        for number in 0..<10_000 {
            table[number] = number
            table[0] = 0
            if number.isMultiple(of: 3) { table[number] = nil }
            #expect(table.count <= 100)
        }
        #expect(table[0] == 0 && table[9_998] == 9_998 && table[9_000] == nil)
    }

    @Test func withoutAnApiServerEverythingIsA503() async throws {
        try await server.stop()
        try await Listeners.serving(authentication: way()) { listeners in
            let answer = try await post(listeners.http, "sender")
            #expect(answer.status == 503)
        }
    }
}
