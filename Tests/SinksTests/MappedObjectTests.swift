import JSON
import SignalKit
import TestAPIServer
import TestSupport
import Testing
import Yams

@testable import Sinks

/// Any other kind than `Signal`, by a mapping: here the one of examples/kubernetes/remediation.yaml.
struct MappedObjectTests {
    private static let name = "sig-abababababababab-1"
    /// Of the spec in kubernaut's config/crd/bases/kubernaut.ai_remediationrequests.yaml.
    private static let required: Set<String> = [
        "firingTime", "receivedTime", "severity", "signalFingerprint", "signalName", "signalType", "targetResource",
        "targetType",
    ]
    private static let optional: Set<String> = [
        "clusterID", "originalPayload", "providerData", "signalAnnotations", "signalLabels", "signalSource",
    ]
    private let rig: ObjectRig
    private let sink: KubernetesObjects

    init() async throws {
        rig = try await ObjectRig()
        sink = try rig.sink(more: Self.example())
    }

    /// The keys that the example's sink has beside those of every test.
    private static func example() throws -> [(String, ConfigNode)] {
        let text = try Repository.text("examples/kubernetes/remediation.yaml")
        let sink = try #require(try Yams.compose(yaml: text)?["sinks"]?.sequence?.first?.mapping)
        return sink.compactMap { key, value in
            guard let key = key.string, ["resource", "object", "completed"].contains(key) else { return nil }
            return (key, node(value))
        }
    }

    private static func node(_ node: Node) -> ConfigNode {
        let mark = ConfigMark(line: node.mark?.line ?? 1, column: node.mark?.column ?? 1)
        switch node {
        case .scalar(let scalar):
            let isPlain = scalar.style == .plain || scalar.style == .any
            return ConfigNode(.scalar(scalar.string, plain: isPlain), mark: mark)
        case .sequence(let items): return ConfigNode(.list(items.map(Self.node)), mark: mark)
        case .mapping(let members):
            return ConfigNode(
                .map(members.map { .init(key: $0.key.string ?? "", mark: mark, value: Self.node($0.value)) }),
                mark: mark)
        case .alias: return ConfigNode(.null, mark: mark)
        }
    }

