import Glibc
import JSON
import SignalKit
import TestAPIServer
import TestSupport
import Testing

@testable import Sinks

/// `ttl:` of the sink.
struct FinishedSignalsTests {
    private static let signals = "/apis/portcullis.dev/v1alpha1/namespaces/gate/signals"
    private let rig: ObjectRig

    init() async throws { rig = try await ObjectRig() }

    private func scalar(_ text: String) -> ConfigNode {
        ConfigNode(.scalar(text, plain: true), mark: ConfigMark(line: 1, column: 1))
    }

    private func make(
        _ name: String, _ state: String, lastSeen: Timestamp, resolvedAt: Timestamp? = nil, owner: String? = "us"
    ) {
        var metadata: JSONTree = ["name": .string(name)]
        if let owner { metadata["labels"] = ["portcullis.dev/owner": .string(owner)] }
        rig.server.create(
            Self.signals,
            [
                "kind": "Signal", "apiVersion": "portcullis.dev/v1alpha1", "metadata": metadata,
                "spec": ["fingerprint": .string(ObjectRig.fingerprint), "episode": "5"],
            ])
        var status: JSONTree = ["state": .string(state), "lastSeen": .string(lastSeen.description)]
        status["resolvedAt"] = resolvedAt.map { .string($0.description) }
        rig.server.patch("signals", name, status: status)
    }

    @Test func signalsThatWereResolvedLongAgoAreDeletedAndNothingElse() async throws {
        let now = Timestamp(milliseconds: Int64(time(nil)) * 1_000)
        let old = now.advanced(by: .hours(-2))
        for number in 0..<60 { make("old-\(number)", "resolved", lastSeen: old) }
        make("storm-old", "resolved", lastSeen: old)
        make("firing", "firing", lastSeen: old)
        make("open", "open", lastSeen: old)
        make("closed", "closed", lastSeen: old)
        make("young", "resolved", lastSeen: now)
        make("ended-lately", "resolved", lastSeen: old, resolvedAt: now)
        rig.server.create(Self.signals, ["kind": "Signal", "metadata": ["name": "foreign"]])
        make("theirs", "resolved", lastSeen: old, owner: "them")
        make("unowned", "resolved", lastSeen: old, owner: nil)
        let sink = try rig.sink(more: [("ttl", scalar("1h")), ("owner", scalar("us"))])
        let running = Task { await sink.maintain() }
        defer { running.cancel() }
        let kept = ["closed", "ended-lately", "firing", "foreign", "open", "theirs", "unowned", "young"]
        try await eventually("the old ones gone") { rig.server.objects("signals").keys.sorted() == kept }
        let deletions = rig.server.requests.filter { $0.method == "DELETE" }
        #expect(deletions.count == 61)
        #expect(
            deletions.allSatisfy { request in
                let options = (try? JSONDocument.parse(request.body))?.root["preconditions"]
                return options?["uid"]?.string != nil && options?["resourceVersion"]?.string != nil
            })
        #expect(rig.server.requests.filter { $0.method == "GET" }.allSatisfy { $0.query["limit"] == "50" })
    }

    @Test func oneThatChangedSinceItWasSeenIsKept() async throws {
        let old = Timestamp(milliseconds: 0)
        make("a", "resolved", lastSeen: old)
        rig.server.fail("DELETE", "signals", .answer(.failure(409, "Conflict", "the resourceVersion differs")))
        make("b", "resolved", lastSeen: old)
        let sink = try rig.sink(more: [("ttl", scalar("1m")), ("owner", scalar("us"))])
        let running = Task { await sink.maintain() }
        defer { running.cancel() }
        try await eventually("the other one gone") { rig.server.objects("signals").count == 1 }
    }

    @Test func withoutItNothingIsDeleted() async throws {
        make("a", "resolved", lastSeen: Timestamp(milliseconds: 0))
        await (try rig.sink()).maintain()
        #expect(rig.server.requests.isEmpty)
    }

    @Test(arguments: [("30s", "1m"), ("9000h", "out of bounds")])
    func anotherTimeIsAnError(_ text: String, _ words: String) {
        let failure = #expect(throws: ConfigError.self) {
            try rig.sink(more: [("ttl", scalar(text)), ("owner", scalar("us"))])
        }
        #expect(failure?.message.contains(words) == true)
    }

    /// Two installations share a namespace, and each of them deletes its own.
    @Test func eachInstallationDeletesWhatItMade() async throws {
        let ours = try rig.sink(more: [("ttl", scalar("1m")), ("owner", scalar("us"))])
        let theirs = try rig.sink(more: [("ttl", scalar("1m")), ("owner", scalar("them"))])
        let other = String(repeating: "ef", count: 32)
        for (sink, fingerprint) in [(ours, ObjectRig.fingerprint), (theirs, other)] {
            try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5, fingerprint: fingerprint))
            try await rig.deliver(sink, ObjectRig.delivery(.resolved, 5, 6, fingerprint: fingerprint))
        }
        #expect(rig.server.objects("signals").count == 2)
        let running = Task { await ours.maintain() }
        defer { running.cancel() }
        try await eventually("ours gone") { rig.server.objects("signals").count == 1 }
        #expect(rig.server.objects("signals").values.first?["spec"]?["fingerprint"]?.text == other)
    }

    @Test(arguments: ["", "a b", "-a", "a=b"])
    func anOwnerThatIsNoLabelsValueIsAnError(_ owner: String) {
        let failure = #expect(throws: ConfigError.self) { try rig.sink(more: [("owner", scalar(owner))]) }
        #expect(failure?.path.contains("owner") == true)
    }

    @Test func withoutAnOwnerSignalsWithoutOneAreDeleted() async throws {
        let old = Timestamp(milliseconds: 1_000)
        make("theirs", "resolved", lastSeen: old, owner: "them")
        make("unowned", "resolved", lastSeen: old, owner: nil)
        let sink = try rig.sink(more: [("ttl", scalar("1m"))])
        let running = Task { await sink.maintain() }
        defer { running.cancel() }
        try await eventually("one gone") { rig.server.objects("signals").count == 1 }
        let label = rig.server.objects("signals").values.first?["metadata"]?["labels"]?["portcullis.dev/owner"]?.text
        #expect(label == "them")
    }
}
