import SignalKit
import Testing

/// The code that `body` throws, nil when it throws nothing.
private func code(_ body: () throws(SignalError) -> Void) -> SignalError.Code? {
    do {
        try body()
        return nil
    } catch {
        return error.code
    }
}

private func text(_ bytes: Int) -> String { String(repeating: "x", count: bytes) }

struct IdentityTests {
    @Test func theOrderInWhichFieldsAreGivenIsNotIdentity() throws {
        let one = try Identity(family: "alert", fields: [.init("b", "2"), .init("a", "1"), .init("B", "3")])
        let other = try Identity(family: "alert", fields: [.init("B", "3"), .init("a", "1"), .init("b", "2")])
        #expect(one == other)
        #expect(one.fields.map(\.name) == ["B", "a", "b"])
        #expect(try one != Identity(family: "event", fields: one.fields))
    }

    @Test func anIdentityOfNothingIsRefused() {
        #expect(code { () throws(SignalError) in _ = try Identity(family: "alert", fields: []) } == .noIdentity)
        #expect(
            code { () throws(SignalError) in _ = try Identity(family: "", fields: [.init("a", "b")]) } == .noIdentity)
    }

    @Test func aFieldGivenTwiceIsRefusedWithoutItsName() {
        do {
            _ = try Identity(family: "alert", fields: [.init("secret", "1"), .init("b", "2"), .init("secret", "1")])
            Issue.record("nothing was thrown")
        } catch {
            #expect(error.code == .duplicateLabel)
            #expect(!error.message.contains("secret"))
        }
    }

    @Test func anOversizedIdentityIsRefused() {
        let fields = (0...Signal.Bounds.labels).map { Identity.Field("f\($0)", "") }
        #expect(code { () throws(SignalError) in _ = try Identity(family: "a", fields: fields) } == .tooLarge)
        #expect(code { () throws(SignalError) in _ = try Identity(family: "a", fields: fields.dropLast()) } == nil)
        let long = Identity.Field("f", text(Signal.Bounds.labelValue + 1))
        #expect(code { () throws(SignalError) in _ = try Identity(family: "a", fields: [long]) } == .tooLarge)
        #expect(
            code { () throws(SignalError) in _ = try Identity(family: text(64), fields: [.init("a", "b")]) }
                == .tooLarge)
    }
}

struct LabelsTests {
    @Test func labelsAreSortedByTheirBytesAndFoundByName() throws {
        let labels = try Labels([.init("é", "4"), .init("b", "3"), .init("B", "1"), .init("_", "2")])
        #expect(labels.entries.map(\.name) == ["B", "_", "b", "é"])
        #expect(labels["b"] == "3")
        #expect(labels["c"] == nil)
    }

    @Test func namesThatDifferInBytesDiffer() throws {
        #expect(try Labels([.init("e\u{301}", "1"), .init("\u{e9}", "2")]).entries.count == 2)
    }

    @Test func aNameThatOccursTwiceIsRefusedWhereverItStands() {
        for order in [["a", "a", "b"], ["a", "b", "a"], ["b", "a", "a"]] {
            let entries = order.map { Labels.Entry($0, "v") }
            #expect(code { () throws(SignalError) in _ = try Labels(entries) } == .duplicateLabel)
        }
    }

    @Test func everyBoundHoldsToTheByte() {
        func refused(_ entries: [Labels.Entry], longestValue: Int = Signal.Bounds.labelValue) -> SignalError.Code? {
            code { () throws(SignalError) in _ = try Labels(entries, longestValue: longestValue) }
        }
        #expect(refused([.init("", "v")]) == .badLabel)
        #expect(refused([.init(text(1_024), "v")]) == nil)
        #expect(refused([.init(text(1_025), "v")]) == .badLabel)
        #expect(refused([.init("a", text(16_384))]) == nil)
        #expect(refused([.init("a", text(16_385))]) == .tooLarge)
        #expect(refused([.init("a", text(131_072))], longestValue: Signal.Bounds.annotationValue) == nil)
        #expect(refused((0..<256).map { .init("n\($0)", "") }) == nil)
        #expect(refused((0...256).map { .init("n\($0)", "") }) == .tooLarge)
    }
}

struct SignalTests {
    private let identity: Identity
    init() throws { identity = try Identity(family: "alert", fields: [.init("a", "b")]) }

    private func refused(
        name: String = "n", severity: String? = nil, labels: Labels = .empty, annotations: Labels = .empty,
        target: Target? = nil, link: String? = nil
    ) -> SignalError.Code? {
        code { () throws(SignalError) in
            _ = try Signal(
                identity: identity, name: name, status: .firing, severity: severity, labels: labels,
                annotations: annotations, target: target, link: link)
        }
    }

    @Test func everyBoundHoldsToTheByte() throws {
        #expect(refused(name: "") == .badName)
        #expect(refused(name: text(1_024)) == nil)
        #expect(refused(name: text(1_025)) == .badName)
        #expect(refused(link: text(8_192)) == nil)
        #expect(refused(link: text(8_193)) == .tooLarge)
        #expect(refused(severity: text(16_385)) == .tooLarge)
        #expect(refused(target: Target(kind: "pod", namespace: nil, name: text(16_385))) == .tooLarge)
        #expect(refused(target: Target(kind: "pod", namespace: text(16_385), name: "p")) == .tooLarge)
    }

    @Test func labelsAndAnnotationsTogetherAreBounded() throws {
        // 31 of (4 + 16 384) + 4 + 16 256 = 524 288 bytes
        var entries = (0..<31).map { Labels.Entry("n\(100 + $0)", text(16_384)) }
        entries.append(.init("last", text(16_256)))
        #expect(refused(labels: try Labels(entries)) == nil)
        #expect(refused(labels: try Labels(entries), annotations: try Labels([.init("a", "")])) == .tooLarge)
    }

    @Test func aLabelIsAddedOrReplaced() throws {
        let signal = try Signal(
            identity: identity, name: "n", status: .firing, labels: Labels([.init("a", "1"), .init("c", "3")]))
        #expect(try signal.labelled("b", "2").labels.entries.map(\.value) == ["1", "2", "3"])
        #expect(try signal.labelled("a", "2").labels.entries.map(\.value) == ["2", "3"])
        #expect(try signal.labelled("a", "2").identity == signal.identity)
    }
}

struct PluginIDTests {
    @Test func anIdIsADNSLabelThatStartsWithALetter() {
        for good in ["alertmanager", "kubernetes-events-2", "a", String(repeating: "a", count: 63)] {
            #expect(PluginID(good)?.description == good)
        }
        for bad in ["", "Prometheus", "2fast", "-a", "a_b", "a.b", "é", "a b", String(repeating: "a", count: 64)] {
            #expect(PluginID(bad) == nil, "\(bad)")
        }
    }
}
