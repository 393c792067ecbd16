import SignalKit
import Testing

@testable import Host

/// What the store keeps of a signal, and what comes back of it.
@Suite struct SignalDocumentTests {
    @Test func aSignalComesBackWithEverythingButItsIdentity() throws {
        let signal = try Signal(
            identity: Identity(family: "alert", fields: [.init("alertname", "A")]), name: "A \"quoted\"\n",
            status: .resolved,
            severity: "page", labels: Labels([.init("alertname", "A"), .init("ü", "\u{1}")]),
            annotations: Labels([.init("summary", "long")]), target: Target(kind: "pod", namespace: nil, name: "a.b"),
            startsAt: Timestamp(milliseconds: 1_795_400_000_123), endsAt: Timestamp(milliseconds: 1_795_400_060_000),
            link: "http://x/")
        let fingerprint = Fingerprint(signal.identity).description
        let back = try #require(SignalDocument.decode(SignalDocument.encode(signal), fingerprint: fingerprint))
        #expect(back.name == signal.name)
        #expect(back.status == signal.status)
        #expect(back.severity == signal.severity)
        #expect(back.labels == signal.labels)
        #expect(back.annotations == signal.annotations)
        #expect(back.target == signal.target)
        #expect(back.startsAt == signal.startsAt)
        #expect(back.endsAt == signal.endsAt)
        #expect(back.link == signal.link)
        #expect(back.identity.fields == [.init("sha256", fingerprint)])
    }

    @Test func whatIsUnknownIsLeftOut() throws {
        let signal = try Signal(
            identity: Identity(family: "alert", fields: [.init("a", "b")]), name: "A", status: .firing)
        #expect(
            String(decoding: SignalDocument.encode(signal), as: UTF8.self)
                == #"{"name":"A","status":"firing","labels":{},"annotations":{}}"#)
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"name":"A","status":"maybe","labels":{},"annotations":{}}"#,
        #"{"name":"A","status":"firing","labels":{"a":1},"annotations":{}}"#,
    ])
    func whatIsNoDocumentIsNone(_ text: String) {
        #expect(SignalDocument.decode(Array(text.utf8), fingerprint: "f") == nil)
    }
}
