import Glibc

/// A real server of HTTP/2 over TLS (nghttpx) in front of one that speaks HTTP/1.1, as kube-apiserver offers both.
public final class HTTP2Front: Sendable {
    public let port: Int
    private let directory: TemporaryDirectory
    private let proxy: ChildProcess

    /// - Parameter backend: port of the HTTP/1.1 server on loopback.
    public init(backend: Int) async throws {
        directory = try TemporaryDirectory()
        let made = try await ChildProcess.run(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                directory.file("tls.key"), "-out", directory.file("tls.pem"),
            ])
        guard made.end == .exited(0) else { throw TestFailure("no certificate: \(made.errors)") }
        port = try freePort()
        proxy = try ChildProcess(
            "nghttpx",
            [
                "--conf=/dev/null", "--frontend=127.0.0.1,\(port)", "--backend=127.0.0.1,\(backend)", "--workers=1",
                "--backend-read-timeout=10m", "--accesslog-file=\(directory.file("access.log"))",
                "--accesslog-format=$alpn $request", directory.file("tls.key"), directory.file("tls.pem"),
            ], in: directory, name: "nghttpx")
        let waiting = port
        try await eventually("a listening proxy; \(proxy.errors)") {
            (try? Socket(to: .loopback(port: waiting), timeout: .seconds(2))) != nil
        }
    }

    /// Writes a kubeconfig for this server beside its certificate.
    /// - Returns: its path.
    public func kubeconfig(namespace: String = "demo", token: String = "letmein") throws -> String {
        try Files.write(
            """
            current-context: here
            contexts: [{name: here, context: {cluster: c, user: u, namespace: \(namespace)}}]
            clusters: [{name: c, cluster: {server: 'https://127.0.0.1:\(port)', certificate-authority: tls.pem}}]
            users: [{name: u, user: {token: \(token)}}]
            """, to: directory.file("kubeconfig"))
        return directory.file("kubeconfig")
    }

    /// `<protocol> <request>` of each answered request.
    public var log: [String] { Files.lines(directory.file("access.log")) }
}
