import JSON
import SignalKit
import TestAPIServer
import TestSupport
import Testing

@testable import Sinks

/// What can't be stored is shortened, or refused before it is sent.
struct StoredSizeTests {
    private let rig: ObjectRig
    init() async throws { rig = try await ObjectRig() }

    @Test(arguments: [
        ("abc", 5), ("<", 8), ("&>", 14), ("\"", 4), ("\\", 4), ("\n", 4), ("\u{1}", 8), ("ä", 4), ("\u{2028}", 8),
        ("\u{2029}x", 9), ("\u{20A8}", 5),
    ])
    func aTextIsCountedAsGoWritesIt(_ text: String, _ bytes: Int) { #expect(StoredSize.bytes(text) == bytes) }

    /// Four annotations of 130 kB of `<` are within what is taken in, and would be 3.1 MB in etcd.
    @Test func annotationsThatEtcdDoesNotHoldAreShortenedAndMarked() async throws {
        let sink = try rig.sink()
        let annotations = (0..<4).map { Labels.Entry("a\($0)", String(repeating: "<", count: 130_000)) }
        try await rig.deliver(
            sink, ObjectRig.delivery(.firing, 5, 5, annotations: annotations + [.init("summary", "kept")]))
        let object = try #require(rig.server.objects("signals").values.first)
        #expect(object["spec"]?["annotations"]?["summary"]?.text == "kept")
        let cut = try #require(object["spec"]?["annotations"]?["a0"]?.text)
        #expect(cut.hasPrefix("<<<") && cut.hasSuffix("… (shortened, 130000 bytes)"))
        #expect(StoredSize.bytes(object) <= 1_536 << 10)
        #expect(cut.utf8.count > 30_000, "no shorter than it must be, within a factor of two")
    }

    @Test func aCharacterIsNeverCutInHalf() throws {
        var short = ShortenedAnnotations(try Labels([.init("a", "x" + String(repeating: "ä", count: 400))]))
        let first = short.shorten()
        #expect(first)
        #expect(short.values["a"] == "x" + String(repeating: "ä", count: 199) + "… (shortened, 801 bytes)")
        while short.shorten() {}
        #expect((short.values["a"] ?? "").utf8.count < 256)
    }

    @Test func labelsThatEtcdDoesNotHoldAreADeadLetterBeforeTheyAreSent() async throws {
        let sink = try rig.sink()
        let labels = (0..<30).map { Labels.Entry("l\($0)", String(repeating: "<", count: 16_000)) }
        let signal = try Signal(
            identity: Identity(family: "alert", fields: [.init("alertname", "A")]), name: "A", status: .firing,
            severity: nil, labels: Labels(labels), annotations: .empty, target: nil, startsAt: nil)
        let delivery = Delivery(
            id: "x", kind: .signal, state: .firing, fingerprint: ObjectRig.fingerprint, episode: 5, version: 5,
            follows: nil, count: 1, first: Timestamp(milliseconds: 5), last: Timestamp(milliseconds: 5), reason: nil,
            signal: signal, storm: nil, json: [])
        let error = await rig.failure(sink, delivery)
        #expect(error?.code == .invalid && error?.retryable == false)
        #expect(error?.message.contains("bytes in etcd") == true)
        #expect(rig.server.requests.allSatisfy { $0.method == "GET" })
    }

    /// Kubernetes stores 256 KiB of annotations of an object's metadata.
    @Test func annotationsOfAnotherKindsMetadataAreShortenedToo() async throws {
        let mark = ConfigMark(line: 1, column: 1)
        func text(_ value: String) -> ConfigNode { ConfigNode(.scalar(value, plain: true), mark: mark) }
        func map(_ entries: [(String, ConfigNode)]) -> ConfigNode {
            ConfigNode(.map(entries.map { .init(key: $0.0, mark: mark, value: $0.1) }), mark: mark)
        }
        let object = map([
            ("apiVersion", text("example.test/v1")), ("kind", text("Widget")),
            ("metadata", map([("annotations", text("$.annotations"))])),
        ])
        let sink = try rig.sink(more: [("resource", text("widgets")), ("object", object)])
        let annotations = (0..<4).map { Labels.Entry("a\($0)", String(repeating: "x", count: 100_000)) }
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5, annotations: annotations))
        let made = try #require(rig.server.objects("widgets").values.first)
        guard case .object(let kept)? = made["metadata"]?["annotations"] else { throw TestFailure("no annotations") }
        #expect(kept.reduce(0) { $0 + $1.key.utf8.count + ($1.value.text?.utf8.count ?? 0) } <= 256 << 10)
        #expect(kept["a0"]?.text?.hasSuffix("… (shortened, 100000 bytes)") == true)
    }

    @Test func aStormListsNoMoreThanEtcdHolds() throws {
        let members = (0..<2_000).map { number in
            StormMember(
                fingerprint: ObjectRig.fingerprint, episode: Int64(number), name: String(repeating: "<", count: 400),
                target: nil, firing: true)
        }
        let storm = Storm(id: "s", group: [], members: 2_000, firing: 2_000, listed: members)
        let delivery = Delivery(
            id: "s", kind: .storm, state: .open, fingerprint: "s", episode: 1, version: 1, follows: nil, count: 2_000,
            first: Timestamp(milliseconds: 1), last: Timestamp(milliseconds: 1), reason: nil, signal: nil, storm: storm,
            json: [])
        let seen = SeenObject(
            name: "s", uid: "u", resourceVersion: "1", fingerprint: "s", episode: 1, version: 0, startsAt: nil,
            lastSeen: nil, resolvedAt: nil, isResolved: false, endedByItself: false, isCompleted: false, written: [:])
        let change = try #require(SignalObject().changes(by: delivery, of: seen).first)
        #expect(StoredSize.bytes(.object(change.fields)) <= 300 << 10)
        #expect(change.fields["status"]?["storm"]?["members"] == .integer(2_000))
    }
}
