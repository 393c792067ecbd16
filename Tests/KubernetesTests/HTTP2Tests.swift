import JSON
import TestAPIServer
import TestSupport
import Testing

@testable import Kubernetes

/// The client before a server that speaks HTTP/2 over TLS: a real proxy (nghttpx) in front of the tests' API server.
struct HTTP2Tests {
    private let server: TestAPIServer
    private let files: TemporaryDirectory
    private let proxy: ChildProcess
    private let client: KubernetesClient

    init() async throws {
        server = try await TestAPIServer(token: "letmein")
        files = try TemporaryDirectory()
        let made = try await ChildProcess.run(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", files.file("tls.key"),
                "-out", files.file("tls.pem"),
            ])
        #expect(made.end == .exited(0), "\(made.errors)")
        let port = try freePort()
        proxy = try ChildProcess(
            "nghttpx",
            [
                "--conf=/dev/null", "--frontend=127.0.0.1,\(port)", "--backend=127.0.0.1,\(server.port)", "--workers=1",
                "--accesslog-file=\(files.file("access.log"))",
                "--accesslog-format=$alpn $request", files.file("tls.key"), files.file("tls.pem"),
            ], in: files, name: "nghttpx")
        try Files.write(
            """
            current-context: here
            contexts: [{name: here, context: {cluster: c, user: u}}]
            clusters: [{name: c, cluster: {server: 'https://127.0.0.1:\(port)', certificate-authority: tls.pem}}]
            users: [{name: u, user: {token: letmein}}]
            """, to: files.file("kubeconfig"))
        client = KubernetesClient(.kubeconfig(files.file("kubeconfig")))
        let list = KubernetesRequest(.get, "/api/v1/namespaces/demo/events")
        try await eventually("an answer through the proxy; \(proxy.errors)") { [client] in
            (try? await client.send(list, within: .seconds(2))) != nil
        }
    }

    @Test func manyRequestsShareAConnectionAndAWatchHasItsOwn() async throws {
        let before = server.requests.count
        try await withThrowingTaskGroup(of: Int.self) { tasks in
            for number in 0..<50 {
                let body = #"{"kind":"Event","apiVersion":"v1","metadata":{"name":"e\#(number)"}}"#
                let request = KubernetesRequest(.post, "/api/v1/namespaces/demo/events", body: Array(body.utf8))
                tasks.addTask { try await client.send(request).status }
            }
            for try await status in tasks { #expect(status == 201) }
        }
        #expect(server.requests.count == before + 50)
        let watch = KubernetesRequest(.get, "/api/v1/namespaces/demo/events?watch=1&resourceVersion=100")
        let stream = try client.stream(watch, within: .seconds(20))
        try await stream.opened()
        var lines = 0
        while lines < 50 { lines += try await stream.next(100).count }
        #expect(lines == 50)
        server.endWatches()
        #expect(try await stream.next(1).isEmpty)
        try await eventually("the watch in the proxy's log") { log.contains { $0.contains("watch=1") } }
        let words = log.filter { $0.contains("POST") }.map { $0.prefix(3) }
        #expect(words.count == 50 && Set(words) == ["h2 "])
        #expect(log.filter { $0.contains("watch=1") }.allSatisfy { $0.hasPrefix("http/1.1 ") })
    }

    /// `<protocol> <request>`
    private var log: [String] { Files.lines(files.file("access.log")) }
}
