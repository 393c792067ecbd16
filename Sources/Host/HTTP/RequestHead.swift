import NIOHTTP1

/// A request's head, as far as this host reads it, gathered in one pass over its fields. A class: it is handed around a lot.
final class RequestHead: Sendable {
    /// Bytes of a head. It counts in no limit, and each connection may send one; nginx has the same bound. The largest known is
    /// a service account's token of 2 kB behind a proxy that adds some fields.
    static let mostBytes = 32 << 10
    static let mostFields = 200

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
    /// The rule of HTTP/1.1 that the head breaks, for its 400.
    let fault: String?
    /// The body has another content coding than `identity`, or another transfer coding than `chunked`.
    let isEncoded: Bool

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
        var coding: String?
        var hosts = 0
        var isHostValid = true
        var transfer: String?
        var isLast = head.method == .CONNECT
        for (name, value) in head.headers {
            switch name.utf8.count {
            case 4:
                if Self.isNamed(name, "host") {
                    hosts += 1
                    isHostValid = isHostValid && Self.isHost(value)
                }
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
            case 16: if Self.isNamed(name, "content-encoding") { Self.join(&coding, value) }
            case 17: if Self.isNamed(name, "transfer-encoding") { Self.join(&transfer, value) }
            default: break
            }
        }
        mediaType = type.flatMap(Self.mediaType)
        self.length = length.flatMap { Int($0) }
        isChunked = transfer != nil
        self.isLast = isLast
        expectsContinue = expect.map { $0.lowercased() == "100-continue" } ?? false
        self.authorization = authorization
        // RFC 9112, 3.2: who takes two is told two stories by a proxy.
        fault =
            hosts == 1 && isHostValid || hosts == 0 && head.version.minor == 0
            ? nil
            : hosts == 1 ? "the Host header is not a host" : "a request has one Host header; this one has \(hosts)"
        isEncoded =
            coding.map { !$0.isEmpty && $0.lowercased() != "identity" } ?? false
            || transfer.map { $0.lowercased() != "chunked" } ?? false
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

    /// RFC 9110, 7.2: a name or an address and perhaps a port. It may be empty. The host is not looked up; this keeps out bytes
    /// that a proxy reads as the end of it.
    static func isHost(_ value: String) -> Bool {
        value.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: ":"),
                UInt8(ascii: "-")...UInt8(ascii: "."), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "["),
                UInt8(ascii: "]"), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "%"), UInt8(ascii: "!"),
                UInt8(ascii: "$"), UInt8(ascii: "&")...UInt8(ascii: "+"), UInt8(ascii: ";"), UInt8(ascii: "="):
                true
            default: false
            }
        }
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
