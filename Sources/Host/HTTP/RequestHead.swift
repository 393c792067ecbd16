import NIOHTTP1

/// A request's head, as far as this host reads it, gathered in one pass over its fields. A class: it is handed around a lot.
final class RequestHead: Sendable {
    let method: HTTPMethod
    /// Without query.
    let path: String
    let id: String
    /// Whether the sender wants to use the connection again.
    let keepsAlive: Bool
    let headers: HTTPHeaders
    /// Lower case, without parameters; nil when there is none.
    let mediaType: String?
    /// Bytes of the body, as announced.
    let length: Int?
    /// Whether a body of unknown length follows.
    let isChunked: Bool
    let expectsContinue: Bool
    /// It asks for another protocol behind this request: the decoder reads none of what follows.
    let isLast: Bool
    let authorization: String?

    init(_ head: HTTPRequestHead, _ ids: inout RequestID.Sequence) {
        method = head.method
        path = Self.path(head.uri)
        keepsAlive = head.isKeepAlive
        headers = head.headers
        var type: String?
        var id: String?
        var length: String?
        var expect: String?
        var authorization: String?
        var isChunked = false
        var isLast = head.method == .CONNECT
        for (name, value) in head.headers {
            switch name.utf8.count {
            case 6: if Self.isNamed(name, "expect") { Self.join(&expect, value) }
            case 7: if Self.isNamed(name, "upgrade") { isLast = true }
            case 12:
                if Self.isNamed(name, "content-type") {
                    Self.join(&type, value)
                } else if Self.isNamed(name, "x-request-id") {
                    Self.join(&id, value)
                }
            case 13: if Self.isNamed(name, "authorization") { Self.join(&authorization, value) }
            case 14: if Self.isNamed(name, "content-length") { Self.join(&length, value) }
            case 17: if Self.isNamed(name, "transfer-encoding") { isChunked = true }
            default: break
            }
        }
        mediaType = type.flatMap(Self.mediaType)
        self.length = length.flatMap { Int($0) }
        self.isChunked = isChunked
        self.isLast = isLast
        expectsContinue = expect.map { $0.lowercased() == "100-continue" } ?? false
        self.authorization = authorization
        if let id, RequestID.isSane(id) { self.id = id } else { self.id = ids.next() }
    }

    /// Bytes that are still to come after the head, at most.
    var announced: Int { length ?? (isChunked ? .max : 0) }

    /// Of a field that may be there several times, all of it.
    func value(_ name: String) -> String? {
        var found: String?
        for value in headers[name] { Self.join(&found, value) }
        return found
    }

    /// Names in lower case; without the host, which says nothing of the signal.
    static func fields(_ headers: HTTPHeaders) -> [String: String] {
        var fields: [String: String] = [:]
        var isFirstHost = true
        for (name, value) in headers {
            let name = name.lowercased()
            if isFirstHost, name == "host" {
                isFirstHost = false
                continue
            }
            fields[name] = fields[name].map { "\($0), \(trimmed(value))" } ?? trimmed(value)
        }
        return fields
    }

    // MARK: Words

    /// A proxy's way to ask names the host too.
    private static func path(_ uri: String) -> String {
        var path = uri[...]
        if uri.utf8.first != UInt8(ascii: "/"), let authority = uri.firstRange(of: "://")?.upperBound {
            path = uri[authority...].drop { $0 != "/" && $0 != "?" }
            if path.first != "/" { path = "/" + path }
        }
        if let query = path.utf8.firstIndex(of: UInt8(ascii: "?")) { return String(path[..<query]) }
        return String(path)
    }

    /// - Parameter lower: of letters and hyphens; a token, as the decoder let it through, has no byte that would be taken for
    ///   one of them.
    private static func isNamed(_ name: String, _ lower: StaticString) -> Bool {
        lower.withUTF8Buffer { lower in name.utf8.elementsEqual(lower) { $0 | 0x20 == $1 } }
    }

    private static func join(_ known: inout String?, _ value: String) {
        known = known.map { "\($0), \(trimmed(value))" } ?? trimmed(value)
    }

    private static func trimmed(_ value: String) -> String {
        func isBlank(_ byte: UInt8?) -> Bool { byte == 0x20 || byte == 0x09 }
        guard isBlank(value.utf8.first) || isBlank(value.utf8.last) else { return value }
        var rest = value.utf8[...]
        while isBlank(rest.first) { rest.removeFirst() }
        while isBlank(rest.last) { rest.removeLast() }
        return String(Substring(rest))
    }

    private static func mediaType(_ header: String) -> String? {
        if header == "application/json" { return header }
        let type = header.prefix { $0 != ";" }.filter { !$0.isWhitespace }.lowercased()
        return type.isEmpty ? nil : type
    }
}
