import SignalKit
import Testing

@testable import Host

@Suite struct FingerprintTests {
    private func fingerprint(_ fields: (String, String)...) throws -> String {
        try Fingerprint(Identity(family: "alert", fields: fields.map { .init($0.0, $0.1) })).description
    }

    @Test func theOrderOfTheLabelsDoesNotMatter() throws {
        #expect(try fingerprint(("a", "1"), ("b", "2")) == fingerprint(("b", "2"), ("a", "1")))
    }

    @Test func noSeparatorInAValueMakesTwoProblemsOne() throws {
        let readings = try [
            fingerprint(("a", "b"), ("c", "d")), fingerprint(("a", "b,c=d")), fingerprint(("a", "bcd")),
            fingerprint(("ab", "cd")), fingerprint(("a", "b\u{0}c\u{0}d")),
        ]
        #expect(Set(readings).count == readings.count)
    }

    @Test func familiesDoNotCollide() throws {
        let alert = try Fingerprint(Identity(family: "alert", fields: [.init("a", "1")]))
        let event = try Fingerprint(Identity(family: "event", fields: [.init("a", "1")]))
        #expect(alert != event)
    }

    /// A fingerprint is a key in stores that outlive a release: this value must never change.
    @Test func theFingerprintOfAKnownIdentityIsPinned() throws {
        // printf of family, name, value, each after its length as 8 little-endian bytes, through sha256sum
        #expect(
            try fingerprint(("alertname", "HighMemoryUsage"))
                == "a20d940ac82c0315778d5f064f9138e17558f5140983b9bc7d52a668d2b3c1c8")
    }

    @Test func hexReadsBackWhatItWrote() {
        let bytes = (0...255).map { UInt8($0) }
        #expect(Hex.bytes(Hex.text(bytes)) == bytes)
        #expect(Hex.bytes("abc") == nil)
        #expect(Hex.bytes("zz") == nil)
    }
}
