import Adapters
import SignalKit
import TestSupport
import Testing

struct KubernetesEventsTests {
    private let all: KubernetesEventsAdapter
    private let warnings: KubernetesEventsAdapter
    init() throws {
        all = try adapter(KubernetesEventsAdapter.self, [("types", texts("*"))])
        warnings = try adapter(KubernetesEventsAdapter.self)
    }

    /// An event of core/v1; `fields` come before those that are usual.
    private func event(
        reason: String = "BackOff", type: String = "Warning", object: String? = nil, fields: String = ""
    ) -> String {
        let object = object ?? #"{"apiVersion":"v1","kind":"Pod","namespace":"shop","name":"p-1","uid":"u-1"}"#
        return #"{"kind":"Event","apiVersion":"v1",\#(fields)"metadata":{"name":"e"},"involvedObject":\#(object),"#
            + #""reason":"\#(reason)","message":"restarting","type":"\#(type)"}"#
    }

    @Test func bothKindsOfOneEventAreOneSignal() throws {
        for (core, new) in [
            (Fixture.eventCore, Fixture.eventCoreAsNew), (Fixture.eventNewAsCore, Fixture.eventNew),
        ] {
            let signal = try all.one(core)
            #expect(try all.one(new) == signal)
            #expect(signal.name == "Resized" && signal.status == .firing && signal.severity == "info")
            #expect(signal.target == Target(kind: "Widget", namespace: "demo", name: "w1"))
            #expect(signal.annotations["message"] == "size went from 2 to 3")
            #expect(signal.annotations["count"] == "1")
            // No event says when its problem is over: an hour after its last time, and never later than an hour from now.
            #expect(signal.endsAt == noon.advanced(by: .hours(1)))
        }
        let old = try all.one(Fixture.eventCore)
        #expect(old.startsAt == (try at("2026-11-23T04:14:03Z")))
        #expect(old.labels["component"] == "gateway" && old.labels["host"] == "h1")
        let new = try all.one(Fixture.eventNew)
        #expect(new.startsAt == (try at("2026-11-23T04:14:03.123Z")))
        #expect(new.labels["component"] == "example.test/gateway")
        // Both were about one object and one reason: one problem, though two events.
        #expect(old.identity == new.identity)
    }

    @Test func everyLineOfARealWatchIsRead() throws {
        var (signals, skipped) = (0, 0)
        for line in Fixture.eventWatch.split(separator: "\n") {
            let decoded = try all.decode(String(line))
            #expect(decoded.rejected.isEmpty && decoded.items == 1)
            signals += decoded.signals.count
            skipped += decoded.skipped
        }
        #expect(signals == 3 && skipped == 2)
        #expect(
            all.refusal(#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}"#)?.path == "object"
        )
        #expect(all.refusal(#"{"type":"OTHER","object":{}}"#)?.path == "type")
    }

