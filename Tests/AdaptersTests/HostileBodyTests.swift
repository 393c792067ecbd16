import Adapters
import SignalKit
import Testing

/// Bodies that no honest sender posts: what they may cost is bounded before it is spent.
struct HostileBodyTests {
    /// A body of `count` items for each of the three adapters.
    private static func bodies(_ item: String, _ count: Int) -> [(any SignalAdapter.Type, String)] {
        let items = [String](repeating: item, count: count).joined(separator: ",")
        return [
            (PrometheusAdapter.self, "[\(items)]"),
            (AlertmanagerAdapter.self, #"{"version":"4","alerts":[\#(items)]}"#),
            (KubernetesEventsAdapter.self, #"{"kind":"EventList","apiVersion":"v1","items":[\#(items)]}"#),
        ]
    }

    private static func decode(_ type: any SignalAdapter.Type, _ body: String) throws -> Decoded {
        func decode<Adapter: SignalAdapter>(_ type: Adapter.Type) throws -> Decoded {
            let built: Adapter = try adapter(type)
            return try built.decode(body)
        }
        return try decode(type)
    }

    private static func refusal(_ type: any SignalAdapter.Type, _ body: String) throws -> AdapterError? {
        do {
            _ = try decode(type, body)
            return nil
        } catch let error as AdapterError {
            return error
        }
    }

    @Test(arguments: ["0", "{}", #""""#, "[0]", #"{"labels":{}}"#, #"{"labels":{"a":"b"},"status":"firing"}"#])
    func moreItemsThanABodyOfItsLengthMayHoldAreRefusedBeforeOneIsRead(_ item: String) throws {
        for (type, body) in Self.bodies(item, Decoded.Bounds.items + 1) {
            let error = try #require(try Self.refusal(type, body), "\(type.id)")
            #expect(error.code == .tooLarge)
            #expect(error.message.hasPrefix("20001 items in \(body.utf8.count) bytes, 20000 at most"), "\(type.id)")
        }
    }

    @Test func asManyUnreadableItemsAsABodyMayHoldAreSetAside() throws {
        for (type, body) in Self.bodies("0", Decoded.Bounds.items) {
            let decoded = try Self.decode(type, body)
            #expect(decoded.rejected.count == Decoded.Bounds.items, "\(type.id)")
        }
    }

    @Test func aLongBodyHoldsAnItemForEach512Bytes() throws {
        let item = #"{"labels":{"alertname":"A"},"annotations":{"d":"\#(String(repeating: "x", count: 480))"}}"#
        let (type, body) = Self.bodies(item, 21_000)[0]
        #expect(try Self.decode(type, body).signals.count == 21_000)
    }

    @Test func rejectedItemsHoldAboutAsMuchAsTheirBody() throws {
        for item in ["0", "{}", #"{"labels":{}}"#, #"{"labels":{"a":1}}"#] {
            for (type, body) in Self.bodies(item, 10_000) {
                let held = try Self.decode(type, body).rejected.reduce(0) {
                    $0 + $1.replay.capacity + $1.identity.capacity
                }
                #expect(held < body.utf8.count + 10_000 * 300, "\(type.id), \(item): \(held)")
            }
        }
    }

    @Test func aListsVersionIsNotCopiedIntoItsItems() throws {
        let adapter: KubernetesEventsAdapter = try adapter(KubernetesEventsAdapter.self)
        let items = [String](repeating: "0", count: 1_000).joined(separator: ",")
        for version in [#""v\#(String(repeating: "1", count: 65_536))""#, #""apps/v1""#, "1", "{}"] {
            let error = adapter.refusal(#"{"kind":"EventList","apiVersion":\#(version),"items":[\#(items)]}"#)
            #expect(error?.code == .unexpected)
            #expect(error?.path == "apiVersion")
        }
        for version in [#""v1""#, #""events.k8s.io/v1""#, #""""#, "null"] {
            let decoded = try adapter.decode(#"{"kind":"EventList","apiVersion":\#(version),"items":[\#(items)]}"#)
            #expect(decoded.rejected.count == 1_000)
            #expect(decoded.rejected.allSatisfy { $0.replay.count < 80 })
        }
        // An event's own version, however long, is there once.
        let own = #"{"kind":"Event","type":"Warning","apiVersion":"\#(String(repeating: "v", count: 9_000))"}"#
        #expect(try #require(try adapter.decode(own).rejected.first).replay.count < 9_200)
    }

    @Test func aSetOfLabelsOrFieldsIsCountedBeforeItIsRead() throws {
        let many = (0..<5_000).map { #""l\#($0)":"""# }.joined(separator: ",")
        let prometheus: PrometheusAdapter = try adapter(PrometheusAdapter.self)
        #expect(try prometheus.reason(#"[{"labels":{\#(many)}}]"#) == "labels: 5000 entries, 256 at most")
        let events: KubernetesEventsAdapter = try adapter(KubernetesEventsAdapter.self)
        #expect(try events.reason(#"{"kind":"Event","type":"Warning",\#(many)}"#) == "event: more than 1024 fields")
        #expect(
            try events.reason(
                #"{"kind":"Event","apiVersion":"v1","reason":"A","type":"Warning","involvedObject":{\#(many)}}"#)
                == "involvedObject: more than 1024 fields")
    }

    @Test func ofAnItemThatIsTooLongTheBeginningIsKept() throws {
        let value = String(repeating: "v", count: 1 << 20)
        let item = #"{"labels":{"alertname":"A","x":"\#(value)"},"status":"firing","type":"Warning"}"#
        for (type, body) in Self.bodies(item, 1) {
            let rejected = try #require(try Self.decode(type, body).rejected.first, "\(type.id)")
            #expect(rejected.replay.count == RejectedItem.Bounds.kept)
            #expect(try #require(rejected.cut).size > 1 << 20)
            #expect(rejected.identity.count < 1_100)
        }
    }
}

/// The same bad item is one dead letter, whatever its sender changes from repeat to repeat.
struct RejectedIdentityTests {
    private func identity(_ adapter: some SignalAdapter, _ text: String) throws -> String {
        let decoded = try adapter.decode(text)
        return String(decoding: try #require(decoded.rejected.first).identity, as: UTF8.self)
    }

    @Test func anAlertIsItsLabels() throws {
        let adapter: PrometheusAdapter = try adapter(PrometheusAdapter.self)
        let long = String(repeating: "x", count: 17_000)
        func body(_ end: String, _ value: String, _ more: String = "") -> String {
            #"[{"labels":{"alertname":"A","x":"\#(long)"},"annotations":{"value":"\#(value)"},"startsAt":"2026-08-01T11:00:00Z","endsAt":"\#(end)","generatorURL":"http://p/\#(value)"\#(more)}]"#
        }
        let first = try identity(adapter, body("2026-08-01T12:04:00Z", "93 %"))
        #expect(try identity(adapter, body("2026-08-01T12:05:00Z", "94 %")) == first)
        #expect(try identity(adapter, body("2026-08-01T11:59:00Z", "0 %", #","status":{"state":"active"}"#)) == first)
        #expect(try identity(adapter, body("x", "1").replacing("alertname", with: "alertName")) != first)
    }

    @Test func anAlertWithoutLabelsIsAllThatDoesNotMove() throws {
        let adapter: AlertmanagerAdapter = try adapter(AlertmanagerAdapter.self)
        let one = try identity(adapter, group(#"{"status":"firing","startsAt":"2026-08-01T11:00:00Z","team":"a"}"#))
        #expect(
            try identity(adapter, group(#"{"status":"resolved","endsAt":"2026-08-01T11:00:00Z","team":"a"}"#)) == one)
        #expect(try identity(adapter, group(#"{"status":"firing","team":"b"}"#)) != one)
    }

    @Test func anEventIsAllThatDoesNotMove() throws {
        let adapter: KubernetesEventsAdapter = try adapter(KubernetesEventsAdapter.self)
        func body(_ count: Int, object: String = "p-1") -> String {
            #"""
            {"kind":"Event","apiVersion":"v1","metadata":{"name":"e.\#(count)","namespace":"shop","resourceVersion":"\#(count)",
            "managedFields":[{"time":"2026-08-01T11:00:0\#(count)Z"}]},"involvedObject":{"name":"\#(object)"},"reason":"BackOff",
            "type":"Warning","message":"restarted \#(count) times","count":\#(count),"series":{"count":\#(count)},
            "firstTimestamp":"2026-08-01T11:00:00Z","lastTimestamp":"2026-08-01T11:00:0\#(count)Z"}
            """#
        }
        let first = try identity(adapter, body(1))
        #expect(try identity(adapter, body(2)) == first)
        #expect(first.contains("shop"))
        #expect(try identity(adapter, body(1, object: "p-2")) != first)
    }
}
