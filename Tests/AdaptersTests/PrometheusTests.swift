import Adapters
import SignalKit
import TestSupport
import Testing

struct PrometheusTests {
    private let gate: PrometheusAdapter
    init() throws { gate = try adapter(PrometheusAdapter.self) }

    private func alert(_ startsAt: String?, _ endsAt: String?, labels: String = #"{"alertname":"A"}"#) -> String {
        var fields = [#""labels":\#(labels)"#]
        if let startsAt { fields.append(#""startsAt":"\#(startsAt)""#) }
        if let endsAt { fields.append(#""endsAt":"\#(endsAt)""#) }
        return "[{\(fields.joined(separator: ","))}]"
    }

    @Test func whatARealPrometheusSendsIsRead() throws {
        let received = try at("2026-11-23T20:41:49.700Z")
        let firing = try gate.one(Fixture.prometheusFiring, receivedAt: received)
        #expect(firing.status == .firing)
        #expect(firing.name == "AlwaysFiring")
        #expect(firing.target == Target(kind: "deployment", namespace: "shop", name: "checkout"))
        #expect(firing.endsAt == (try at("2026-11-23T20:41:57.632Z")))
        #expect(
            firing.identity.fields.map(\.name) == ["alertname", "deployment", "namespace", "prometheus", "severity"])
        let resolved = try gate.one(Fixture.prometheusResolved, receivedAt: received)
        #expect(resolved.status == .resolved)
        #expect(resolved.target == Target(kind: "node", namespace: nil, name: "ip-10-0-0-7.example.org"))
        #expect(resolved.annotations["summary"] == "This one ends")
    }

    @Test func whatAmtoolAddsFiresFromNowForFiveMinutes() throws {
        let signal = try gate.one(Fixture.amtoolAdd)
        #expect(signal.status == .firing)
        #expect(signal.startsAt == noon)
        #expect(signal.endsAt == noon.advanced(by: .minutes(5)))
        #expect(signal.labels["instance"] == "db-1.example.org")
    }

    @Test(arguments: [
        ("2026-08-01T12:04:00Z", Signal.Status.firing), ("2026-08-01T12:00:20Z", .firing),
        ("2026-08-01T12:00:00.001Z", .firing), ("2026-08-01T12:00:00Z", .resolved),
        ("2026-08-01T11:30:00Z", .resolved),
    ])
    func anEndInTheFutureIsFiringAndOneThatHasComeIsAResolve(_ endsAt: String, _ status: Signal.Status) throws {
        let signal = try gate.one(alert("2026-08-01T11:00:00Z", endsAt))
        #expect(signal.status == status)
        #expect(signal.endsAt == (try at(endsAt)))
    }

    /// vmalert with an interval of 5 s is 20 s ahead.
    @Test func aShortIntervalIsFiring() throws {
        let body = try Repository.text("Tests/AdaptersTests/Cases/vmalert-interval-5s.json")
        #expect(try gate.one(body, receivedAt: at("2026-12-01T09:32:03Z")).status == .firing)
        #expect(try gate.one(body, receivedAt: at("2026-12-01T09:32:24Z")).status == .resolved)
    }

    @Test func theKeySkewIsAnErrorThatSaysWhy() throws {
        var config = ConfigReader(mapping([("skew", .scalar("30s", plain: true))]), path: "adapters[0]")
        _ = try PrometheusAdapter(&config, .silent)
        config.finish()
        #expect(
            config.errors.map(\.message) == [
                "skew was removed: an endsAt in the future is firing, as in Alertmanager. Delete the key."
            ])
    }

    @Test func absentTimesAreReadAsAlertmanagerReadsThem() throws {
        for nothing in [nil, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00"] {
            let bare = try gate.one(alert(nothing, nothing))
            #expect(bare.status == .firing && bare.startsAt == noon)
            #expect(bare.endsAt == noon.advanced(by: .minutes(5)))
            let ended = try gate.one(alert(nothing, "2026-08-01T11:30:00Z"))
            #expect(ended.status == .resolved && ended.startsAt == ended.endsAt)
            let lasting = try gate.one(alert(nothing, "2026-08-01T12:30:00Z"))
            #expect(lasting.status == .firing && lasting.startsAt == noon)
        }
    }

    @Test func aStartAfterTheEndIsSetAside() throws {
        #expect(try gate.reason(alert("2026-08-01T11:00:01Z", "2026-08-01T11:00:00Z")) == "startsAt: after endsAt")
        #expect(try gate.reason(alert("2026-08-01T12:05:01Z", nil)) == "startsAt: after endsAt")
        #expect(try gate.one(alert("2026-08-01T11:00:00Z", "2026-08-01T11:00:00Z")).status == .resolved)
    }

    @Test func aBadAlertDoesNotSinkItsBatchAndReplaysAlone() throws {
        let body =
            #"[{"labels":{"alertname":"A"}},{"labels":{"alertname":"B"},"startsAt":"x"},{"labels":{"alertname":"C"}}]"#
        let decoded = try gate.decode(body)
        #expect(decoded.signals.map(\.name) == ["A", "C"])
        let item = try #require(decoded.rejected.first)
        #expect(item.index == 1 && item.reason == "startsAt: not an RFC 3339 time")
        #expect(String(decoding: item.replay, as: UTF8.self) == #"[{"labels":{"alertname":"B"},"startsAt":"x"}]"#)
    }

    @Test func anythingButAnArrayIsUnexpected() {
        for body in [#"{"alerts":[]}"#, "null", #""text""#, "17"] {
            #expect(gate.refusal(body)?.code == .unexpected, "\(body)")
        }
        #expect(gate.refusal("[")?.code == .malformed)
        #expect(gate.refusal(String(repeating: "[", count: 66) + String(repeating: "]", count: 66))?.code == .tooLarge)
    }

    @Test func anEmptyBatchHasNoSignals() throws {
        let decoded = try gate.decode("[]")
        #expect(decoded.signals.isEmpty && decoded.rejected.isEmpty)
    }
}