    @Test func aListGivesItsItemsItsVersion() throws {
        let item =
            #"{"metadata":{},"regarding":{"kind":"Node","name":"n-1"},"reason":"NodeNotReady","type":"Warning","note":"gone"}"#
        let list = try warnings.decode(
            #"{"kind":"EventList","apiVersion":"events.k8s.io/v1","items":[\#(item),\#(event())]}"#)
        #expect(list.signals.map(\.name) == ["NodeNotReady", "BackOff"])
        #expect(list.signals.map(\.severity) == ["critical", "warning"])
        #expect(list.signals.first?.annotations["message"] == "gone")
        #expect(try warnings.decode(#"{"kind":"List","apiVersion":"v1","items":[]}"#).items == 0)
        #expect(try warnings.decode(#"{"kind":"List","apiVersion":"v1","items":[\#(event())]}"#).signals.count == 1)
    }

    @Test func repeatsAreCountedWhereverTheCountStands() throws {
        #expect(try warnings.one(event(fields: #""count":7,"#)).annotations["count"] == "7")
        let series = #""count":null,"series":{"count":30,"lastObservedTime":"2026-08-01T11:59:00.000000Z"},"#
        let signal = try warnings.one(event(fields: series))
        #expect(signal.annotations["count"] == "30")
        #expect(signal.annotations["last"] == "2026-08-01T11:59:00.000Z")
        let same = try warnings.one(event(fields: #""count":8,"#)).identity
        #expect(try warnings.one(event(fields: #""count":9,"#)).identity == same)
    }

    @Test func anotherObjectOrReasonIsAnotherProblem() throws {
        let one = try warnings.one(event()).identity
        for other in [
            event(reason: "Unhealthy"),
            event(object: #"{"apiVersion":"v1","kind":"Pod","namespace":"shop","name":"p-1","uid":"u-2"}"#),
            event(object: #"{"apiVersion":"v1","kind":"Pod","namespace":"till","name":"p-1","uid":"u-1"}"#),
            event(object: #"{"apiVersion":"apps/v1","kind":"Pod","namespace":"shop","name":"p-1","uid":"u-1"}"#),
        ] { #expect(try warnings.one(other).identity != one) }
    }

    @Test func whatIsNotAskedForIsSkipped() throws {
        #expect(try warnings.decode(event(type: "Normal")).skipped == 1)
        #expect(try warnings.decode(event(type: "")).skipped == 1)
        let some = try adapter(
            KubernetesEventsAdapter.self,
            [("reasons", texts("Failed*", "BackOff")), ("namespaces", texts("shop", "kube-?"))])
        #expect(try some.decode(event()).signals.count == 1)
        #expect(try some.decode(event(reason: "FailedMount")).signals.count == 1)
        #expect(try some.decode(event(reason: "Unhealthy")).skipped == 1)
        #expect(try some.decode(event(object: #"{"kind":"Pod","namespace":"kube-1","name":"p"}"#)).signals.count == 1)
        #expect(try some.decode(event(object: #"{"kind":"Pod","namespace":"other","name":"p"}"#)).skipped == 1)
        // A cluster's own objects have no namespace.
        #expect(try some.decode(event(object: #"{"kind":"Node","name":"n"}"#)).skipped == 1)
    }

    @Test func severitiesAreConfigurable() throws {
        let mine = try adapter(
            KubernetesEventsAdapter.self,
            [("severity", mapping([("Back*", .scalar("page", plain: true))]).content)])
        #expect(try mine.one(event()).severity == "page")
        #expect(try mine.one(event(reason: "OOMKilling")).severity == "critical")
        #expect(try mine.one(event(reason: "Whatever")).severity == "warning")
        var config = ConfigReader(mapping([("severity", texts("x"))]), path: "adapters[0]")
        _ = try KubernetesEventsAdapter(&config, .silent)
        #expect(config.errors.map(\.path) == ["adapters[0].severity"])
    }

    @Test(arguments: [
        (#"{"kind":"Event","apiVersion":"v1","reason":"x"}"#, "involvedObject: missing"),
        (#"{"kind":"Event","apiVersion":"v1","involvedObject":null,"reason":"x"}"#, "involvedObject: missing"),
        (#"{"kind":"Event","apiVersion":"v1","involvedObject":[],"reason":"x"}"#, "involvedObject: expected an object"),
        (#"{"kind":"Event","apiVersion":"events.k8s.io/v1","involvedObject":{},"reason":"x"}"#, "regarding: missing"),
        (
            #"{"kind":"Event","apiVersion":"v1","involvedObject":{"kind":"Pod"},"reason":"x"}"#,
            "involvedObject.name: missing"
        ),
        (
            #"{"kind":"Event","apiVersion":"v1","involvedObject":{"kind":"Pod","name":7},"reason":"x"}"#,
            "involvedObject.name: expected a string"
        ),
        (
            #"{"kind":"Event","apiVersion":"v1","involvedObject":{"kind":"Pod","name":"a","name":"b"},"reason":"x"}"#,
            "involvedObject: a field is given twice"
        ),
        (#"{"kind":"Event","apiVersion":"v1","involvedObject":{"kind":"Pod","name":"a"}}"#, "reason: missing"),
        (
            #"{"kind":"Event","apiVersion":"v1","involvedObject":{"kind":"Pod","name":"a"},"reason":"x","firstTimestamp":"soon"}"#,
            "firstTimestamp: not an RFC 3339 time"
        ),
        (#"{"kind":"Event","apiVersion":"v3"}"#, "apiVersion: neither v1 nor events.k8s.io/v1"),
        (#"{"kind":"Event","kind":"Event"}"#, "event: a field is given twice"),
    ])
    func whatCannotBeReadIsSetAsideWithItsReason(_ body: String, _ reason: String) throws {
        #expect(try all.reason(body) == reason)
        let list = try all.decode(#"{"kind":"EventList","apiVersion":"v1","items":[\#(event()),\#(body)]}"#)
        #expect(list.signals.count == 1)
        #expect(list.rejected.map(\.index) == [1])
        #expect(list.rejected.map(\.reason) == [reason])
    }

    @Test func nullTimesUnknownFieldsAndLongMessagesAreFine() throws {
        let fields = #""firstTimestamp":null,"lastTimestamp":null,"eventTime":null,"surprise":{"a":[1]},"#
        let signal = try warnings.one(event(fields: fields))
        #expect(signal.startsAt == nil && signal.annotations["last"] == nil)
        let long = String(repeating: "m", count: 64 << 10)
        let body = event().replacing("restarting", with: long)
        #expect(try warnings.one(body).annotations["message"] == long)
        let huge = event().replacing("restarting", with: String(repeating: "m", count: 2 << 20))
        let message = try warnings.one(#"{"type":"ADDED","object":\#(huge)}"#).annotations["message"]
        #expect(message?.hasSuffix("mmm… [shortened from 2097152 bytes]") == true)
    }

    @Test(arguments: [
        "[]", "7", #"{"kind":"Pod"}"#, "{}", #"{"kind":"EventList","items":{}}"#, #"{"kind":"EventList"}"#,
    ])
    func aBodyThatHoldsNoEventsIsRefused(_ body: String) throws {
        #expect(all.refusal(body)?.code == .unexpected)
    }

    // MARK: What real emitters and exporters post

    private func body(_ name: String) throws -> String { try Repository.text("Tests/AdaptersTests/Cases/\(name).json") }
    private func received() throws -> Timestamp { try at("2026-12-01T09:32:20Z") }

    @Test func aNodeIsOneProblemWhoeverReportsIt() throws {
        let kubelet = try all.one(body("kubelet"), receivedAt: received())
        let controller = try all.one(body("node-controller"), receivedAt: received())
        let detector = try all.one(
            event(reason: "NodeNotReady", object: #"{"kind":"Node","name":"worker-1"}"#), receivedAt: received())
        #expect(kubelet.identity == controller.identity && kubelet.identity == detector.identity)
        #expect(kubelet.identity.fields.map(\.name) == ["kind", "name", "reason"])
        // Another kind called so is another thing.
        let own = #"{"kind":"Node","apiVersion":"example.org/v1","name":"worker-1"}"#
        #expect(try all.one(event(reason: "NodeNotReady", object: own)).identity != kubelet.identity)
    }

    /// Events about them are in a namespace, `default`, and some reporters name it for the object too.
    @Test(arguments: ["Node", "Namespace", "PersistentVolume"])
    func anObjectWithoutNamespaceIsOneProblemWhateverTheEventSays(_ kind: String) throws {
        let plain = try all.one(event(object: #"{"kind":"\#(kind)","name":"n"}"#))
        #expect(plain.target == Target(kind: kind, namespace: nil, name: "n"))
        for fields in [
            #""namespace":"default""#, #""namespace":"default","apiVersion":"core/v1""#, #""apiVersion":"core/v1""#,
            #""apiVersion":"v1""#, #""apiVersion":"/v1""#, #""namespace":"","apiVersion":"""#,
        ] {
            let object = #"{"kind":"\#(kind)","name":"n",\#(fields)}"#
            #expect(try all.one(event(object: object)) == plain, "\(fields)")
            let other = try adapter(KubernetesEventsAdapter.self, [("namespaces", texts("default"))])
            #expect(try other.decode(event(object: object)).skipped == 1)
        }
        // Another group's kind of that name may have one.
        let own = #"{"kind":"\#(kind)","apiVersion":"example.org/v1","name":"n","namespace":"default"}"#
        #expect(try all.one(event(object: own)).target?.namespace == "default")
    }

    @Test func anObjectOfAnotherGroupWithoutNamespaceIsOneProblemToo() throws {
        for (kind, version) in [
            ("VolumeAttachment", "storage.k8s.io/v1"), ("CertificateSigningRequest", "certificates.k8s.io/v1"),
            ("ClusterRole", "rbac.authorization.k8s.io/v1"), ("NodeClaim", "karpenter.sh/v1"),
        ] {
            func signal(_ more: String) throws -> Signal {
                try all.one(
                    event(object: #"{"kind":"\#(kind)","apiVersion":"\#(version)","name":"n","uid":"u"\#(more)}"#))
            }
            #expect(try signal("") == signal(#","namespace":"default""#))
        }
    }

    @Test func theVersionOfAnAPIIsNoPartOfAProblem() throws {
        func identity(_ version: String) throws -> Identity {
            try all.one(
                event(object: #"{"apiVersion":"\#(version)","kind":"HPA","namespace":"s","name":"n","uid":"u"}"#)
            ).identity
        }
        #expect(try identity("autoscaling/v1") == identity("autoscaling/v2"))
        #expect(try identity("autoscaling/v1") != identity("other/v1"))
        #expect(try identity("v1") == identity(""))
        #expect(try identity("autoscaling/v2").fields.first { $0.name == "group" }?.value == "autoscaling")
    }

    @Test func whatIsNotAskedForNeedNotBeReadable() throws {
        let leader = try body("leaderelection-normal-noname")
        #expect(try warnings.decode(leader, receivedAt: received()).skipped == 1)
        let reasons = try all.decode(leader, receivedAt: received()).rejected.map(\.reason)
        #expect(reasons == ["involvedObject.name: missing"])
        let some = try adapter(
            KubernetesEventsAdapter.self, [("namespaces", texts("shop")), ("reasons", texts("BackOff"))])
        for skipped in [
            event(object: #"{"kind":7,"namespace":"other"}"#), event(reason: "Other", object: "{}"),
            event(type: "Normal", fields: #""count":"x","firstTimestamp":"soon","#),
            #"{"kind":"Event","apiVersion":"v9","type":"Normal","reason":7}"#,
        ] {
            let decoded = try some.decode(#"{"kind":"EventList","apiVersion":"v1","items":[\#(skipped)]}"#)
            #expect(decoded.skipped == 1 && decoded.rejected.isEmpty, "\(skipped)")
        }
        #expect(try some.decode(event(object: #"{"kind":7,"namespace":"shop"}"#)).rejected.count == 1)
    }

    @Test func anEventWithoutKindAndVersionIsKnownByItsObject() throws {
        let posted = try warnings.one(body("event-exporter"), receivedAt: received())
        #expect(posted.target == Target(kind: "Pod", namespace: "shop", name: "checkout-1"))
        #expect(posted.annotations["message"] == "0/3 nodes are available")
        let pod = #"{"kind":"Pod","name":"p"},"reason":"R","type":"Warning""#
        let regarding = #"{"metadata":{},"regarding":\#(pod),"note":"n"}"#
        let involved = #"{"kind":null,"apiVersion":"","involvedObject":\#(pod)}"#
        #expect(try warnings.one(regarding).annotations["message"] == "n")
        #expect(try warnings.one(regarding).identity == warnings.one(involved).identity)
        #expect(try warnings.one(#"{"type":"ADDED","object":\#(regarding)}"#).name == "R")
        #expect(try warnings.one(#"{"kind":"Event","regarding":\#(pod)}"#).name == "R")
        let list = try warnings.decode(#"{"kind":"List","apiVersion":"v1","items":[\#(regarding),\#(involved)]}"#)
        #expect(list.signals.count == 2 && list.rejected.isEmpty)
        for nothing in [#"{"reason":"R"}"#, #"{"involvedObject":"p"}"#, #"{"kind":"Pod","regarding":{}}"#] {
            #expect(all.refusal(nothing)?.path == "kind", "\(nothing)")
        }
        // Its replay is read the same.
        let unnamed = #"{"regarding":{"kind":"Pod"},"reason":"R","type":"Warning"}"#
        let bad = try #require(try warnings.decode(unnamed).rejected.first)
        let again = try warnings.decode(InboundRequest(body: bad.replay, receivedAt: noon))
        #expect(again.rejected.map(\.reason) == ["regarding.name: missing"])
    }

    // MARK: Ends

    @Test func anEventEndsAfterItsOwnLastTime() throws {
        let times = #""firstTimestamp":"2026-08-01T09:00:00Z","lastTimestamp":"2026-08-01T11:50:00Z","#
        #expect(try warnings.one(event(fields: times)).endsAt == (try at("2026-08-01T12:50:00Z")))
        let series =
            #""eventTime":"2026-08-01T10:30:00.5Z","series":{"count":3,"lastObservedTime":"2026-08-01T11:20:00Z"},"#
        #expect(try warnings.one(event(fields: series)).endsAt == (try at("2026-08-01T12:20:00Z")))
        let first = #""firstTimestamp":"2026-08-01T11:10:00Z","#
        #expect(try warnings.one(event(fields: first)).endsAt == (try at("2026-08-01T12:10:00Z")))
        #expect(try warnings.one(event()).endsAt == (try at("2026-08-01T13:00:00Z")))
        let brief = try adapter(KubernetesEventsAdapter.self, [("ends_after", .scalar("15m", plain: true))])
        #expect(try brief.one(event(fields: times)).endsAt == (try at("2026-08-01T12:05:00Z")))
    }

    @Test func anEventWhoseEndHasPassedIsSkipped() throws {
        func decoded(_ last: String) throws -> Decoded {
            try warnings.decode(event(fields: #""lastTimestamp":"\#(last)","#))
        }
        #expect(try decoded("2026-08-01T11:00:00Z").skipped == 1)
        #expect(try decoded("2026-08-01T11:00:00Z").rejected.isEmpty)
        #expect(try decoded("2026-08-01T11:00:01Z").signals.count == 1)
    }
}
