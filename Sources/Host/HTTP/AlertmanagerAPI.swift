import HTTPTypes
import JSON
import NIOHTTP1
import SignalKit

/// How a route of the `prometheus` adapter speaks: as Alertmanager's own API does, beside it and in its answers.
///
/// Source: prometheus/alertmanager, api/v2 (OpenAPI), 0.25; `/api/v1` answers 410 since 0.27, and nothing here ever had it.
enum AlertmanagerAPI {
    static let adapter: PluginID = "prometheus"

    /// 200 with an empty body for what was taken, 400 with a JSON string; anything else is a problem as everywhere.
    static func reply(to answer: IntakeAnswer, instance: String, requestID: String, retryAfter: Int) -> Reply {
        if case .taken = answer { return Reply(status: 200) }
        let reply = StatusTable.reply(to: answer, instance: instance, requestID: requestID, retryAfter: retryAfter)
        switch answer {
        case .refused(.malformed(let message, let offset, let path)):
            var text = message
            if let path { text += " at \(path)" }
            if let offset { text += " at byte \(offset)" }
            var out = JSONWriter()
            out.string(text)
            return Reply(status: reply.status, type: .json, body: out.bytes, headers: reply.headers)
        case .taken, .refused: return reply
        }
    }

    /// What a sender of alerts may ask for besides.
    enum Side: Sendable { case status, ready, gone }

    /// Whole paths: `/api/v2/alerts` has them at the root, `/team/api/v2/alerts` under `/team`.
    static func sides(of route: String) -> [(path: String, side: Side)] {
        let end = "/api/v2/alerts"
        let prefix = route.hasSuffix(end) ? String(route.dropLast(end.count)) : ""
        let old = ["alerts", "alerts/groups", "status", "receivers", "silences"]
        return [(prefix + "/api/v2/status", .status), (prefix + "/-/ready", .ready), (prefix + "/-/healthy", .ready)]
            + old.map { (prefix + "/api/v1/" + $0, .gone) }
    }

    static func reply(to side: Side, method: HTTPMethod, started: Timestamp) -> Reply {
        switch side {
        case .status: return method == .GET ? .json(200, status(since: started)) : wrongMethod
        case .ready: return method == .GET || method == .HEAD ? .text(200, "OK") : wrongMethod
        case .gone:
            var out = JSONWriter()
            out.string("the v1 API is gone; use /api/v2/alerts")
            return .json(410, out.bytes)
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
