import JSON
@testable import Kubernetes
import TestAPIServer
import TestSupport
import Testing

struct KubernetesClientTests {
    private static let widgets = "/apis/example.test/v1/namespaces/demo/widgets"

    /// A kubeconfig for a server, with whatever a test adds to its user and cluster.
    private func kubeconfig(
        _ directory: TemporaryDirectory, _ url: String, cluster: String = "", user: String = "token: letmein"
    ) throws -> String {
        try Files.write(
            """
            apiVersion: v1
            kind: Config
            current-context: here
            contexts: [{name: here, context: {cluster: c, user: u, namespace: demo}}]
            clusters: [{name: c, cluster: {server: '\(url)'\(cluster.isEmpty ? "" : ", " + cluster)}}]
            users: [{name: u, user: {\(user)}}]
            """, to: directory.file("kubeconfig"))
        return directory.file("kubeconfig")
    }

    private func client(_ server: TestAPIServer, user: String = "token: letmein") throws -> (
        KubernetesClient, TemporaryDirectory
    ) {
        let directory = try TemporaryDirectory()
        let file = try kubeconfig(directory, "http://127.0.0.1:\(server.port)", user: user)
        return (KubernetesClient(.kubeconfig(file)), directory)
    }

    private func failure(_ body: () async throws(KubernetesError) -> KubernetesResponse) async -> KubernetesError? {
        do throws(KubernetesError) {
            _ = try await body()
            return nil
        } catch {
            return error
        }
    }

