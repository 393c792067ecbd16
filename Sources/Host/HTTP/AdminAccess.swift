import HTTPTypes

/// Which requests reach the operator API. A web page in an operator's browser can send requests to loopback, and to a name that it
/// lets resolve to loopback: so `Host` must name the listener, an `Origin` must be the listener's own, and a change must be JSON, which
/// a page can't send to another origin without asking first.
struct AdminAccess: Sendable {
    /// In lower case, without a port: forwarded ports have other numbers.
    private let hosts: Set<String>

    /// - Parameter further: names besides the listener's own and loopback (`server.admin_hosts`).
    init(listener: HostConfiguration.Address?, further: [String]) {
        var hosts = Set(further.map(Self.plain))
        if let listener, !["0.0.0.0", "::"].contains(listener.host) { hosts.insert(Self.plain(listener.host[...])) }
        self.hosts = hosts
    }

    /// - Returns: why the request is refused; nil when it may go on.
    func refusal(_ request: HTTPRequest) -> Problem? {
        let fields = request.headerFields
        // The first `Host` is the authority; a second one stays a field.
        guard let authority = request.authority, fields[values: Self.host].isEmpty, accepts(authority) else {
            return Problem(
                word: "foreign-host", title: "Not a name of this listener", status: 403,
                detail: "Host must be loopback, the host of server.admin, or one of server.admin_hosts")
        }
        let own = ["http://", "https://"].map { $0 + authority.lowercased() }
        guard fields[values: .origin].allSatisfy({ own.contains($0.lowercased()) }) else {
            return Problem(
                word: "foreign-origin", title: "Not from here", status: 403,
                detail: "a page of another origin may not use this listener")
        }
        let isReading = request.method == .get || request.method == .head
        guard isReading || Self.isJSON(fields[values: .contentType]) else {
            return Problem(
                word: "wrong-media-type", title: "Not JSON", status: 415,
                detail: "a change needs Content-Type: application/json, also without a body")
        }
        return nil
    }

    private func accepts(_ authority: String) -> Bool {
        guard let name = Self.name(of: authority) else { return false }
        return HostConfiguration.Address(host: name, port: 0).isLoopback || hosts.contains(name)
    }

    /// The host of an authority; nil for one that is malformed.
    private static func name(of authority: String) -> String? {
        var name = authority[...]
        if name.first == "[" {
            guard let end = name.firstIndex(of: "]") else { return nil }
            let rest = name[name.index(after: end)...]
            guard rest.isEmpty || isPort(rest) else { return nil }
            name = name[..<end].dropFirst()
        } else if let colon = name.firstIndex(of: ":") {
            guard isPort(name[colon...]) else { return nil }
            name = name[..<colon]
        }
        return name.isEmpty ? nil : plain(name)
    }

    private static func isPort(_ text: Substring) -> Bool {
        text.first == ":" && text.utf8.dropFirst().allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    /// As it is compared: a name with the root's dot is the same name.
    private static func plain(_ name: some StringProtocol) -> String {
        let name = name.lowercased()
        return name.hasSuffix(".") ? String(name.dropLast()) : name
    }

    private static func isJSON(_ types: [String]) -> Bool {
        guard types.count == 1 else { return false }
        let type = types[0].prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }
        return type.lowercased() == "application/json"
    }

    private static let host = HTTPField.Name("Host")!
}