    @Test func aDeliveryBecomesAnObjectOfTheMappedKind() async throws {
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        let object = try #require(rig.server.objects("remediationrequests")[Self.name])
        #expect(object["kind"]?.text == "RemediationRequest")
        #expect(object["apiVersion"]?.text == "kubernaut.ai/v1alpha1")
        let spec = try #require(object["spec"])
        #expect(spec["signalFingerprint"]?.text == ObjectRig.fingerprint)
        #expect(spec["signalName"]?.text == "A" && spec["severity"]?.text == "critical")
        #expect(spec["targetResource"]?["name"]?.text == "p.1")
        #expect(spec["signalLabels"]?["alertname"]?.text == "A")
        // Text is never made into structure.
        #expect(spec["signalAnnotations"]?["summary"]?.text == "\"it\" is full")
        // The API server refuses a field that the kind does not have, and an object that lacks a required one.
        guard case .object(let fields) = spec else { throw TestFailure("no spec") }
        #expect(Set(fields.keys).isSubset(of: Self.required.union(Self.optional)))
        #expect(Self.required.isSubset(of: fields.keys))
        let notes = object["metadata"]?["annotations"]
        #expect(notes?["portcullis.dev/state"]?.text == "firing" && notes?["portcullis.dev/version"]?.text == "5")
        #expect(
            object["metadata"]?["labels"]?["portcullis.dev/fingerprint"]?.text
                == String(ObjectRig.fingerprint.prefix(40)))
    }

    @Test func theSameRulesHold() async throws {
        let kind = "remediationrequests"
        func states() -> [String] {
            rig.server.objects(kind).sorted { $0.key < $1.key }.map { name, object in
                let notes = object["metadata"]?["annotations"]
                return "\(name.suffix(1)) \(notes?["portcullis.dev/state"]?.text ?? "-") "
                    + "\(notes?["portcullis.dev/episode"]?.text ?? "-")"
            }
        }
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        // Redis emptied: adopted.
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 50, 50))
        #expect(states() == ["1 firing 50"])
        let spec = rig.server.objects(kind)[Self.name]?["spec"]
        // Completed by its consumer: the next episode has an object of its own.
        rig.server.patch(kind, Self.name, status: ["overallPhase": "Completed"])
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 50, 55, count: 7, isUpdate: true))
        #expect(states() == ["1 firing 50"])
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 60, 60, follows: 50, startsAt: 5_000))
        #expect(states() == ["1 firing 50", "2 firing 60"])
        try await rig.deliver(sink, ObjectRig.delivery(.resolved, 60, 61, isUpdate: true))
        #expect(states() == ["1 firing 50", "2 resolved 60"])
        // What the kind's maker owns was written once.
        #expect(rig.server.objects(kind)[Self.name]?["spec"] == spec)
        #expect(rig.server.objects(kind)[Self.name]?["status"]?["overallPhase"]?.text == "Completed")
    }

    @Test(arguments: ["Completed", "Failed", "TimedOut", "Skipped", "Cancelled"])
    func everyFinalPhaseOfTheExamplesKindIsTheEndOfTheWork(_ phase: String) async throws {
        let kind = "remediationrequests"
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        rig.server.patch(kind, Self.name, status: ["overallPhase": .string(phase)])
        // The store was emptied: the problem is known to be dealt with.
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 50, 50))
        #expect(rig.server.objects(kind).count == 1)
        let notes = rig.server.objects(kind)[Self.name]?["metadata"]?["annotations"]
        #expect(notes?["portcullis.dev/episode"]?.text == "5")
    }

    @Test func whatWasDeletedBetweenALookAndItsUpdateIsNotMadeAgain() async throws {
        let kind = "remediationrequests"
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5))
        let seen = rig.server.objects(kind)
        rig.server.fail("PATCH", kind, .reset, count: 2)
        let late = try ObjectRig.delivery(.firing, 5, 6, isUpdate: true)
        #expect(await rig.failure(sink, late)?.retryable == true)
        rig.server.delete(kind, Self.name)
        try await rig.deliver(sink, late)
        #expect(rig.server.objects(kind).isEmpty && seen.count == 1)
        // Applying without the uid that was seen would make it again, as a real server does.
        let patch = rig.server.requests.last { $0.method == "PATCH" }
        let body = try JSONDocument.parse(try #require(patch?.body))
        #expect(body.root["metadata"]?["uid"]?.string == seen[Self.name]?["metadata"]?["uid"]?.text)
    }

    @Test(arguments: [
        ("$name", "is no path"), ("$.nobody", "nothing of a delivery is called nobody"),
        ("$.labels[app]", "is no path"),
    ])
    func aPathThatCannotBeIsToldAtOnce(_ text: String, _ words: String) throws {
        let mark = ConfigMark(line: 7, column: 3)
        func scalar(_ text: String) -> ConfigNode { ConfigNode(.scalar(text, plain: true), mark: mark) }
        let object = ConfigNode(
            .map([
                .init(key: "apiVersion", mark: mark, value: scalar("a/v1")),
                .init(key: "kind", mark: mark, value: scalar("K")),
                .init(key: "spec", mark: mark, value: scalar(text)),
            ]), mark: mark)
        let failure = #expect(throws: ConfigError.self) {
            try rig.sink(more: [("object", object), ("resource", scalar("ks"))])
        }
        #expect(failure?.message.contains(words) == true && failure?.message.contains("line 7") == true)
    }

    @Test func textsThatBeginWithADollarAndNumbersStayWhatTheyAre() {
        let mark = ConfigMark(line: 1, column: 1)
        func node(_ text: String, _ plain: Bool) -> ConfigNode { ConfigNode(.scalar(text, plain: plain), mark: mark) }
        let list = ConfigNode(
            .list([
                node("$$.name", true), node("7", true), node("7", false), node("true", true), node("x", true),
                node(#"$.labels["a.b/c"]"#, false), node("$.labels.none", true),
            ]), mark: mark)
        let filled = ObjectTemplate(list) { _, fault in Issue.record("\(fault)") }
            .filled(["labels": ["a.b/c": "v"]])
        #expect(filled == ["$.name", 7, "7", true, "x", "v"])
    }
}
