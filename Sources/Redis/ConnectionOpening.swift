internal import NIOCore
internal import NIOSSL

/// How far a connection has come before its first reply, so that whoever has set it up wrongly is told what to change: an end
/// that early has its reason in the addresses, the ports, TLS and its files far more often than in the network.
struct ConnectionOpening: Sendable {
    let address: RedisEndpoint.Address
    let tls: RedisTLS?
    /// What the certificate must be for: a name, or the address.
    private let name: String
    /// The TLS handshake is over on this side. Of TLS 1.3 the server judges the client's certificate after that.
    var isEncrypted = false
    /// A reply has come: what happens from here on is none of its beginnings.
    var isHeard = false

    init(_ endpoint: RedisEndpoint) {
        (address, tls) = (endpoint.address, endpoint.tls)
        name =
            if let name = endpoint.certifiedName { "the name \(name)" } else if case .tcp(let host, _) = address {
                "the address \(host)"
            } else { "\(address)" }
    }

    /// Whether these first bytes are what TLS says to plain text before it hangs up.
    func isAlert(_ bytes: ByteBuffer) -> Bool {
        tls == nil && bytes.getBytes(at: bytes.readerIndex, length: 2) == [0x15, 0x03]
    }

    /// The other side has closed the connection, or is about to.
    func closed() -> RedisError {
        if isHeard { return RedisError(.reset, "the server closed the connection") }
        guard tls != nil else {
            var words = "\(address) closed the connection before its first answer: it is stopping"
            if case .tcp = address { words += ", or its port is for TLS (write rediss://, or give state.redis.tls)" }
            return RedisError(.refused, words)
        }
        let hint =
            isEncrypted && tls?.certificate == nil
            ? "it may want a client certificate (state.redis.tls.certificate and key)"
            : "it may be stopping, or its port may be for plain text"
        return RedisError(
            .refused,
            "\(address) closed the connection \(isEncrypted ? "right after" : "in") the TLS handshake: \(hint)")
    }

    /// The time is over.
    func late() -> RedisError {
        guard tls != nil, !isEncrypted else { return RedisError(.timedOut, "no reply in time") }
        return RedisError(
            .timedOut,
            "\(address) did not answer the TLS handshake in time: it hangs, or its port is for plain text; a server's TLS port is its tls-port"
        )
    }

    /// - Parameter peer: the server's certificate, as far as it is known.
    func failed(_ error: any Error, peer: NIOSSLCertificate?) -> RedisError {
        if isHeard {
            return error is NIOSSLError ? closed() : RedisError(.reset, "the connection failed: \(error)")
        }
        guard let tls else { return closed() }
        if let error = error as? NIOSSLExtraError { return misnamed(error) }
        let text = "\(error)"
        func has(_ words: String...) -> Bool { words.contains { text.contains($0) } }
        if has("CERTIFICATE_VERIFY_FAILED") { return untrusted(tls, peer) }
        if has("CERTIFICATE_REQUIRED") || (tls.certificate == nil && has("ALERT_HANDSHAKE_FAILURE")) {
            return RedisError(
                .rejected,
                tls.certificate == nil
                    ? "\(address) asks for a client certificate: give state.redis.tls.certificate and key"
                    : "\(address) asks for a client certificate and takes none that state.redis.tls.certificate has")
        }
        if let certificate = tls.certificate, has("CERTIFICATE", "ALERT_UNKNOWN_CA", "ALERT_ACCESS_DENIED") {
            let own = (try? NIOSSLCertificate.fromPEMFile(certificate))?.first?.expiry
            let why =
                own.map { "\(certificate) \($0)" } ?? "its tls-ca-cert-file must hold the authority of \(certificate)"
            return RedisError(.rejected, "\(address) refuses this host's certificate (\(Self.reason(text))): \(why)")
        }
        if has("WRONG_VERSION_NUMBER", "HTTP_REQUEST") {
            return RedisError(
                .rejected,
                "\(address) speaks plain text: give its tls-port, or write redis:// (with sentinel: remove state.redis.tls)"
            )
        }
        if has("EOF during handshake") || error is IOError { return closed() }
        return RedisError(.rejected, "no TLS with \(address): \(Self.reason(text))")
    }

    private func untrusted(_ tls: RedisTLS, _ peer: NIOSSLCertificate?) -> RedisError {
        let why =
            if let expiry = peer?.expiry { expiry } else if let file = tls.authorities {
                "is signed by no authority in \(file) (state.redis.tls.ca), or that authority's has expired"
            } else { "is signed by no authority that this system trusts: name its own in state.redis.tls.ca" }
        return RedisError(.rejected, "the certificate of \(address) \(why)")
    }

    private func misnamed(_ error: NIOSSLExtraError) -> RedisError {
        let cure = "state.redis.tls.server_name says which name it has"
        if error == .serverHostnameImpossibleToMatch || error == .invalidSNIHostname {
            return RedisError(.rejected, "no certificate can be for \(name) of \(address): \(cure)")
        }
        return RedisError(
            .rejected, "the certificate of \(address) is not for \(name): it needs that as subjectAltName, or \(cure)")
    }

    /// `TLSV1_ALERT_UNKNOWN_CA` of `… error:10000418:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA at …`
    private static func reason(_ text: String) -> String {
        guard let marker = text.firstRange(of: "OPENSSL_internal:") else { return text }
        return String(text[marker.upperBound...].prefix { $0 != " " })
    }
}
