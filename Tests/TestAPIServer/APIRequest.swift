public import JSON

/// A request as the server reads it.
public struct APIRequest: Sendable {
    public let method: String
    /// Without query.
    public let path: String
    public let query: [String: String]
    /// Names in lower case.
    public let headers: [String: String]
    public let body: [UInt8]

    public init(method: String, uri: String, headers: [String: String], body: [UInt8]) {
        let parts = uri.split(separator: "?", maxSplits: 1)
        var query: [String: String] = [:]
        for pair in parts.count > 1 ? parts[1].split(separator: "&") : [] {
            let words = pair.split(separator: "=", maxSplits: 1).map { Self.decoded(String($0)) }
            query[words[0]] = words.count > 1 ? words[1] : ""
        }
        (self.method, self.headers, self.body, self.query) = (method, headers, body, query)
        path = Self.decoded(parts.first.map(String.init) ?? "/")
    }

    private static func decoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

public struct APIAnswer: Sendable {
    public var status: Int
    public var headers: [String: String] = [:]
    public var body: [UInt8]

    public init(_ status: Int, _ body: [UInt8], headers: [String: String] = [:]) {
        (self.status, self.body, self.headers) = (status, body, headers)
    }

    public init(_ status: Int, _ tree: JSONTree) {
        self.init(status, GoJSON.text(tree, pretty: true))
    }

    static func tooLargeVersion(_ version: Int, current: Int) -> APIAnswer {
        let causes = """
              "details": {
                "causes": [
                  {
                    "reason": "ResourceVersionTooLarge",
                    "message": "Too large resource version"
                  }
                ]
              },
            """
        return .failure(
            504, "Timeout", "Timeout: Too large resource version: \(version), current: \(current)", between: causes)
    }

    /// With a token to go on with, at the price of a list that never was.
    static func expiredContinue(_ token: String) -> APIAnswer {
        .failure(
            410, "Expired",
            "The provided continue parameter is too old to display a consistent list result. You can start a new list "
                + "without the continue parameter, or use the continue token in this response to retrieve the remainder "
                + "of the results. Continuing with the provided token results in an inconsistent list - objects that were "
                + "created, modified, or deleted between the time the first chunk was returned and now may show up in the "
                + "list.",
            metadata: "{\n    \"continue\": \"\(token)\"\n  }")
    }

    /// Of a watch: with HTTP 200.
    static let expiredLine = Array(
        (#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"#
            + #""The resourceVersion for the provided watch is too old.","reason":"Expired","code":410}}"# + "\n").utf8)

    /// The only `Status` without a reason.
    static func badVersion(_ text: String) -> APIAnswer {
        let message =
            "resourceVersion: Invalid value: \"\(text)\": strconv.ParseUint: parsing \"\(text)\": invalid syntax"
        return .failure(500, nil, message)
    }

    /// After a restart.
    public static let reinitializing = APIAnswer.failure(
        429, "TooManyRequests", "storage is (re)initializing",
        between: "  \"details\": {\n    \"retryAfterSeconds\": 1\n  },", headers: ["Retry-After": "1"])

    /// The bytes that a real API server writes: members in Go's order, indented by two.
    public static func failure(
        _ code: Int, _ reason: String?, _ message: String, details: [(String, String)] = [], between: String? = nil,
        metadata: String = "{}", headers: [String: String] = [:]
    ) -> APIAnswer {
        func quoted(_ text: String) -> String {
            "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
        }
        var text =
            "{\n  \"kind\": \"Status\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": \(metadata),\n"
            + "  \"status\": \"Failure\",\n"
        text += "  \"message\": \(quoted(message)),\n"
        if let reason { text += "  \"reason\": \(quoted(reason)),\n" }
        if !details.isEmpty {
            text += "  \"details\": {\n"
            text += details.map { "    \(quoted($0.0)): \(quoted($0.1))" }.joined(separator: ",\n") + "\n  },\n"
        }
        if let between { text += between + "\n" }
        text += "  \"code\": \(code)\n}"
        return APIAnswer(code, Array(text.utf8), headers: headers)
    }
}

/// What a fault does to the requests that it fits.
public enum APIFault: Sendable {
    /// Done, but its answer is lost with the connection.
    case loseReply
    /// Not done, and the connection ends.
    case reset
    /// Neither done nor answered.
    case stall
    case answer(APIAnswer)
    /// A watch whose bytes come in this way; what is no watch is answered.
    case stream(StreamShape)
}
