import Crypto
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

    /// What can be said before the body is read.
    enum Early: Sendable {
        case decided(Decision)
        /// The body is needed.
        case afterBody
        /// The API server may have to be asked.
        case ask(Review)
    }

    struct Review: Sendable {
        fileprivate let reviewer: KubernetesReviewer
        fileprivate let token: String
        fileprivate let path: String

        func decide() async -> Decision { await reviewer.decide(token[...], path: path) }
    }

    /// - Parameter field: a header's value by its name, all of it when it is there several times.
    func early(
        _ route: HostConfiguration.Route, authorization: String?, field: (String) -> String?
    ) -> Early {
        switch route.authentication {
        case .none: return .decided(.allowed)
        case .bearer(let file): return .decided(bearer(file, authorization))
        case .kubernetes(let way):
            // The API server reads `a b` as `a`, and a tab as nothing: it would review another token than the sender's.
            guard let given = Self.token(authorization), given.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                return .decided(.refused)
            }
            guard let reviewer = reviewers.first(where: { $0.way == way }) else { return .decided(.unavailable) }
            return .ask(Review(reviewer: reviewer, token: String(given), path: route.path))
        case .hmac(_, let header): return field(header) == nil ? .decided(.refused) : .afterBody
        }
    }

    /// The token that a file holds.
    func bearer(_ file: String, _ authorization: String?) -> Decision {
        guard let given = Self.token(authorization) else { return .refused }
        return secret(file) { token in Self.equal(Array(given.utf8), Array(token.utf8)) }
    }

    /// The token behind the scheme and one or more spaces (RFC 7235, 2.1). A tab is no space.
    private static func token(_ authorization: String?) -> Substring? {
        guard let authorization, authorization.prefix(7).lowercased() == "bearer " else { return nil }
        let token = authorization.dropFirst(7).drop { $0 == " " }
        return token.isEmpty ? nil : token
    }

    func late(
        _ method: HostConfiguration.Authentication, field: (String) -> String?, _ body: [UInt8]
    ) -> Decision {
        guard case .hmac(let file, let header) = method else { return .allowed }
        guard let value = field(header) else { return .refused }
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