    private func widget(_ name: String) -> [UInt8] {
        Array(#"{"apiVersion":"example.test/v1","kind":"Widget","metadata":{"name":"\#(name)"}}"#.utf8)
    }

    @Test func itCreatesListsAndIsToldOfConflicts() async throws {
        let server = try await TestAPIServer(token: "letmein")
        let (client, directory) = try client(server)
        defer { _ = directory }
        #expect(client.namespace == "demo")
        let made = try await client.send(KubernetesRequest(.post, Self.widgets, body: widget("w1")))
        #expect(made.status == 201)
        let again = await failure { () async throws(KubernetesError) in
            try await client.send(KubernetesRequest(.post, Self.widgets, body: widget("w1")))
        }
        #expect(again?.code == .alreadyExists)
        #expect(again?.message == #"widgets.example.test "w1" already exists"#)
        let list = try await client.send(KubernetesRequest(.get, Self.widgets + "?labelSelector=a%3Db"))
        #expect(try JSONDocument.parse(list.body).root["items"]?.array?.count == 0)
        #expect(server.requests.last?.query["labelSelector"] == "a=b")
        let wrong = KubernetesRequest(
            .patch, Self.widgets + "/w1", body: Array(#"{"metadata":{"resourceVersion":"7"}}"#.utf8),
            contentType: "application/merge-patch+json")
        #expect(await failure { () async throws(KubernetesError) in try await client.send(wrong) }?.code == .conflict)
        let gone = KubernetesRequest(.get, Self.widgets + "/none")
        #expect(await failure { () async throws(KubernetesError) in try await client.send(gone) }?.code == .notFound)
    }

    @Test func whatARealServerRefusedIsUnderstood() async throws {
        let server = try await TestAPIServer()
        let (client, directory) = try client(server)
        defer { _ = directory }
        let list = KubernetesRequest(.get, Self.widgets)
        for (answer, code, reason) in [
            (APIAnswer.failure(401, "Unauthorized", "Unauthorized"), KubernetesError.Code.unauthorized, "Unauthorized"),
            (.failure(403, "Forbidden", "exceeded quota: objects"), .forbidden, "Forbidden"),
            (.failure(410, "Expired", "too old resource version"), .expired, "Expired"),
            (.failure(422, "Invalid", "spec.size: 99"), .invalid, "Invalid"),
            (.failure(429, "TooManyRequests", "busy", headers: ["Retry-After": "3"]), .overloaded, "TooManyRequests"),
            (.failure(504, "Timeout", "Too large resource version"), .unavailable, "Timeout"),
            (APIAnswer(502, Array("<html>".utf8)), .unavailable, nil), (APIAnswer(302, []), .garbage, nil),
        ] {
            server.fail("GET", "widgets", .answer(answer))
            let error = await failure { () async throws(KubernetesError) in try await client.send(list) }
            #expect(error?.code == code && error?.reason == reason && error?.status == answer.status)
            if code == .overloaded { #expect(error?.retryAfter == 3) }
            if code == .forbidden { #expect(error?.isQuota == true) }
        }
    }

    @Test func whatBecameOfALostRequestIsNotKnown() async throws {
        let server = try await TestAPIServer()
        let (client, directory) = try client(server)
        defer { _ = directory }
        let post = KubernetesRequest(.post, Self.widgets, body: widget("w1"))
        server.fail("POST", "widgets", .loseReply)
        #expect(await failure { () async throws(KubernetesError) in try await client.send(post) }?.code == .interrupted)
        #expect(server.objects("widgets").count == 1)
        server.fail("POST", "widgets", .stall)
        let stalled = await failure { () async throws(KubernetesError) in
            try await client.send(post, within: .milliseconds(200))
        }
        #expect(stalled?.code == .timeout)
        server.fail("GET", "widgets", .stall)
        let task = Task { [client] in
            await failure { () async throws(KubernetesError) in
                try await client.send(KubernetesRequest(.get, Self.widgets))
            }
        }
        try await eventually("the request has come") { server.requests.contains { $0.method == "GET" } }
        task.cancel()
        #expect(await task.value?.code == .interrupted)
        try await server.stop()
        let (away, other) = try self.client(server)
        defer { _ = other }
        #expect(await failure { () async throws(KubernetesError) in try await away.send(post) }?.code == .unreachable)
    }

    @Test func tlsIsVerifiedAlways() async throws {
        let files = try TemporaryDirectory()
        let made = try await ChildProcess.run(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", files.file("tls.key"),
                "-out", files.file("tls.pem"),
            ])
        #expect(made.end == .exited(0), "\(made.errors)")
        let server = try await TestAPIServer(
            token: "letmein", tls: (certificate: files.file("tls.pem"), key: files.file("tls.key")))
        let url = "https://127.0.0.1:\(server.port)"
        let list = KubernetesRequest(.get, Self.widgets)
        let trusting = try kubeconfig(files, url, cluster: "certificate-authority: tls.pem")
        #expect(try await KubernetesClient(.kubeconfig(trusting)).send(list).status == 200)
        let other = try TemporaryDirectory()
        let doubting = KubernetesClient(.kubeconfig(try kubeconfig(other, url)))
        #expect(await failure { () async throws(KubernetesError) in try await doubting.send(list) }?.code == .tls)
        let careless = KubernetesClient(
            .kubeconfig(try kubeconfig(other, url, cluster: "insecure-skip-tls-verify: true")))
        let refusal = await failure { () async throws(KubernetesError) in try await careless.send(list) }
        #expect(refusal?.code == .credentials && refusal?.message.contains("certificate-authority-data") == true)
        let named = KubernetesClient(
            .kubeconfig(
                try kubeconfig(files, "https://localhost:\(server.port)", cluster: "certificate-authority: tls.pem")))
        #expect(await failure { () async throws(KubernetesError) in try await named.send(list) }?.code == .tls)
    }

    @Test(arguments: [
        ("exec: {command: x}", "exec, which is not supported"), ("username: a, password: b", "username"),
        ("client-certificate-data: '!'", "not base64"), ("token: ''", "holds no token"),
        ("tokenFile: nowhere", "can't read the token"),
    ])
    func aKubeconfigThatCannotBeUsedSaysWhy(_ user: String, _ words: String) async throws {
        let files = try TemporaryDirectory()
        let client = KubernetesClient(.kubeconfig(try kubeconfig(files, "http://127.0.0.1:1", user: user)))
        let error = await failure { () async throws(KubernetesError) in
            try await client.send(KubernetesRequest(.get, Self.widgets))
        }
        #expect(error?.code == .credentials && error?.message.contains(words) == true, "\(error?.message ?? "")")
    }

    @Test func aServiceAccountsTokenIsReadAgainAsItRotates() async throws {
        let server = try await TestAPIServer(token: "second")
        let files = try TemporaryDirectory()
        let outside = KubernetesClient(.inCluster(directory: files.file(""), environment: [:]))
        let list = KubernetesRequest(.get, Self.widgets)
        let error = await failure { () async throws(KubernetesError) in try await outside.send(list) }
        #expect(error?.message.contains("kubeconfig: FILE") == true)
        let environment = ["KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": String(server.port)]
        let inside = Credentials.inCluster(directory: files.file(""), environment: environment)
        try Files.write("first\n", to: files.file("token"))
        try Files.write("none", to: files.file("ca.crt"))
        try Files.write("shop", to: files.file("namespace"))
        let first = try inside.access()
        try Files.write("second\n", to: files.file("token"))
        let second = try inside.access()
        #expect(first.token == "first" && second.token == "second" && second.namespace == "shop")
        #expect(second.url == "https://127.0.0.1:\(server.port)")
    }
}

struct Base64Tests {
    @Test(arguments: [
        ("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob"), ("Zm9v\n YmFy", "foobar"),
    ])
    func itIsRead(_ text: String, _ bytes: String) { #expect(Base64.decoded(text) == Array(bytes.utf8)) }

    @Test(arguments: ["Zg", "Zg=", "Z===", "Zh==", "Zm9=", "=Zg=", "Zg==Zg==", "Zm-v", "====", "Zm9v="])
    func anythingElseIsNot(_ text: String) { #expect(Base64.decoded(text) == nil) }
}
