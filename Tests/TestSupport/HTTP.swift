/// An answer over HTTP/1.1.
public struct HTTPResponse: Sendable {
    public let status: Int
    /// Names in lower case.
    public let headers: [String: String]
    public let body: [UInt8]
    public var text: String { String(decoding: body, as: UTF8.self) }
}

/// A plain HTTP/1.1 client over a POSIX socket: one connection a request, nothing hidden, every wait bounded.
public struct HTTP: Sendable {
    public let port: Int
    public init(port: Int) { self.port = port }

    public func get(_ path: String, headers: [String: String] = [:], timeout: Duration = .seconds(15)) async throws
        -> HTTPResponse
    {
        try await request("GET", path, headers: headers, timeout: timeout)
    }

    /// Posts JSON unless `headers` has another `Content-Type`; an empty one sends none.
    public func post(
        _ path: String, _ body: [UInt8], headers: [String: String] = [:], timeout: Duration = .seconds(30)
    ) async throws -> HTTPResponse {
        try await request("POST", path, headers: headers, body: body, timeout: timeout)
    }

    public func post(
        _ path: String, _ body: String, headers: [String: String] = [:], timeout: Duration = .seconds(30)
    ) async throws -> HTTPResponse {
        try await post(path, Array(body.utf8), headers: headers, timeout: timeout)
    }

    public func request(
        _ method: String, _ path: String, headers: [String: String] = [:], body: [UInt8]? = nil,
        timeout: Duration = .seconds(15)
    ) async throws -> HTTPResponse {
        var lines = ["Host": "127.0.0.1:\(port)", "Connection": "close"]
        if let body {
            lines["Content-Length"] = String(body.count)
            lines["Content-Type"] = "application/json"
        }
        lines.merge(headers) { $1 }
        var head = "\(method) \(path) HTTP/1.1\r\n"
        for (name, value) in lines where !value.isEmpty { head += "\(name): \(value)\r\n" }
        return try await send(Array((head + "\r\n").utf8) + (body ?? []), timeout: timeout)
    }

    /// Sends these very bytes, however malformed, and reads one answer.
    /// - Parameter thenEnd: end the writing direction after them, as a sender does that died in its request.
    public func send(_ bytes: [UInt8], thenEnd: Bool = false, timeout: Duration = .seconds(15)) async throws
        -> HTTPResponse
    {
        let port = port
        return try await onThread {
            let socket = try Socket(to: .loopback(port: port), timeout: timeout)
            try socket.write(bytes)
            if thenEnd { socket.endWriting() }
            return try Self.response(from: socket)
        }
    }

    /// Opens a connection and keeps it without a whole request until `body` returns.
    public func holding<Value>(_ bytes: [UInt8], _ body: () async throws -> Value) async throws -> Value {
        let connection = try HTTPConnection(port: port, timeout: .seconds(60))
        try await connection.send(bytes)
        defer { connection.close() }
        return try await body()
    }

    static func response(from socket: Socket) throws -> HTTPResponse {
        var bytes: [UInt8] = []
        while true {
            if let whole = try parse(bytes, atEnd: false) { return whole }
            let more = try socket.read()
            guard !more.isEmpty else { break }
            bytes += more
        }
        guard let whole = try parse(bytes, atEnd: true) else {
            throw TestFailure(bytes.isEmpty ? "connection closed without an answer" : "an answer cut short")
        }
        return whole
    }

    private static func parse(_ bytes: [UInt8], atEnd: Bool) throws -> HTTPResponse? {
        guard let end = firstRange(of: Array("\r\n\r\n".utf8), in: bytes[...]) else { return nil }
        // By bytes: Swift takes CR LF for one character.
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count >= 2, let status = Int(words[1]) else { throw TestFailure("not an HTTP answer") }
        let rest = bytes[end.upperBound...]
        if status == 100 { return try parse(Array(rest), atEnd: atEnd) }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            headers[line[..<colon].lowercased()] = String(value)
        }
        if let length = headers["content-length"].flatMap({ Int($0) }) {
            guard rest.count >= length else { return nil }
            return HTTPResponse(status: status, headers: headers, body: Array(rest.prefix(length)))
        }
        if headers["transfer-encoding"] == "chunked" {
            return dechunked(rest).map { HTTPResponse(status: status, headers: headers, body: $0) }
        }
        if status == 204 || status == 304 { return HTTPResponse(status: status, headers: headers, body: []) }
        return atEnd ? HTTPResponse(status: status, headers: headers, body: Array(rest)) : nil
    }

    private static func dechunked(_ bytes: ArraySlice<UInt8>) -> [UInt8]? {
        var (rest, body) = (bytes, [UInt8]())
        while let end = firstRange(of: [13, 10], in: rest) {
            guard let size = Int(String(decoding: rest[..<end.lowerBound], as: UTF8.self), radix: 16) else {
                return nil
            }
            rest = rest[end.upperBound...]
            if size == 0 { return body }
            guard rest.count >= size + 2 else { return nil }
            body += rest.prefix(size)
            rest = rest.dropFirst(size + 2)
        }
        return nil
    }

    private static func firstRange(of pattern: [UInt8], in bytes: ArraySlice<UInt8>) -> Range<Int>? {
        guard bytes.count >= pattern.count else { return nil }
        for start in bytes.startIndex...(bytes.endIndex - pattern.count)
        where bytes[start] == pattern[0] && bytes[start..<start + pattern.count].elementsEqual(pattern) {
            return start..<start + pattern.count
        }
        return nil
    }
}

/// A connection that a test keeps: several requests on it, or half of one.
public final class HTTPConnection: @unchecked Sendable {  // SAFETY: a test uses its connection from one task at a time
    private var socket: Socket?

    /// - Parameter source: the last byte of the own address, 127.0.0.`source`.
    public init(port: Int, source: UInt8? = nil, timeout: Duration = .seconds(30)) throws {
        socket = try Socket(to: .loopback(port: port), source: source, timeout: timeout)
    }

    /// Sends what the connection takes at once, and reads nothing.
    /// - Returns: how many bytes that were; nil when the other side has closed or reset the connection.
    public func push(_ bytes: [UInt8]) throws -> Int? { try open().push(bytes) }

    /// - Returns: whether all was sent: not when the other side has answered or gone before.
    @discardableResult
    public func send(_ bytes: [UInt8]) async throws -> Bool {
        try await onThread { [self] in try open().write(bytes) }
    }

    public func response() async throws -> HTTPResponse {
        try await onThread { [self] in try HTTP.response(from: open()) }
    }

    /// Waits until the other side has closed.
    /// - Throws: `TestFailure` when it reset the connection, or did neither in time.
    public func awaitEnd() async throws { _ = try await textToEnd() }

    /// All that comes until the other side has closed, several answers too.
    /// - Throws: as `awaitEnd`.
    public func textToEnd() async throws -> String {
        try await onThread { [self] in
            var bytes: [UInt8] = []
            while true {
                let more = try open().read()
                if more.isEmpty { return String(decoding: bytes, as: UTF8.self) }
                bytes += more
            }
        }
    }

    /// Says that nothing more is sent, and goes on reading.
    public func endWriting() async throws { try await onThread { [self] in try open().endWriting() } }

    public func close() { socket = nil }

    /// Gone with a reset, as when a sender's machine dies.
    public func reset() {
        socket?.reset()
        socket = nil
    }

    private func open() throws -> Socket {
        guard let socket else { throw TestFailure("the test closed this connection") }
        return socket
    }
}
