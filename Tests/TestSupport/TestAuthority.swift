/// A private authority and the certificates that it signs, all made by openssl.
public struct TestAuthority: Sendable {
    /// Files of a certificate and its key, both PEM.
    public struct Certificate: Sendable {
        public let certificate: String
        public let key: String
    }

    public let directory: TemporaryDirectory
    /// Its own certificate.
    public var file: String { directory.file("ca.pem") }
    private var key: String { directory.file("ca.key") }

    public init() async throws {
        directory = try TemporaryDirectory()
        try await Self.openssl(
            ["req", "-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", key, "-out", file] + Self.newKey)
    }

    /// - Parameters:
    ///   - name: of the files; those of an earlier one of this name are replaced, each at once.
    ///   - subjects: `IP:127.0.0.1`, `DNS:redis.test`.
    ///   - days: until it expires; it has already when negative.
    public func issue(
        _ name: String, for subjects: String = "IP:127.0.0.1", days: Int = 2
    ) async throws -> Certificate {
        let (request, made) = (directory.file(name + ".csr"), directory.file(name + ".new"))
        try await Self.openssl(
            ["req", "-subj", "/CN=\(name)", "-addext", "subjectAltName=\(subjects)", "-keyout", made + ".key"]
                + ["-out", request] + Self.newKey)
        try await Self.openssl(
            ["x509", "-req", "-in", request, "-CA", file, "-CAkey", key, "-copy_extensions", "copyall"]
                + ["-days", String(days), "-out", made + ".pem"])
        let files = Certificate(certificate: directory.file(name + ".pem"), key: directory.file(name + ".key"))
        try Files.write(Files.bytes(made + ".key") ?? [], to: files.key)
        try Files.write(Files.bytes(made + ".pem") ?? [], to: files.certificate)
        return files
    }

    /// Options of a redis-server or a redis-sentinel, by name without the dashes.
    /// - Parameter clients: what `tls-auth-clients` is: whether a client must have a certificate of this authority.
    public func options(_ certificate: Certificate, port: Int, clients: String = "yes") -> [(String, String)] {
        [
            ("tls-port", String(port)), ("tls-cert-file", certificate.certificate), ("tls-key-file", certificate.key),
            ("tls-ca-cert-file", file), ("tls-auth-clients", clients),
        ]
    }

    /// A redis-server on a port for TLS, and on its unix socket in plain text.
    public func server(
        _ certificate: Certificate, port: Int, clients: String = "yes", _ further: [String] = []
    ) async throws -> RedisServer {
        let words = options(certificate, port: port, clients: clients).flatMap { ["--" + $0, $1] }
        return try await RedisServer.durable(words + further, tcp: false)
    }

    private static let newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    private static func openssl(_ words: [String]) async throws {
        let run = try await ChildProcess.run("openssl", words)
        guard run.end == .exited(0) else { throw TestFailure("openssl \(words[0]): \(run.errors)") }
    }
}
