import Testing

@testable import Host

/// Who has room when: claims, and what the gate hands over.
@Suite struct DeliveryRoomTests {
    /// `#expect` changes no value.
    private final class Room {
        private var room = DeliveryRoom(most: 64)
        var isBehind: Bool {
            get { room.isBehind }
            set { room.isBehind = newValue }
        }
        var isOver: Bool { room.isOver }
        func claim(_ most: Int) -> Int { room.claim(most) }
        func keep(_ count: Int) -> Bool { room.keep(count) }
        func end(_ count: Int, bytes: Int) -> Bool { room.end(count, bytes: bytes) }
        var keepsUp: Bool { room.keepsUp }
        func failed() { room.failed(isOverloaded: false) }
        func overloaded() { room.failed(isOverloaded: true) }
        func succeeded() { room.succeeded() }
        func stop() { room.stop() }
    }

    @Test func halfIsForWhatIsOlderWhileThereIsAny() {
        let room = Room()
        // Nothing is known of the queue yet.
        #expect(!room.keep(33))
        #expect(room.keep(32))
        #expect(!room.keep(1))
        #expect(room.claim(100) == 32)
        #expect(room.end(64, bytes: 0) == false, "nobody was refused a claim")
        room.isBehind = false
        #expect(room.keep(64))
    }

    /// Who is refused is queued: from then on something older waits.
    @Test func newOnesDoNotTakeEachPlaceThatIsFree() {
        for claims in [false, true] {
            let room = Room()
            room.isBehind = false
            #expect(room.keep(64))
            if claims { #expect(room.claim(256) == 0) } else { #expect(!room.keep(1)) }
            #expect(!room.end(1, bytes: 0))
            #expect(!room.keep(1))
            #expect(room.end(3, bytes: 0) == claims)
            #expect(room.claim(256) == 4)
        }
    }

    @Test func whereOneIsTooManyNothingIsKeptForNewOnes() {
        let room = Room()
        for _ in 0..<10 { room.overloaded() }
        #expect(!room.keep(1))
        #expect(room.claim(256) == 1)
        _ = room.end(1, bytes: 0)
        room.succeeded()
        room.isBehind = false
        #expect(room.keep(1))
    }

    @Test func aClaimThatFoundNoRoomIsTriedAgainWhenItIsWorthIt() {
        let room = Room()
        #expect(room.claim(256) == 64)
        #expect(room.claim(256) == 0)
        #expect(!room.end(3, bytes: 0))
        #expect(room.end(1, bytes: 0))
        #expect(room.claim(256) == 4)
    }

    @Test func bytesBoundBoth() {
        let room = Room()
        room.isBehind = false
        #expect(room.keep(1))
        _ = room.end(0, bytes: -DeliveryRoom.bytes)
        #expect(!room.keep(1))
        #expect(room.claim(1) == 0)
        #expect(room.end(1, bytes: DeliveryRoom.bytes))
        #expect(room.claim(1) == 1)
    }

    @Test func aSinkThatIsOverloadedHasHalfTheRoom() {
        let room = Room()
        room.isBehind = false
        room.overloaded()
        #expect(!room.keep(33))
        room.succeeded()
        room.isBehind = false
        #expect(room.keep(33))
    }

    @Test func afterAFailureNothingNewIsBegunUntilOneSucceeds() {
        let room = Room()
        #expect(!room.keepsUp, "nothing is known of the queue yet")
        room.isBehind = false
        #expect(room.keepsUp)
        room.failed()
        #expect(!room.keepsUp)
        #expect(!room.keep(1))
        #expect(room.claim(1) == 1)
        room.isBehind = false
        #expect(!room.keep(1))
        room.succeeded()
        room.isBehind = false
        #expect(room.keepsUp)
        #expect(room.keep(1))
    }

    @Test func aStopEndsIt() {
        let room = Room()
        room.isBehind = false
        #expect(room.keep(2))
        room.stop()
        #expect(!room.keep(1))
        #expect(room.claim(1) == 0)
        #expect(!room.isOver)
        _ = room.end(2, bytes: 0)
        #expect(room.isOver)
    }
}
