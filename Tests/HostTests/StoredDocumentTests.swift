import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// What waits for a sink is stored small, and told as it was.
@Suite struct StoredDocumentTests {
    private typealias Rig = GateRig

    private static let document = Array(
        (#"{"name":"A","labels":{"#
            + (0..<30).map { #""label_number_\#($0)":"value number \#($0)""# }.joined(separator: ",") + "}}").utf8)

    @Test func itIsSmallerAndComesBack() {
        let stored = StoredDocument.pack(Self.document)
        #expect(stored.count * 2 < Self.document.count)
        #expect(StoredDocument.unpack(stored) == Self.document)
    }

    @Test func whatGainsNothingIsLeftAsItIs() {
        for document in ["{}", "", #"{"name":"A","status":"firing"}"#].map({ Array($0.utf8) }) {
            #expect(StoredDocument.pack(document) == document)
            #expect(StoredDocument.unpack(document) == document)
        }
    }

    @Test func whatIsCutOrChangedIsNoDocument() {
        let stored = StoredDocument.pack(Self.document)
        for end in 1..<stored.count { #expect(StoredDocument.unpack(Array(stored[..<end])) == nil, "\(end)") }
        for wrong: UInt8 in [0, 255] {
            var other = stored
            other[4] = 127
            #expect(StoredDocument.unpack(other) == nil)
            other = stored
            other[1] = other[1] == wrong ? 7 : wrong
            #expect(StoredDocument.unpack(other) == nil)
        }
        #expect(StoredDocument.unpack([1]) == nil)
    }

    @Test func aSinkIsToldTheSame_AndSoIsAnOperator() async throws {
        let rig = try await Rig(sinks: [("file", .refuse), ("other", .refuse)])
        let signal = try Rig.signal(note: String(repeating: "words that come again, ", count: 50))
        _ = await rig.decide(to: Workers(of: rig, 1, isForLater: true), signal)
        let key = Array("{test}:d:".utf8) + signal.fingerprint.bytes
        let stored = try #require(try await rig.answer("GET", [key]).bytesValue)
        let plain = SignalDocument.encode(signal.signal)
        #expect(stored.count * 4 < plain.count)
        let claim = try #require(try await rig.claims().first)
        #expect(String(decoding: claim.delivery.json, as: UTF8.self).contains(String(decoding: plain, as: UTF8.self)))
        #expect(claim.delivery.signal?.annotations["note"] == signal.signal.annotations["note"])
        #expect(try await rig.delivery.bury("file", claim, because: "no", after: .seconds(1)) == .buried)
        let letter = try #require(try await rig.delivery.letters(origin: "sink/file", most: 1).letters.first)
        #expect(try await rig.delivery.letter(letter.id)?.item == plain)
        // Back in the queue it is told so again.
        #expect(try await rig.delivery.replay(letter.id) == .queued)
        #expect(try await rig.claims().map(\.delivery.json) == [claim.delivery.json])
    }

    @Test func oneThatCantBeReadIsAFaultAndIsKept() async throws {
        let rig = try await Rig()
        let signal = try Rig.signal()
        _ = await rig.decide(signal)
        _ = try await rig.answer("SET", [Array("{test}:d:".utf8) + signal.fingerprint.bytes, [1, 2, 3]])
        let found = try await rig.delivery.claim("file", by: rig.call(), most: 1)
        #expect(found.claims.isEmpty)
        #expect(found.faults == ["\(signal.fingerprint) makes no delivery"])
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 1)
    }
}
