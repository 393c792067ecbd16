import SignalKit

/// How long a delivery is its host's: after it anybody may have it.
enum Lease {
    static let length = Duration.seconds(60)
}

/// Says whose a delivery is: the score of its place in the queue, when its lease ends. The fencing token of all that is said of it.
struct LeaseToken: Hashable, Sendable {
    /// A reading of the store's clock.
    let milliseconds: Int64
    /// Of what a call of the gate handed over, the call's number; 0 of a claim.
    let number: UInt16

    init(_ milliseconds: Int64, number: UInt16 = 0) { (self.milliseconds, self.number) = (milliseconds, number) }

    /// As scripts read it: a fraction. Until the year 2109 a score has eleven bits for that.
    var text: String {
        number == 0
            ? String(milliseconds) : String(Double(milliseconds) + Double(number) / Double(HandOverOffer.numbers))
    }
}

/// What a call of the gate may hand over: for so many new episodes the workers of these sinks have room.
struct HandOverOffer: Sendable {
    /// One more than the highest.
    static let numbers: UInt16 = 2_048

    /// Random, from 1: tells this call from one of another host.
    let number: UInt16
    /// Places in the configuration, below 64, in their order.
    let sinks: [Int]
    let room: Int
    /// Before the call was sent: its lease ends later than one from here.
    let since: ContinuousClock.Instant

    /// - Parameter sinks: of all those of the configuration, those with room.
    init?(_ sinks: [Int], room: Int) {
        guard !sinks.isEmpty else { return nil }
        (self.sinks, self.room) = (sinks, room)
        number = .random(in: 1..<Self.numbers)
        since = .now
    }

    /// As `kit.offered` reads it.
    var argument: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 2 + (sinks.last ?? 0) + 1)
        (bytes[0], bytes[1]) = (UInt8(truncatingIfNeeded: number), UInt8(truncatingIfNeeded: number >> 8))
        for place in sinks { bytes[2 + place] = 1 }
        return bytes
    }
}

/// A new episode that this host has to deliver.
struct HandedOver: Sendable {
    let fingerprint: Fingerprint
    let record: PackedRecord
    let document: [UInt8]
    let token: LeaseToken
    /// Of the offer's sinks, by place there, a bit each.
    let sinks: UInt64
}

/// The workers of the sinks, as the gate knows them.
protocol DeliveryHands: Sendable {
    /// Nothing waits for any of them, as far as is known, and none has failed lately.
    var keepUp: Bool { get }
    /// Keeps room for so many deliveries where there is any. To be followed by one `take`.
    func offer(_ room: Int) -> HandOverOffer?
    /// What came of the call.
    /// - Parameters:
    ///   - lost: nobody knows whether the store has handed these over; none will be delivered for this offer.
    ///   - born: since when the store knows what it knows.
    func take(_ handed: [HandedOver], lost: [Fingerprint], of offer: HandOverOffer, born: Int64)
}

/// What was offered with each call of a write.
struct GateOffers {
    private let hands: (any DeliveryHands)?
    /// One for each call; nil where there was no room, or nothing can begin.
    let each: [HandOverOffer?]
    /// What is stored may have to wait.
    let isForLater: Bool

    init(for write: GateWrite, of hands: (any DeliveryHands)?) {
        self.hands = hands
        each = write.signals.map { chunk in
            guard let hands else { return nil }
            let room = chunk.count { $0.mayBegin }
            return room > 0 ? hands.offer(room) : nil
        }
        // Behind the offers, which say when there is no room.
        isForLater = hands.map { !$0.keepUp } ?? false
    }

    /// - Parameter answers: of each call.
    func take(_ answers: [GateReader.HandOver], born: Int64) {
        for case (let offer?, let answer) in zip(each, answers) {
            hands?.take(answer.handed, lost: answer.lost, of: offer, born: born)
        }
    }

    /// Nobody was answered.
    func lose(_ write: GateWrite) {
        take(write.signals.map { GateReader.HandOver(lost: $0.filter(\.mayBegin).map(\.fingerprint)) }, born: 0)
    }
}
