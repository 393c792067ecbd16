import Glibc
import Logging
import NIOConcurrencyHelpers
import NIOSSL

/// A server's certificate and key, read again when their files change: a renewed one holds from the next connection on.
final class TLSFiles: Sendable {
    private struct State {
        var context: NIOSSLContext
        var stamp: String
        var looked: ContinuousClock.Instant
    }
    private let files: HostConfiguration.TLS
    private let log: Logger
    private let state: NIOLockedValueBox<State>
    /// How often files are looked at.
    private static let interval = Duration.seconds(1)

    /// - Throws: what NIOSSL says of the files.
    init(_ files: HostConfiguration.TLS, log: Logger) throws {
        self.files = files
        self.log = log
        state = NIOLockedValueBox(
            State(context: try Self.read(files), stamp: Self.stamp(files), looked: .now))
    }

    /// For a new connection. Files that can't be used leave the context as it was, with an error in the log.
    var current: NIOSSLContext {
        state.withLockedValue { state in
            guard state.looked.duration(to: .now) > Self.interval else { return state.context }
            state.looked = .now
            let stamp = Self.stamp(files)
            guard stamp != state.stamp else { return state.context }
            do {
                state.context = try Self.read(files)
                state.stamp = stamp
                log.notice("certificate read again", metadata: ["certificate": "\(files.certificate)"])
            } catch {
                log.error(
                    "the changed certificate or key can't be used; the old one stays",
                    metadata: ["certificate": "\(files.certificate)", "reason": "\(error)"])
            }
            return state.context
        }
    }

    private static func read(_ files: HostConfiguration.TLS) throws -> NIOSSLContext {
        let chain = try NIOSSLCertificate.fromPEMFile(files.certificate)
        let key = try NIOSSLPrivateKey(file: files.key, format: .pem)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        return try NIOSSLContext(configuration: configuration)
    }

    /// Changes whenever either file does, also when it is replaced by another of the same time.
    private static func stamp(_ files: HostConfiguration.TLS) -> String {
        [files.certificate, files.key].map { path in
            var info = stat()
            guard stat(path, &info) == 0 else { return "none" }
            return "\(info.st_ino) \(info.st_mtim.tv_sec).\(info.st_mtim.tv_nsec) \(info.st_size)"
        }.joined(separator: "; ")
    }
}
