import HTTPTypes
import JSON
import SignalKit

/// How a route of the `prometheus` adapter speaks: as Alertmanager's own API does, beside it and in its answers.
///
/// Source: prometheus/alertmanager, api/v2 (OpenAPI), 0.25; `/api/v1` answers 410 since 0.27, and nothing here ever had it.
enum AlertmanagerAPI {
    static let adapter: PluginID = "prometheus"

    /// 200 with an empty body for what was taken, 400 with a JSON string; anything else is a problem as everywhere.
    static func reply(to answer: IntakeAnswer, instance: String, requestID: String, retryAfter: Int) -> Reply {
        let reply = StatusTable.reply(to: answer, instance: instance, requestID: requestID, retryAfter: retryAfter)
        switch answer {
        case .taken: return Reply(status: 200, headers: reply.headers)
        case .refused(.malformed(let message, let offset, let path)):
            var text = message
            if let path { text += " at \(path)" }
            if let offset { text += " at byte \(offset)" }
            var out = JSONWriter()
            out.string(text)
            return Reply(status: reply.status, type: .json, body: out.bytes, headers: reply.headers)
        case .refused: return reply
        }
    }

    /// What stands beside the route: `/api/v2/alerts` gives the empty prefix.
    static func prefix(of path: String) -> String {
        path.hasSuffix("/api/v2/alerts") ? String(path.dropLast("/api/v2/alerts".count)) : ""
    }

    /// Nil when `path` is none of the side endpoints.
    static func side(_ path: String, prefix: String, method: HTTPRequest.Method, started: Timestamp) -> Reply? {
        guard path.hasPrefix(prefix) else { return nil }
        switch path.dropFirst(prefix.count) {
        case "/api/v2/status": return method == .get ? .json(200, status(since: started)) : wrongMethod
        case "/-/ready", "/-/healthy": return method == .get || method == .head ? .text(200, "OK") : wrongMethod
        case "/api/v1/alerts", "/api/v1/alerts/groups", "/api/v1/status", "/api/v1/receivers", "/api/v1/silences":
            var out = JSONWriter()
            out.string("the v1 API is gone; use /api/v2/alerts")
            return .json(410, out.bytes)
        default: return nil
        }
    }

    private static let wrongMethod = Reply(status: 405, headers: [(.allow, "GET")])

    private static func status(since started: Timestamp) -> [UInt8] {
        var out = JSONWriter()
        out.beginObject()
        out.key("cluster")
        out.beginObject()
        out.member("status", "disabled")
        out.endObject()
        out.key("versionInfo")
        out.beginObject()
        out.member("version", PortcullisHost.version)
        for name in ["revision", "branch", "buildUser", "buildDate", "goVersion"] { out.member(name, "") }
        out.endObject()
        out.key("config")
        out.beginObject()
        out.member("original", "")
        out.endObject()
        out.member("uptime", started.description)
        out.endObject()
        return out.bytes
    }
}
