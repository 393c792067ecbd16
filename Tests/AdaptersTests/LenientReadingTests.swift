import Adapters
import Glibc
import JSON
import SignalKit
import TestSupport
import Testing

/// What Alertmanager's API takes is taken, and read the same: a real Alertmanager is given the same alerts.
struct LenientReadingTests {
    /// One alert as it shows in both.
    private struct Shown: Equatable, CustomStringConvertible {
        let labels: [String: String]
        let annotations: [String: String]
        /// Left out where the sender gave none.
        let startsAt: Timestamp?
        let endsAt: Timestamp?
        var description: String {
            "\(labels.sorted { $0.key < $1.key }) \(annotations) \(startsAt?.description ?? "") \(endsAt?.description ?? "")"
        }
    }

    private static let far = #""endsAt":"2046-06-15T12:00:00Z""#

    /// The rest of an alert: `N` stands for its name.
    private static let cases: [String] =
        // Times: what strfmt.DateTime takes, and near to it.
        [
            "2046-06-15T12:00:00Z", "2046-06-15T12:00:00.1Z", "2046-06-15T12:00:00.123456789Z",
            "2046-06-15T12:00:00.1234567891Z", "2046-06-15T12:00:00,5Z", "2046-06-15T12:00:00",
            "2046-06-15T12:00:00.123456", "2046-06-15T12:00:00,25", "2046-06-15T12:00", "2046-06-15T12:00Z",
            "2046-06-15T12:00+02:00", "2046-06-15 12:00:00", "2046-06-15 12:00:00Z", "2046-06-15 12:00:00.5",
            "2046-06-15 12:00:00,123456", "2046-06-15 12:00", "2046-06-15 12:00:00+00:00", "2046-06-15T12:00:00+0000",
            "2046-06-15T12:00:00.5+0000", "2046-06-15T12:00:00.123+0200", "2046-06-15T12:00:00.123456-0330",
            "2046-06-15T12:00:00.1234567+0000", "2046-06-15T12:00:00,123+0000", "2046-06-15T12:00:00+00",
            "2046-06-15T12:00:00+02:00", "2046-06-15T12:00:00-02:30", "2046-06-15t12:00:00Z", "2046-06-15T12:00:00z",
            "2046-06-15T24:00:00Z", "2046-06-15T23:59:60Z", "2046-06-15T12:60:00Z", "2046-02-29T00:00:00Z",
            "2046-6-15T12:00:00Z", "2046-06-15T1:00:00Z", "2046-06-15T9:00", "2046-06-15T12:00:00Z ",
            " 2046-06-15T12:00:00Z", "2046-06-15T12:00:00.Z", "2046-06-15T12:00:00.", "2046-06-15T12:00:00+24:00",
            "2046-06-15T12:00:00+23:60", "2046-06-15T12:00:00-00:00", "2046-06-15T12:5:00Z", "2046-06-15T12:00:5Z",
            "2046-06-15T12:00:00 +0000", "2046-06-15T12:00:00 UTC", "20460615T120000Z", "now", "0001-01-01T00:00:00",
            "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "10000-01-01T00:00:00Z", "2046-13-01T00:00:00Z",
            "2046-06-00T00:00:00Z", "+2046-06-15T12:00:00Z", "2046-06-15T12:00:00+00:00:00", "2020-06-15T12:00:00", "",
        ].map { #""labels":{"alertname":"N"},"startsAt":"2020-01-01T00:00:00Z","endsAt":"\#($0)""# }
        // Fields: any status, two of a name, another case, nulls.
        + ["{}", #""x""#, "null", "7", "[1]", #""resolved""#, "true"].map {
            #""labels":{"alertname":"N"},"status":\#($0),\#(far)"#
        }
        + [
            #""labels":{"alertname":"N","a":"1","a":"2"}"#, #""labels":{"alertname":"N"},"labels":{"b":"x"}"#,
            #""Labels":{"alertname":"N"}"#, #""labels":{"alertname":"N"},"LABELS":{"b":"y"}"#,
            #""LABELS":{"b":"y","alertname":"other"},"labels":{"alertname":"N"}"#,
            #""labels":{"alertname":"N"},"labels":null"#, #""labels":null,"labels":{"alertname":"N"}"#,
            #""labels":{"alertname":"N"},"annotations":{"x":"1"},"ANNOTATIONS":{"y":"2","x":"3"}"#,
            #""labels":{"alertname":"N"},"annotations":{"x":"1"},"annotations":null"#,
            #""labels":{"alertname":"N","x":null,"y":""},"annotations":{"n":null,"e":""}"#,
            #""labels":{"alertname":"N","x":"1","x":null}"#, #""labels":{"alertname":"N","x":null,"x":"1"}"#,
            #""labels":{"alertname":"N","x":"","x":"1","x":""}"#, #""labels":{"alertname":"N","x":7}"#,
            #""labels":{"alertname":"N"},"annotations":{"x":7}"#, #""labels":{"alertname":"N"},"annotations":null"#,
            #""labels":{"alertname":"N"},"annotations":[]"#, #""labels":null"#, #""annotations":{}"#, #""labels":{}"#,
            #""labels":{"alertname":""}"#, #""labels":{"alertname":null}"#, #""labels":{"alertname":"N","":"x"}"#,
            #""labels":{"alertname":"N","":""}"#, #""labels":{"alertname":"N","a":"x","A":"y"}"#, #""labels":["N"]"#,
            #""labels":"N""#, #""labels":{"alertname":"N"},"generatorURL":null"#,
            #""labels":{"alertname":"N"},"generatorURL":"""#, #""labels":{"alertname":"N"},"generatorURL":7"#,
            #""labels":{"alertname":"N"},"fingerprint":7,"receivers":"x","updatedAt":false"#,
            #""labels":{"alertname":"N"},"startsAt":7"#, #""labels":{"alertname":"N"},"startsAt":{}"#,
            #""labels":{"alertname":"N"},"startsAt":"2020-01-01T00:00:00Z","startsAt":"2021-01-01T00:00:00Z""#,
            #""labels":{"alertname":"N"},"startsat":"2020-01-01T00:00:00Z","startsAt":null"#,
            #""labels":{"alertname":"N"},"startsAt":"2046-06-15T12:00:00Z""#,
            #""labels":{"alertname":"N"},"startsAt":"2046-06-15T12:00:01Z""#,
            #""labels":{"alertname":"N"},"startsAt":"""#,
            // Half of a surrogate pair, and whole ones beside it.
            #""labels":{"alertname":"N","m":"a\ud83d b"}"#, #""labels":{"alertname":"N","m":"a\ude00 b"}"#,
            #""labels":{"alertname":"N","m":"\ud83d\ud83d\ude00x"}"#,
            #""labels":{"alertname":"N","m":"\uD83Dx\uDE00"}"#,
            #""labels":{"alertname":"N","m":"\ud83d\u0041\ud83d\ude00"}"#,
            #""labels":{"alertname":"N","m":"\ud83d\n\\ud83d"}"#, #""labels":{"alertname":"N","m":"\\ud83d"}"#,
            #""labels":{"alertname":"N"},"annotations":{"m":"😀\ud83d","l":"\\\ud83d\"\ude00"}"#,
            #""labels":{"alertname":"N","m":"\ude00\ud83d\ude00\ud83d"}"#,
            // Numbers that nothing can hold.
            #""labels":{"alertname":"N"},"x":18446744073709551616"#, #""labels":{"alertname":"N"},"x":[1e400,-1e400]"#,
            #""labels":{"alertname":"N"},"status":{"x":123456789012345678901234567890}"#,
            #""labels":{"alertname":"N","x":1e400}"#, #""labels":{"alertname":"N"},"endsAt":18446744073709551616"#,
            // Text that is no UTF-8: as letters here, because a string of Swift's holds none.
            #""labels":{"alertname":"N","m":"caf<E9>"}"#, #""labels":{"alertname":"N","m":"<E2><82>"}"#,
            #""labels":{"alertname":"N","m":"<C0><AF>/<ED><A0><BD><ED><B8><80>"}"#,
            #""labels":{"alertname":"N","m":"<F0><9F><98>\ud83d<80><F5>"}"#,
            #""labels":{"alertname":"N"},"annotations":{"m":"<FF><FE>"},"<E9>":"x""#,
            #""labels":{"alertname":"N"},"x":"<80>","<81>":1e999"#,
        ].map { "\($0),\(far)" }
        // No end, and an end that has come.
        + [
            #""labels":{"alertname":"N"},"startsAt":null,"endsAt":null"#, #""labels":{"alertname":"N"}"#,
            #""labels":{"alertname":"N"},"endsAt":"""#,
            #""labels":{"alertname":"N"},"startsAt":"2046-06-15T12:00:00Z""#,
            #""labels":{"alertname":"N"},"endsAt":"2020-06-15T12:00:00Z""#,
            #""labels":{"alertname":"N"},"endsAt":"2046-06-15T12:00:00Z","endsat":"2020-06-15T12:00:00Z""#,
            #""labels":{"alertname":"N"},"endsAt":"2046-06-15T12:00:00Z","EndsAt":null"#,
        ]

    @Test func aRealAlertmanagerReadsTheSame() async throws {
        let alertmanager = try await Alertmanager(webhook: "http://127.0.0.1:1/")
        let gate = try adapter(PrometheusAdapter.self)
        var decoded: [String: Shown] = [:]
        for (place, text) in Self.cases.enumerated() {
            let body = Self.bytes("[{\(text.replacing(#""N""#, with: "\"N\(place)\""))}]")
            let head =
                "POST /api/v2/alerts HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
            _ = try await alertmanager.http.send(
                Array("\(head)Content-Length: \(body.count)\r\n\r\n".utf8) + body)
            let request = InboundRequest(body: body, receivedAt: Timestamp(milliseconds: Self.now()))
            for signal in (try? gate.decode(request))?.signals ?? [] where signal.status == .firing {
                decoded[signal.name] = Shown(
                    labels: Self.texts(signal.labels), annotations: Self.texts(signal.annotations),
                    startsAt: text.contains(#""startsAt":"2"#) ? signal.startsAt : nil,
                    endsAt: text.lowercased().contains(#""endsat":"2"#) ? signal.endsAt : nil)
            }
        }
        let active = try await active(alertmanager)
        for (place, text) in Self.cases.enumerated() {
            #expect(decoded["N\(place)"] == active["N\(place)"], "\(text)")
        }
        #expect(active.count > 60 && decoded.count == active.count)
    }

    /// With `<E9>` as that byte.
    private static func bytes(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let next = rest.popFirst() {
            let word = String(decoding: rest.prefix(2), as: UTF8.self)
            if next == UInt8(ascii: "<"), let byte = UInt8(word, radix: 16),
                rest.dropFirst(2).first == UInt8(ascii: ">")
            {
                bytes.append(byte)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(next)
            }
        }
        return bytes
    }

    /// As Alertmanager shows them, by name.
    private func active(_ alertmanager: Alertmanager) async throws -> [String: Shown] {
        let answer = try await alertmanager.http.get("/api/v2/alerts?active=true")
        let alerts = try #require(try JSONDocument.parse(answer.body).root.array)
        var active: [String: Shown] = [:]
        for alert in alerts {
            let labels = AlertTargetTests.strings(alert["labels"])
            let name = try #require(labels["alertname"])
            let text = Self.cases[try #require(Int(name.dropFirst()))]
            func time(_ field: String) -> Timestamp? { alert[field]?.string.flatMap { Self.time($0) } }
            active[name] = Shown(
                labels: labels, annotations: AlertTargetTests.strings(alert["annotations"]),
                startsAt: text.contains(#""startsAt":"2"#) ? time("startsAt") : nil,
                endsAt: text.lowercased().contains(#""endsat":"2"#) ? time("endsAt") : nil)
        }
        return active
    }

    /// Go writes an offset of 24 hours.
    private static func time(_ text: String) -> Timestamp? {
        Timestamp(rfc3339: text)
            ?? Timestamp(rfc3339: text.replacing("+24:00", with: "Z")).map { $0.advanced(by: .hours(-24)) }
    }

    private static func texts(_ labels: Labels) -> [String: String] {
        Dictionary(labels.entries.map { ($0.name, $0.value) }) { $1 }
    }

    private static func now() -> Int64 {
        let (seconds, attoseconds) = ContinuousClock.wall.components
        return seconds * 1_000 + attoseconds / 1_000_000_000_000_000
    }

    // MARK: What a present Alertmanager takes, and Debian's does not

    @Test func aDateAloneIsItsMidnight() throws {
        let signal = try adapter(PrometheusAdapter.self).one(#"[{"labels":{"a":"b"},"endsAt":"2046-06-15"}]"#)
        #expect(signal.endsAt == (try at("2046-06-15T00:00:00Z")))
    }

    @Test func namesOfLabelsAreAnyUTF8() throws {
        let body = try Repository.text("Tests/AdaptersTests/Cases/utf8-labels.json")
        let signal = try adapter(AlertmanagerAdapter.self).one(body)
        #expect(signal.labels["service.name"] == "checkout" && signal.labels["日本"] == "語")
    }

    // MARK: Bodies of real senders

    @Test(arguments: ["gettable-alert", "python-isoformat"])
    func aBodyThatAlertmanagerTakesIsTaken(_ name: String) throws {
        let body = try Repository.text("Tests/AdaptersTests/Cases/\(name).json")
        let signal = try adapter(PrometheusAdapter.self).one(body, receivedAt: at("2026-12-01T09:32:00Z"))
        #expect(signal.status == .firing && signal.startsAt != nil)
    }

    @Test(arguments: [("nullann", "m", "x"), ("surrogate", "m", "a\u{FFFD} b")])
    func aWebhookWithAnOddTextIsTakenWhole(_ name: String, _ label: String, _ value: String) throws {
        let body = try Repository.text("Tests/AdaptersTests/Cases/\(name).json")
        let decoded = try adapter(AlertmanagerAdapter.self).decode(body)
        #expect(decoded.signals.count == 2 && decoded.rejected.isEmpty)
        #expect(decoded.signals.first?.labels[label] == value)
        #expect(decoded.signals.first?.annotations["summary"] == (name == "nullann" ? "" : nil))
    }

    @Test func halfAPairSavesNoBodyThatIsNoJSONAndTheFaultKeepsItsPlace() throws {
        let gate = try adapter(PrometheusAdapter.self)
        let body = #"[{"labels":{"a":"\ud83d"}},%]"#
        #expect(gate.refusal(body)?.code == .malformed)
        #expect(gate.refusal(body)?.offset == 27)
        #expect(gate.refusal(#"[{"labels":{"a":"\ud83"}}]"#)?.offset == 22)
        #expect(gate.refusal(#"[{"labels":{"a":"\ud83d"#)?.code == .malformed)
    }

    // MARK: Long annotations

    private func alert(annotations: String) -> String {
        #"[{"labels":{"alertname":"A"},"annotations":{\#(annotations)}}]"#
    }

    @Test func aLongAnnotationIsShortenedAndMarked() throws {
        let gate = try adapter(PrometheusAdapter.self)
        let long = String(repeating: "é", count: 100_000)
        let signal = try gate.one(alert(annotations: #""description":"\#(long)","summary":"short""#))
        let text = try #require(signal.annotations["description"])
        #expect(text.utf8.count <= Signal.Bounds.annotationValue && text.utf8.count > Signal.Bounds.annotationValue - 8)
        #expect(text.hasSuffix("é… [shortened from 200000 bytes]"))
        #expect(signal.annotations["summary"] == "short")
    }

    @Test func annotationsThatAreTooLongTogetherAreShortenedToTheSameLength() throws {
        let gate = try adapter(PrometheusAdapter.self)
        let long = String(repeating: "x", count: 120_000)
        let many = (0..<20).map { #""a\#($0)":"\#(long)""# }.joined(separator: ",")
        let signal = try gate.one(alert(annotations: many + #","summary":"short""#))
        let lengths = signal.annotations.entries.map(\.value.utf8.count)
        #expect(signal.annotations.entries.count == 21 && Set(lengths).count == 2)
        #expect(lengths.reduce(0, +) > 500_000 && signal.annotations["summary"] == "short")
        #expect(signal.annotations["a7"]?.hasSuffix("[shortened from 120000 bytes]") == true)
    }

    @Test func tooManyAnnotationsAreLeftOutAndCounted() throws {
        let gate = try adapter(PrometheusAdapter.self)
        let many = (0..<300).map { #""a\#($0)":"x""# }.joined(separator: ",")
        let signal = try gate.one(alert(annotations: many))
        #expect(signal.annotations.entries.count == 256)
        #expect(signal.annotations["portcullis_annotations_left_out"] == "45")
        let name = String(repeating: "n", count: 2_000)
        let other = try gate.one(alert(annotations: #""\#(name)":"x","summary":"s""#))
        #expect(other.annotations["portcullis_annotations_left_out"] == "1" && other.annotations["summary"] == "s")
        let endless = (0..<5_000).map { #""a\#($0)":"x""# }.joined(separator: ",")
        let last = try gate.one(alert(annotations: endless))
        #expect(last.annotations["portcullis_annotations_left_out"] == "4745")
        #expect(
            try gate.reason(#"[{"labels":{\#(endless)}}]"#) == "labels: 5000 entries, 256 at most")
    }

    @Test func longLabelsRefuseAnAlert() throws {
        let long = String(repeating: "x", count: 20_000)
        #expect(
            try adapter(PrometheusAdapter.self).reason(#"[{"labels":{"a":"\#(long)"}}]"#)
                == "labels: label value of 20000 bytes, 16384 at most")
    }
}

extension ContinuousClock {
    /// Since 1970.
    fileprivate static var wall: Duration {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return .seconds(now.tv_sec) + .nanoseconds(now.tv_nsec)
    }
}
