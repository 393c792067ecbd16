import HTTPTypes
import JSON
import SignalKit

/// The status table of DESIGN.md section 6: the only place where what became of a request turns into a status.
///
/// | outcome of a request | status |
/// |---|---|
/// | any signal `unavailable`, overload, deadline, shutting down | 503, `Retry-After` |
/// | ≥ 1 signal `accepted` | 201 |
/// | none accepted, ≥ 1 `duplicate`, `aggregated` or `resolved` | 202 |
/// | only `filtered`, `ignored`, `dead-lettered`, or no signal at all | 200 |
/// | the body is not what the adapter reads; the request breaks a rule of HTTP/1.1 | 400 |
/// | no or wrong credentials / known but not allowed | 401 / 403 |
/// | unknown path / wrong method | 404 / 405 |
/// | body over the limit | 413 |
/// | content type present and not JSON; content coding other than `identity`, transfer coding other than `chunked` | 415 |
/// | a bug | 500 |
enum StatusTable {
    /// The status, and the verdict that gave it as one word for the whole request; `empty` when it held nothing.
    static func summary(of outcome: Outcome) -> (status: Int, word: String) {
        var found: [Verdict] = []
        for signal in outcome.signals where !found.contains(signal.verdict) { found.append(signal.verdict) }
        if found.contains(.accepted) { return (201, Verdict.accepted.rawValue) }
        for verdict in [Verdict.resolved, .aggregated, .duplicate] where found.contains(verdict) {
            return (202, verdict.rawValue)
        }
        for verdict in [Verdict.ignored, .filtered] where found.contains(verdict) { return (200, verdict.rawValue) }
        return (200, outcome.deadLetters.isEmpty ? "empty" : Verdict.deadLettered.rawValue)
    }

    static func status(of answer: IntakeAnswer) -> Int {
        switch answer {
        case .taken(let outcome): summary(of: outcome).status
        case .refused(let refusal): problem(of: refusal).status
        }
    }

    static func problem(of refusal: Refusal) -> Problem {
        switch refusal {
        case .unavailable(let detail), .deadLettersFull(let detail, _):
            Problem(word: "unavailable", title: "Nobody can vouch for a signal", status: 503, detail: detail)
        case .overloaded(let detail):
            Problem(word: "overloaded", title: "Too much at once", status: 503, detail: detail)
        case .shuttingDown:
            Problem(word: "shutting-down", title: "The host is stopping", status: 503, detail: "try again")
        case .malformed(let message, let offset, let path):
            Problem(
                word: "malformed", title: "The body can't be read", status: 400, detail: message, offset: offset,
                path: path)
        case .unauthenticated:
            Problem(word: "unauthenticated", title: "No or wrong credentials", status: 401)
        case .forbidden:
            Problem(word: "forbidden", title: "Not allowed", status: 403)
        case .unknownPath:
            Problem(
                word: "unknown-path", title: "Nothing is served here", status: 404,
                detail: "no adapter is configured for this path")
        case .wrongMethod(let allowed):
            Problem(word: "wrong-method", title: "Wrong method", status: 405, detail: "this path takes \(allowed)")
        case .tooLarge(let limit):
            Problem(word: "too-large", title: "The body is too large", status: 413, detail: "\(limit) bytes at most")
        case .wrongMediaType:
            Problem(
                word: "wrong-media-type", title: "Not JSON", status: 415,
                detail: "send application/json, or no content type")
        case .wrongContentCoding:
            Problem(
                word: "wrong-content-coding", title: "Content coding not supported", status: 415,
                detail: "send the body without content coding (Content-Encoding: identity, or no such header), "
                    + "and with no transfer coding but chunked")
        case .badRequest(let detail):
            Problem(word: "bad-request", title: "Not a valid HTTP/1.1 request", status: 400, detail: detail)
        case .bug:
            Problem(word: "bug", title: "A fault of the host", status: 500)
        }
    }

    /// - Parameters:
    ///   - instance: the configured path, if any.
    ///   - retryAfter: seconds, of every 503; the caller spreads them, so that senders do not come back together.
    static func reply(to answer: IntakeAnswer, instance: String?, requestID: String, retryAfter: Int) -> Reply {
        switch answer {
        case .taken(let outcome): return OutcomeDocument.reply(outcome, requestID: requestID)
        case .refused(let refusal):
            let problem = problem(of: refusal)
            var reply = problem.reply(instance: instance, requestID: requestID)
            if problem.status == 503 { reply.headers.append((.retryAfter, String(retryAfter))) }
            // RFC 9110, 15.5.16: it tells the sender that the coding was the reason.
            if case .wrongContentCoding = refusal { reply.headers.append((.acceptEncoding, "identity")) }
            if case .wrongMethod(let allowed) = refusal { reply.headers.append((.allow, allowed)) }
            if case .unauthenticated(let scheme) = refusal { reply.headers.append((.wwwAuthenticate, scheme)) }
            return reply
        }
    }
}

/// `{"outcome":…,"request_id":…,"signals":[{"fingerprint","name","verdict","episode","count"}],"dead_letters":[{"index","reason"}]}`
enum OutcomeDocument {
    static func reply(_ outcome: Outcome, requestID: String) -> Reply {
        let (status, word) = StatusTable.summary(of: outcome)
        var out = JSONWriter(reserving: 128 + outcome.signals.count * 192)
        out.beginObject()
        out.member("outcome", word)
        out.member("request_id", requestID)
        out.key("signals")
        out.beginArray()
        for signal in outcome.signals {
            out.beginObject()
            out.key("fingerprint")
            out.plain(signal.fingerprint.description.utf8)
            out.member("name", signal.name)
            out.member("verdict", signal.verdict.rawValue)
            // As text: many readers of JSON lose the end of a 64-bit number.
            out.member("episode", signal.episode.map(String.init))
            out.member("count", signal.count)
            out.endObject()
        }
        out.endArray()
        out.key("dead_letters")
        out.beginArray()
        for letter in outcome.deadLetters {
            out.beginObject()
            out.member("index", letter.index)
            out.member("reason", letter.reason)
            out.endObject()
        }
        out.endArray()
        out.endObject()
        return .json(status, out.bytes)
    }
}
