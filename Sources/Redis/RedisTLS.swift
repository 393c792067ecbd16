internal import Glibc
internal import NIOCore
internal import NIOSSL

/// That a connection is encrypted, and what either side proves itself with. There is no way to do without the server's proof: an
/// authority that is trusted must have signed it, for the name or the address that was connected to.
public struct RedisTLS: Sendable, Hashable {
    /// PEM file of the authorities that are trusted, and no others. Nil: those of the system.
    public var authorities: String?
    /// PEM file with this side's own certificate first. Nil: this side proves nothing.
    public var certificate: String?
    /// PEM file with the certificate's key, without a passphrase.
    public var key: String?
    /// The name that the server's certificate is for, when that is not the one that is connected to.
    public var serverName: String?

    public init(
        authorities: String? = nil, certificate: String? = nil, key: String? = nil, serverName: String? = nil
    ) {
        (self.authorities, self.certificate, self.key, self.serverName) = (authorities, certificate, key, serverName)
    }

    /// A file that can't be used.
    public struct Fault: Error, Sendable, Hashable {
        /// Below `state.redis.tls`: `ca`, `certificate` or `key`.
        public let setting: String
        public let message: String
    }

    /// What is wrong with the files as they are now. Says too what has expired, though a connection would be tried with it:
    /// the other side decides about that, by its own clock.
    public func faults() -> [Fault] {
        var found: [Fault] = []
        func note(_ body: () throws(Fault) -> Void) {
            do throws(Fault) { try body() } catch { found.append(error) }
        }
        note { () throws(Fault) in try alive(trusted(), "ca", authorities) }
        note { () throws(Fault) in try alive(chain().prefix(1), "certificate", certificate) }
        note { () throws(Fault) in _ = try privateKey() }
        // Each may be fine by itself, and still not go with the other.
        if found.isEmpty { note { () throws(Fault) in _ = try context() } }
        return found
    }

    /// What is wrong with the files of another server of this process, of which no authorities are asked.
    public static func faults(certificate: String, key: String) -> [Fault] {
        // Its own certificate stands for the authorities: the system may have none.
        RedisTLS(authorities: certificate, certificate: certificate, key: key).faults().filter { $0.setting != "ca" }
    }

    /// Reads the files.
    func context() throws(Fault) -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.certificateVerification = .fullVerification
        // Whoever closes has no more use for the other side's goodbye, and a server that hangs says none.
        configuration.shutdownTimeout = .milliseconds(100)
        if authorities != nil { configuration.trustRoots = .certificates(try trusted()) }
        configuration.certificateChain = try chain().map { .certificate($0) }
        configuration.privateKey = try privateKey().map { .privateKey($0) }
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            // Either could be read by itself.
            if let certificate, let key, case NIOSSLError.failedToLoadPrivateKey = error {
                throw Fault(setting: "key", message: "\(key) is not the key of \(certificate)")
            }
            if authorities == nil, certificate == nil {
                throw Fault(setting: "ca", message: "this system has no trust roots, so ca must be given (\(error))")
            }
            throw Fault(setting: certificate == nil ? "ca" : "certificate", message: "can't be used: \(error)")
        }
    }

    private func trusted() throws(Fault) -> [NIOSSLCertificate] {
        guard let authorities else { return [] }
        return try Self.certificates(authorities, "ca")
    }

    private func chain() throws(Fault) -> [NIOSSLCertificate] {
        guard let certificate else { return [] }
        return try Self.certificates(certificate, "certificate")
    }

    private func privateKey() throws(Fault) -> NIOSSLPrivateKey? {
        guard let key else { return nil }
        try Self.look(key, "key")
        do {
            return try NIOSSLPrivateKey(file: key, format: .pem)
        } catch {
            throw Fault(setting: "key", message: "\(key) holds no PEM key that can be read without a passphrase")
        }
    }

    private static func certificates(_ path: String, _ setting: String) throws(Fault) -> [NIOSSLCertificate] {
        try look(path, setting)
        do {
            return try NIOSSLCertificate.fromPEMFile(path)
        } catch {
            throw Fault(setting: setting, message: "\(path) holds no PEM certificate, or a broken one")
        }
    }

    /// NIOSSL does not say why it can't read a file.
    private static func look(_ path: String, _ setting: String) throws(Fault) {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw Fault(setting: setting, message: "can't open \(path): \(String(cString: strerror(errno)))")
        }
        close(file)
    }

    /// One of them must be usable today.
    private func alive(
        _ certificates: some Collection<NIOSSLCertificate>, _ setting: String, _ path: String?
    ) throws(Fault) {
        guard let path, !certificates.isEmpty else { return }
        let reasons = certificates.compactMap(\.expiry)
        guard reasons.count == certificates.count, let first = reasons.first else { return }
        throw Fault(setting: setting, message: "\(path) \(first)")
    }
}

extension NIOSSLCertificate {
    /// What its dates have against it now; nil when nothing.
    var expiry: String? {
        let now = time(nil)
        if notValidAfter < now { return "has expired on \(Self.day(notValidAfter))" }
        if notValidBefore > now { return "is not valid before \(Self.day(notValidBefore)): are the clocks right?" }
        return nil
    }

    /// `2026-01-31`, in UTC.
    private static func day(_ seconds: time_t) -> String {
        var (seconds, parts) = (seconds, tm())
        gmtime_r(&seconds, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(parts.tm_year + 1_900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
    }
}
