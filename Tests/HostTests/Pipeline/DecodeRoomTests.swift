import SignalKit
import Testing

@testable import Host

@Suite struct DecodeRoomTests {
    private func room(_ bytes: Int) -> DecodeRoom {
        var limits = HostConfiguration.Limits()
        limits.inFlightBytes = bytes
        return DecodeRoom(limits)
    }

    @Test func allBodiesThatMayBeInMemoryHaveRoomWhileTheirItemsAreOfOrdinarySize() throws {
        let room = room(8 << 20)
        for _ in 0..<8 {
            var share = try #require(room.begin(body: 1 << 20))
            #expect(room.grow(&share, body: 1 << 20, items: (1 << 20) / 300))
        }
    }

    @Test func manyTinyItemsTakeTheRoomOfOthersUntilTheyAreDecided() throws {
        let room = room(5 << 20)
        let body = 420_000
        var first = try #require(room.begin(body: body))
        #expect(room.grow(&first, body: body, items: 20_000))
        var second = try #require(room.begin(body: body))
        #expect(room.grow(&second, body: body, items: 20_000))
        var third = try #require(room.begin(body: body))
        #expect(!room.grow(&third, body: body, items: 20_000))
        room.end(first)
        #expect(room.grow(&third, body: body, items: 20_000))
    }

    @Test func oneBodyAlwaysHasRoom() throws {
        let room = DecodeRoom(bytes: 1)
        var share = try #require(room.begin(body: 1 << 20))
        #expect(room.grow(&share, body: 1 << 20, items: 1 << 20))
        #expect(room.begin(body: 1) == nil)
        room.end(share)
        #expect(room.begin(body: 1) != nil)
    }
}
