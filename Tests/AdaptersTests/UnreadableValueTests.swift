import Adapters
import SignalKit
import Testing

/// Bytes and numbers that JSON has no place for spoil at most the alert that they are in.
struct UnreadableValueTests {
    @Test func textThatIsNoUTF8SpoilsNoBody() throws {
        let bytes =
            Array(#"[{"labels":{"a":"caf"#.utf8) + [0xE9] + Array(#"\ud83d"},"x":1e400},{"labels":{"a":"b"}}]"#.utf8)
        let decoded = try adapter(PrometheusAdapter.self).decode(InboundRequest(body: bytes, receivedAt: noon))
        #expect(decoded.signals.map { $0.labels["a"] } == ["caf\u{FFFD}\u{FFFD}", "b"] && decoded.rejected.isEmpty)
    }

    /// In a field that nothing reads it says nothing; read, it spoils its own alert.
    @Test(arguments: ["18446744073709551616", "1e400", "-123456789012345678901234567890"])
    func aNumberThatNothingCanHoldSpoilsAtMostItsAlert(_ number: String) throws {
        let gate = try adapter(PrometheusAdapter.self)
        let decoded = try gate.decode(
            #"[{"labels":{"a":"1"},"x":{"y":[\#(number)]}},{"labels":{"a":\#(number)}},{"labels":{"a":"2"},"startsAt":\#(number)}]"#
        )
        #expect(decoded.signals.map { $0.labels["a"] } == ["1"])
        #expect(decoded.rejected.map(\.reason) == ["labels: a value is not a string", "startsAt: expected a string"])
        for item in decoded.rejected {
            let again = try gate.decode(InboundRequest(body: item.replay, receivedAt: noon))
            #expect(again.signals.isEmpty && again.rejected.map(\.reason) == [item.reason])
        }
        let hook = group(#"{"status":"firing","labels":{"a":"b"}}"#).dropLast() + #","groupKey":\#(number)}"#
        #expect(try adapter(AlertmanagerAdapter.self).one(String(hook)).labels["a"] == "b")
        let events = try adapter(KubernetesEventsAdapter.self)
        let event =
            #"{"kind":"Event","apiVersion":"v1","metadata":{"x":1e400},"involvedObject":{"kind":"Pod","name":"p"},"#
        let rest = #""reason":"BackOff","type":"Warning","count":"#
        #expect(try events.one(event + rest + "3}").annotations["count"] == "3")
        #expect(try events.reason(event + rest + number + "}") == "count: a number that is too large")
        #expect(
            try events.reason(event + #""series":{"count":\#(number)},"# + rest + "3}")
                == "series.count: a number that is too large")
    }
}
