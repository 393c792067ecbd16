import SignalKit

/// What every entry of `adapters` has, whatever the adapter.
struct RouteHead {
    let path: String?
    let authentication: HostConfiguration.Authentication?
    let resolves: Bool

    /// What the host answers itself, for senders that take it for an Alertmanager.
    static let taken: Set<String> = [
        "/-/ready", "/-/healthy", "/api/v2/status", "/api/v1/alerts", "/api/v1/status",
    ]

    init(_ config: inout ConfigReader, _ findings: Findings) {
        path = config.shaped("path", kind: "path", bounds: "begins with /", required: true) {
            text throws(Misshapen) in
            guard text.hasPrefix("/"), text != "/" else { throw Misshapen("expected a path such as /api/v1/signals/x") }
            guard text.utf8.count <= 1_024,
                text.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "/-._~".contains($0)) }),
                !text.contains("//")
            else { throw Misshapen("a path has letters, digits, -, ., _ and ~ between its slashes; no query") }
            guard !Self.taken.contains(text) else {
                throw Misshapen("\(text) is what the host answers itself, as an Alertmanager would")
            }
            return text
        }
        authentication = Self.authentication(&config, findings)
        resolves =
            (findings.attempt { () throws(ConfigError) in try config.boolean("resolves", default: true) }) ?? true
    }

    private static let ways = "none, bearer, hmac or kubernetes"

    private static func authentication(
        _ config: inout ConfigReader, _ findings: Findings
    ) -> HostConfiguration.Authentication? {
        let written = config.node("authenticate", kind: "choice", fallback: nil, bounds: ways)
        if config.isDescribing { return methods(&config, findings) }
        switch written?.content {
        case nil:
            config.report("authenticate", "authenticate is required: \(ways); none must be written out")
        case .scalar("none", _): return HostConfiguration.Authentication.none
        case .scalar(let word, _) where absent.contains(word):
            config.report("authenticate", "\(word) is not in this version: \(ways)")
        case .scalar:
            config.report(
                "authenticate",
                "expected none, {bearer: {token_file: FILE}}, {hmac: {key_file: FILE}} or {kubernetes: {}}")
        case .map: return methods(&config, findings)
        default: config.report("authenticate", "expected \(ways)")
        }
        return nil
    }

    private static let absent = ["mtls"]

    private static func methods(
        _ config: inout ConfigReader, _ findings: Findings
    ) -> HostConfiguration.Authentication? {
        let read = findings.attempt { () throws(ConfigError) in
            try config.section("authenticate") {
                section throws(ConfigError) -> HostConfiguration.Authentication? in
                for word in absent { section.refuse(word, "\(word) is not in this version: \(ways)") }
                let given = ["bearer", "hmac", "kubernetes"].filter(section.has)
                if given.count > 1 || given.isEmpty && !absent.contains(where: section.has) && !section.isDescribing {
                    section.report(nil, "give one of bearer, hmac and kubernetes")
                }
                var found: HostConfiguration.Authentication?
                if section.has("bearer") || section.isDescribing {
                    try section.section("bearer") { bearer throws(ConfigError) in
                        if let file = bearer.secretFile("token_file", findings) { found = .bearer(tokenFile: file) }
                    }
                }
                if section.has("hmac") || section.isDescribing {
                    try section.section("hmac") { hmac throws(ConfigError) in
                        let file = hmac.secretFile("key_file", findings)
                        let header = header(&hmac)
                        if let file { found = .hmac(keyFile: file, header: header) }
                    }
                }
                if section.has("kubernetes") || section.isDescribing {
                    try section.section("kubernetes") { review throws(ConfigError) in
                        found = .kubernetes(
                            .init(
                                kubeconfig: review.file("kubeconfig", required: false),
                                audiences: try review.texts("audiences", default: [], count: 0...16)))
                    }
                }
                return given.count == 1 ? found : nil
            }
        }
        return read ?? nil
    }

    private static func header(_ config: inout ConfigReader) -> String {
        let usual = "X-Signature"
        return config.shaped("header", kind: "text", bounds: "", fallback: usual) { text throws(Misshapen) in
            // RFC 9110, 5.6.2: what a header's name may hold.
            let token =
                text.utf8.count <= 256
                && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "!#$%&'*+-.^_`|~".contains($0)) }
            guard token else { throw Misshapen("expected the name of a header") }
            return text
        } ?? usual
    }
}
