import Adapters
import SignalKit
import Testing

struct AlertmanagerTests {
    private let gate: AlertmanagerAdapter
    init() throws { gate = try adapter(AlertmanagerAdapter.self) }

    @Test func whatARealAlertmanagerSendsIsRead() throws {
        let decoded = try gate.decode(Fixture.alertmanagerFiring)
        #expect(decoded.rejected.isEmpty && decoded.truncated == 0)
        #expect(decoded.signals.count == 2)
        let signal = try #require(decoded.signals.last)
        #expect(signal.name == "HighMemoryUsage")
        #expect(signal.status == .firing)
        #expect(signal.severity == "critical")
        #expect(signal.target == Target(kind: "pod", namespace: "shop", name: "checkout-7d9c5b9f4-x2x7q"))
        #expect(
            signal.labels.entries.map(\.name) == [
                "alertname", "container", "job", "namespace", "pod", "prometheus", "replica", "severity",
            ])
        #expect(
            signal.identity.fields.map(\.name) == [
                "alertname", "container", "job", "namespace", "pod", "prometheus", "severity",
            ])
        #expect(signal.annotations["description"]?.hasSuffix("minutes.\nWorking set: 1.92 GiB of 2 GiB.") == true)
        #expect(decoded.signals[0].annotations["description"] == "Größe «cart» ✓ <b>&amp;</b>")
        #expect(signal.startsAt == (try at("2026-11-23T20:41:10.197Z")))
        #expect(signal.endsAt == nil)
        #expect(signal.link?.hasSuffix("%3E+0.95&g0.tab=1") == true)
    }

    @Test func anAlertsOwnStatusDecidesWhateverTheGroupSays() throws {
        let decoded = try gate.decode(Fixture.alertmanagerResolved)
        #expect(decoded.signals.map(\.status) == [.resolved, .firing])
        #expect(decoded.signals[0].endsAt == (try at("2026-11-23T20:41:12.725Z")))
        let before = try gate.decode(Fixture.alertmanagerFiring)
        #expect(before.signals.map(\.identity) == decoded.signals.map(\.identity))
    }

    @Test func everyAlertOfABatchIsASignal() throws {
        let alerts = (0..<20_000).map { place in
            alert(
                #"{"alertname":"A","pod":"p-\#(place)","namespace":"shop","severity":"warning"}"#,
                status: place.isMultiple(of: 2) ? "firing" : "resolved",
                endsAt: place.isMultiple(of: 2) ? "0001-01-01T00:00:00Z" : "2026-08-01T11:30:00Z",
                fields: #""comment":"\#(String(repeating: "x", count: 800))","#)
        }
        let body = #"{"version":"4","alerts":["# + alerts.joined(separator: ",") + "]}"
        #expect(body.utf8.count > 20_000 * 1_000)
        let decoded = try gate.decode(body)
        #expect(decoded.signals.count == 20_000 && decoded.rejected.isEmpty)
        #expect(decoded.signals[19_999].target?.name == "p-19999")
        #expect(decoded.signals[19_999].status == .resolved)
    }

    @Test func aBadAlertDoesNotSinkItsBatch() throws {
        let decoded = try gate.decode(group(alert(), alert("{}"), alert(#"{"alertname":"B"}"#), "17"))
        #expect(decoded.signals.map(\.name) == ["A", "B"])
        #expect(decoded.rejected.map(\.index) == [1, 3])
        #expect(decoded.rejected.map(\.reason) == ["labels: none with a value", "alert: expected an object"])
    }

    @Test(arguments: [
        (#"{"status":"firing","annotations":{}}"#, "labels: missing"),
        (#"{"status":"firing","labels":null}"#, "labels: none with a value"),
        (alert(#"{"alertname":"","pod":""}"#), "labels: none with a value"),
        (alert(#"["alertname"]"#), "labels: expected an object of strings"),
        (alert(#"{"alertname":"A","count":3}"#), "labels: a value is not a string"),
        (alert(#"{"alertname":"A","pod":null,"pod":"p"}"#), "labels: a name occurs twice"),
        (alert(#"{"alertname":"A","pod":"p","alertname":"B"}"#), "labels: a name occurs twice"),
        (alert(#"{"alertname":"A","pod":"","pod":"p"}"#), "labels: a name occurs twice"),
        (alert(fields: #""labels":{"alertname":"B"},"#), "labels: given twice"),
        (alert(fields: #""Labels":{"alertname":"B"},"#), "labels: given twice"),
        (
            #"{"status":"firing","labels":{"alertname":"A"},"annotations":{"a":"1","a":"2"}}"#,
            "annotations: a name occurs twice"
        ),
        (alert(#"{"alertname":"A","":"p"}"#), "labels: a label name of 0 bytes, 1 to 1024 allowed"),
        (alert(#"{"replica":"a"}"#), "labels: nothing identifies the problem"),
        (alert(startsAt: "yesterday"), "startsAt: not an RFC 3339 time"),
        (alert(endsAt: "2026-02-30T00:00:00Z"), "endsAt: not an RFC 3339 time"),
        (alert(status: "resolved", endsAt: "2026-08-01T10:59:59Z"), "startsAt: after endsAt"),
        (alert(status: "suppressed"), "status: neither firing nor resolved"),
        (#"{"labels":{"alertname":"A"}}"#, "status: missing"),
        (#"{"status":true,"labels":{"alertname":"A"}}"#, "status: expected a string"),
        (alert(fields: #""startsAt":17,"#), "startsAt: expected a string"),
        (
            #"{"status":"firing","labels":{"alertname":"A"},"annotations":{"a":1}}"#,
            "annotations: a value is not a string"
        ),
        ("null", "alert: expected an object"),
        (#"[{"labels":{"alertname":"A"}}]"#, "alert: expected an object"),
    ])
    func anAlertThatCannotBeReadSaysWhereAndWhy(_ item: String, _ reason: String) throws {
        #expect(try gate.reason(group(item)) == reason)
    }

    @Test func aLabelValueOfOneMebibyteIsSetAside() throws {
        let long = String(repeating: "x", count: 1 << 20)
        let reason = "labels: label value of 1048576 bytes, 16384 at most"
        #expect(try gate.reason(group(alert(#"{"alertname":"A","pod":"\#(long)"}"#))) == reason)
        #expect(
            try gate.reason(group(alert(#"{"alertname":"\#(String(repeating: "x", count: 1_025))"}"#)))
                == "labels: a name of 1025 bytes, 1 to 1024 allowed")
    }

    @Test func aRejectedAlertsReplayIsReadAsTheSameOne() throws {
        let bad = alert(#"{"alertname":"A","b":"Ü\n\"","n":1e3}"#)
        let first = try #require(try gate.decode(group(alert(), bad)).rejected.first)
        let again = try gate.decode(InboundRequest(body: first.replay, receivedAt: noon))
        #expect(again.signals.isEmpty)
        #expect(again.rejected.map(\.reason) == [first.reason])
        #expect(again.rejected.map(\.replay) == [first.replay])
    }

    @Test func namesOfFieldsAreReadInAnyCase() throws {
        let alert = #"{"Status":"firing","LABELS":{"alertname":"A"}}"#
        let decoded = try gate.decode(#"{"Version":"4","TruncatedAlerts":3,"ALERTS":[\#(alert)]}"#)
        #expect(decoded.signals.map(\.name) == ["A"] && decoded.truncated == 3)
        #expect(gate.refusal(#"{"version":"4","Version":"4","alerts":[]}"#)?.path == "version")
    }

    @Test func anEmptyLabelValueIsNoLabelAndAnEmptyAnnotationIsOne() throws {
        let item =
            #"{"status":"firing","labels":{"alertname":"A","pod":"","node":"n"},"annotations":{"summary":""}}"#
        let signal = try gate.one(group(item))
        #expect(signal.labels.entries.map(\.name) == ["alertname", "node"])
        #expect(signal.annotations["summary"] == "")
        #expect(signal.target == Target(kind: "node", namespace: nil, name: "n"))
    }

    @Test func timesThatAreNotGivenAreNil() throws {
        for nothing in ["", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"] {
            let signal = try gate.one(group(alert(startsAt: nothing, endsAt: nothing)))
            #expect(signal.startsAt == nil && signal.endsAt == nil)
        }
        let signal = try gate.one(group(#"{"status":"firing","labels":{"a":"b"},"annotations":null,"startsAt":null}"#))
        #expect(signal.startsAt == nil && signal.endsAt == nil && signal.link == nil)
    }

    @Test func aResolvedAlertWithoutAnEndEndedWhenItWasReceived() throws {
        #expect(try gate.one(group(alert(status: "resolved"))).endsAt == noon)
        let later = try gate.one(group(alert(status: "resolved", startsAt: "2026-08-01T12:00:01Z")))
        #expect(later.endsAt == later.startsAt)
    }

    @Test func aFiringAlertMayGiveAnEnd() throws {
        let signal = try gate.one(group(alert(endsAt: "2026-08-01T12:04:00+00:00")))
        #expect(signal.status == .firing)
        #expect(signal.endsAt == (try at("2026-08-01T12:04:00Z")))
    }

    @Test func unknownFieldsAreIgnored() throws {
        let item = alert(fields: #""notification_reason":{"labels":{}},"routeLabels":[],"#)
        let body = #"{"version":"4","notification_reason":[{}],"alerts":[\#(item)],"routeLabels":{"version":"5"}}"#
        #expect(try gate.one(body).name == "A")
    }

    @Test func alertsThatAlertmanagerLeftOutAreCounted() throws {
        #expect(try gate.decode(#"{"version":"4","alerts":[],"truncatedAlerts":17}"#).truncated == 17)
        for odd in ["-1", #""3""#, "null", "1.5"] {
            #expect(try gate.decode(#"{"version":"4","alerts":[],"truncatedAlerts":\#(odd)}"#).truncated == 0)
        }
    }

    @Test func aLinkTooLongToKeepHoldsNoAlertBack() throws {
        let long = "http://prometheus.example.org/" + String(repeating: "x", count: 8_192)
        #expect(try gate.one(group(#"{"status":"firing","labels":{"a":"b"},"generatorURL":"\#(long)"}"#)).link == nil)
    }

    @Test(arguments: [
        (#"{"version":"3","alerts":[]}"#, "version"), (#"{"version":4,"alerts":[]}"#, "version"),
        (#"{"alerts":[]}"#, "version"), (#"{"version":"4"}"#, "alerts"), (#"{"version":"4","alerts":null}"#, "alerts"),
        (#"{"version":"4","alerts":{}}"#, "alerts"), (#"{"version":"4","alerts":[],"alerts":[]}"#, "alerts"),
        (#"{"version":"4","alerts":[],"version":"4"}"#, "version"),
        (#"[{"labels":{"alertname":"A"}}]"#, nil), ("17", nil),
    ])
    func anotherDocumentIsUnexpected(_ body: String, _ path: String?) {
        let error = gate.refusal(body)
        #expect(error?.code == .unexpected)
        #expect(error?.path == path)
    }

    @Test func whatIsNotJSONIsMalformedAndSaysWhere() throws {
        for body in ["", "{", "nul", #"{"version":"4","alerts":[}"#, group(alert()) + "x"] {
            let error = try #require(gate.refusal(body))
            #expect(error.code == .malformed, "\(body)")
        }
        #expect(try #require(gate.refusal(#"{"version":"4","alerts":[}"#)).offset == 25)
        #expect(gate.refusal("{\"version\":\"4\",\"alerts\":[{}],\"x\":\"\u{0}\"}")?.code == .malformed)
    }

    @Test func invalidUTF8IsMalformed() throws {
        var body = Array(group(alert(#"{"alertname":"#)).utf8)
        let place = try #require(body.lastIndex(of: UInt8(ascii: "#")) ?? body.firstIndex(of: UInt8(ascii: "A")))
        body[place] = 0xFF
        #expect(throws: AdapterError.self) { try gate.decode(InboundRequest(body: body, receivedAt: noon)) }
    }

    @Test func nestingThreeHundredDeepIsTooLarge() {
        let deep = String(repeating: "[", count: 300) + String(repeating: "]", count: 300)
        #expect(gate.refusal(#"{"version":"4","alerts":[],"x":\#(deep)}"#)?.code == .tooLarge)
    }
}
