import Crypto
import HTTPTypes
import Logging

/// Decides whether a sender may use a route. Secrets are read again at each request: a file is in the page cache, and a
/// rotated one holds at once.
struct Authenticator: Sendable {
    enum Decision: Sendable, Equatable {
        case allowed
        case refused
        /// Somebody who is known, and may not.
        case forbidden
        /// The secret can't be read: nobody is let in, and the sender should come again.
        case unavailable
    }

    let log: Logger
    private let reviewers: [KubernetesReviewer]

    init(_ routes: [HostConfiguration.Route], log: Logger) {
        self.log = log
        var asked: [HostConfiguration.Authentication.Kubernetes] = []
        for case .kubernetes(let way) in routes.map(\.authentication) where !asked.contains(way) { asked.append(way) }
        reviewers = asked.map { KubernetesReviewer($0, log: log) }
    }

    /// What can be said before the body is read; nil when the body is needed.
    func early(_ route: HostConfiguration.Route, _ headers: HTTPFields) async -> Decision? {
        switch route.authentication {
        case .none: return .allowed
        case .bearer(let file):
            return bearer(file, headers)
        case .kubernetes(let way):
            guard let given = Self.bearer(headers) else { return .refused }
            return await reviewers.first { $0.way == way }?.decide(given, path: route.path) ?? .unavailable
        case .hmac(_, let header):
            guard let name = HTTPField.Name(header), headers[name] != nil else { return .refused }
            return nil
        }
    }

    /// The token that a file holds.
    func bearer(_ file: String, _ headers: HTTPFields) -> Decision {
        guard let given = Self.bearer(headers) else { return .refused }
        return secret(file) { token in Self.equal(Array(given.utf8), Array(token.utf8)) }
    }

    private static func bearer(_ headers: HTTPFields) -> Substring? {
        guard let header = headers[.authorization], header.count > 7, header.prefix(7).lowercased() == "bearer " else {
            return nil
        }
        return header.dropFirst(7)
    }

    func late(_ method: HostConfiguration.Authentication, _ headers: HTTPFields, _ body: [UInt8]) -> Decision {
        guard case .hmac(let file, let header) = method else { return .allowed }
        guard let name = HTTPField.Name(header), let value = headers[name] else { return .refused }
        let hex = value.hasPrefix("sha256=") ? String(value.dropFirst(7)) : value
        guard let code = Hex.bytes(hex) else { return .refused }
        return secret(file) { key in
            HMAC<SHA256>.isValidAuthenticationCode(
                code, authenticating: body, using: SymmetricKey(data: Array(key.utf8)))
        }
    }

    private func secret(_ path: String, _ fits: (String) -> Bool) -> Decision {
        do throws(SecretFile.Unreadable) {
            return fits(try SecretFile(path: path).read()) ? .allowed : .refused
        } catch {
            log.error("a secret can't be read: nobody is let in", metadata: ["reason": "\(error)"])
            return .unavailable
        }
    }

    /// In a time that depends on the lengths alone.
    static func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        let mine = SHA256.hash(data: left)
        let other = SHA256.hash(data: right)
        return zip(mine, other).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
