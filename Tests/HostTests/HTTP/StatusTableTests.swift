import HTTPTypes
import JSON
import SignalKit
import Testing

@testable import Host

/// The status table, row by row.
@Suite struct StatusTableTests {
    private func outcome(_ verdicts: [Verdict], letters: Int = 0) throws -> Outcome {
        let fingerprint = try Fingerprint(Identity(family: "alert", fields: [.init("a", "b")]))
        return Outcome(
            signals: verdicts.map {
                SignalOutcome(fingerprint: fingerprint, name: "A", verdict: $0, episode: 1_795_400_000_123, count: 2)
            }, deadLetters: (0..<letters).map { ($0, "startsAt: not a time") })
    }

    private static let rows: [([Verdict], Int, Int, String)] = [
        ([.accepted], 0, 201, "accepted"),
        ([.duplicate, .accepted, .filtered], 1, 201, "accepted"),
        ([.duplicate], 0, 202, "duplicate"),
        ([.aggregated, .duplicate], 0, 202, "aggregated"),
        ([.resolved, .ignored], 0, 202, "resolved"),
        ([.filtered], 0, 200, "filtered"),
        ([.ignored], 0, 200, "ignored"),
        ([.filtered], 2, 200, "filtered"),
        ([], 1, 200, "dead-lettered"),
        ([], 0, 200, "empty"),
    ]

    @Test func whatWasTakenHasItsStatus() throws {
        for (verdicts, letters, status, word) in Self.rows {
            let summary = StatusTable.summary(of: try outcome(verdicts, letters: letters))
            #expect(summary.status == status, "\(verdicts)")
            #expect(summary.word == word, "\(verdicts)")
        }
    }

    private static let refusals: [(Refusal, Int)] = [
        (.unavailable(detail: "x"), 503), (.overloaded(detail: "x"), 503), (.shuttingDown, 503),
        (.malformed(message: "x", offset: 3, path: "alerts[0]"), 400), (.unauthenticated(scheme: "Bearer"), 401),
        (.forbidden, 403),
        (.unknownPath, 404), (.wrongMethod(allowed: "POST"), 405), (.tooLarge(limit: 1), 413), (.wrongMediaType, 415),
        (.bug, 500),
    ]

    @Test func whatWasRefusedHasItsStatusAndAProblemDocument() throws {
        for (refusal, status) in Self.refusals {
            let reply = StatusTable.reply(to: .refused(refusal), instance: "/a", requestID: "r1", retryAfter: 3)
            #expect(reply.status == status)
            #expect(reply.type == .problem)
            let document = try JSONDocument.parse(reply.body).root
            #expect(document["status"]?.integer == Int64(status))
            #expect(document["type"]?.string?.hasPrefix("https://portcullis.dev/problems/") == true)
            #expect(document["title"]?.string?.isEmpty == false)
            #expect(document["instance"]?.string == "/a")
            #expect(document["request_id"]?.string == "r1")
            #expect(reply.headers.contains { $0.0 == .retryAfter } == (status == 503))
            // Alertmanager drops what it sends on any 4xx: overload must never be one.
            #expect(status != 429)
        }
        let malformed = try JSONDocument.parse(
            StatusTable.reply(to: .refused(Self.refusals[3].0), instance: nil, requestID: "r", retryAfter: 1).body
        ).root
        #expect(malformed["offset"]?.integer == 3)
        #expect(malformed["path"]?.string == "alerts[0]")
    }

    @Test func theOutcomeDocumentIsThatOfTheDesign() throws {
        let reply = OutcomeDocument.reply(try outcome([.accepted], letters: 1), requestID: "r1")
        let fingerprint = try Fingerprint(Identity(family: "alert", fields: [.init("a", "b")])).description
        #expect(
            String(decoding: reply.body, as: UTF8.self)
                == #"{"outcome":"accepted","request_id":"r1","signals":[{"fingerprint":"\#(fingerprint)","name":"A","#
                + #""verdict":"accepted","episode":"1795400000123","count":2}],"#
                + #""dead_letters":[{"index":0,"reason":"startsAt: not a time"}]}"#)
    }

    @Test func thePrometheusRouteAnswersAsAlertmanagerDoes() throws {
        func reply(_ answer: IntakeAnswer) -> Reply {
            AlertmanagerAPI.reply(to: answer, instance: "/api/v2/alerts", requestID: "r", retryAfter: 1)
        }
        for verdict in [Verdict.accepted, .duplicate, .filtered] {
            let taken = reply(.taken(try outcome([verdict])))
            #expect(taken.status == 200)
            #expect(taken.body.isEmpty)
        }
        let bad = reply(.refused(.malformed(message: "not JSON", offset: 7, path: nil)))
        #expect(bad.status == 400)
        #expect(try JSONDocument.parse(bad.body).root.string == "not JSON at byte 7")
        #expect(reply(.refused(.unavailable(detail: "x"))).status == 503)
        #expect(AlertmanagerAPI.sides(of: "/team/api/v2/alerts").contains { $0 == ("/team/-/ready", .ready) })
        #expect(AlertmanagerAPI.sides(of: "/elsewhere").contains { $0 == ("/api/v2/status", .status) })
    }
}
