import SignalKit
import Testing

struct DecodedTests {
    private func item(_ index: Int, _ bytes: Int, identity: [UInt8]? = nil) -> RejectedItem {
        RejectedItem(index: index, reason: "why", replay: [UInt8](repeating: 7, count: bytes), identity: identity)
    }

    private func refusal(_ body: () throws(AdapterError) -> Void) -> AdapterError? {
        do {
            try body()
            return nil
        } catch {
            return error
        }
    }

    @Test func anItemUpToTheBoundIsKeptWhole() {
        let whole = item(0, RejectedItem.Bounds.item)
        #expect(whole.cut == nil)
        #expect(whole.replay.count == RejectedItem.Bounds.item)
        let cut = item(0, RejectedItem.Bounds.item + 1)
        #expect(cut.cut?.size == RejectedItem.Bounds.item + 1)
        #expect(cut.replay.count == RejectedItem.Bounds.kept)
        #expect(cut.cut != item(0, RejectedItem.Bounds.item + 2).cut)
    }

    @Test func theDigestIsFNV1a() {
        let replay = [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 20)
        var hash: UInt64 = 14_695_981_039_346_656_037
        for byte in replay { hash = (hash ^ UInt64(byte)) &* 1_099_511_628_211 }
        #expect(RejectedItem(index: 0, reason: "", replay: replay).cut?.digest == hash)
    }

    @Test func longIdentitiesDifferWhereverTheirItemsDo() {
        func identity(_ end: UInt8) -> [UInt8] {
            item(0, 1, identity: [UInt8](repeating: 7, count: 5_000) + [end]).identity
        }
        #expect(identity(1) == identity(1))
        #expect(identity(1) != identity(2))
        #expect(identity(1).count < RejectedItem.Bounds.identity + 64)
        #expect(item(0, 1).identity == item(0, 1).replay)
    }

    @Test func aBatchWithMoreUnreadableItemsThanTheBoundIsRefusedWhole() throws {
        var decoded = Decoded()
        for index in 0..<Decoded.Bounds.rejected { try decoded.reject(item(index, 1)) }
        let error = refusal { () throws(AdapterError) in try decoded.reject(item(Decoded.Bounds.rejected, 1)) }
        #expect(error?.code == .tooLarge)
        #expect(error?.message == "more than 20000 items can't be read; item 20000, for one: why")
    }

    @Test func aBatchWithMoreUnreadableBytesThanTheBoundIsRefusedWhole() throws {
        var decoded = Decoded()
        let most = Decoded.Bounds.rejectedBytes / item(0, RejectedItem.Bounds.item).size
        for index in 0..<most { try decoded.reject(item(index, RejectedItem.Bounds.item)) }
        let error = refusal { () throws(AdapterError) in try decoded.reject(item(most, RejectedItem.Bounds.item)) }
        #expect(error?.code == .tooLarge)
        #expect(error?.message.contains("\(Decoded.Bounds.rejectedBytes) bytes") == true)
    }
}
