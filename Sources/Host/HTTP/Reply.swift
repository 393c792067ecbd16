import HTTPTypes
import JSON

/// What goes back over the wire, before the server's own headers.
struct Reply: Sendable, Equatable {
    enum MediaType: String, Sendable {
        case json = "application/json", problem = "application/problem+json", text = "text/plain; charset=utf-8",
            metrics = "text/plain; version=0.0.4; charset=utf-8"
    }

    var status: Int
    var type: MediaType?
    var body: [UInt8] = []
    var headers: [(HTTPField.Name, String)] = []

    static func == (left: Reply, right: Reply) -> Bool {
        left.status == right.status && left.type == right.type && left.body == right.body
            && left.headers.map { "\($0.0): \($0.1)" } == right.headers.map { "\($0.0): \($0.1)" }
    }

    static func text(_ status: Int, _ text: String) -> Reply {
        Reply(status: status, type: .text, body: Array(text.utf8))
    }

    static func json(_ status: Int, _ body: [UInt8]) -> Reply { Reply(status: status, type: .json, body: body) }
}

/// A problem document (RFC 9457).
struct Problem: Sendable {
    /// Of `https://portcullis.dev/problems/<word>`.
    let word: String
    let title: String
    let status: Int
    var detail = ""
    /// Of a body that can't be read.
    var offset: Int?
    var path: String?

    /// - Parameter instance: the path that was asked for, as configured; nil when it is none of ours.
    func reply(instance: String?, requestID: String) -> Reply {
        var out = JSONWriter()
        out.beginObject()
        out.member("type", "https://portcullis.dev/problems/\(word)")
        out.member("title", title)
        out.member("status", status)
        if !detail.isEmpty { out.member("detail", detail) }
        out.member("offset", offset.map(Int64.init))
        out.member("path", path)
        out.member("instance", instance)
        out.member("request_id", requestID)
        out.endObject()
        return Reply(status: status, type: .problem, body: out.bytes)
    }
}
