import SignalKit

/// How long a delivery is its host's: after it anybody may have it.
enum Lease {
    static let length = Duration.seconds(60)
}

/// Says whose a delivery is: the score of its place in the queue, when its lease ends. The fencing token of all that is said of it.
struct LeaseToken: Hashable, Sendable {
    /// Times of the server in ms: until the year 2039 a score holds one with the twelve bits of a fraction.
    static let times = Int64(1)..<(1 << 41)
    /// `kit.TICKS`.
    private static let perMillisecond: Int64 = 4_096

    /// In 1/4096 ms: an even number behind the milliseconds of a claim, an odd one of a call of the gate.
    let ticks: Int64

    /// Nil when no score can be that.
    init?(ticks: Int64) {
        guard Self.times.contains(ticks / Self.perMillisecond) else { return nil }
        self.ticks = ticks
    }

    /// Of a delivery that a call of the gate handed over.
    /// - Parameters:
    ///   - milliseconds: when the lease ends, one of `times` and a lease.
    ///   - number: the call's.
    init(until milliseconds: Int64, call number: UInt16) {
        ticks = milliseconds * Self.perMillisecond + Int64(number) * 2 + 1
    }

    /// The number of the call of the gate that handed it over; nil of a claim.
    var call: UInt16? { ticks % 2 == 1 ? UInt16(ticks % Self.perMillisecond / 2) : nil }

    /// When the lease ends, by the server's time.
    var milliseconds: Int64 { ticks / Self.perMillisecond }

    /// As scripts read it: the score.
    var text: String { String(Double(ticks) / Double(Self.perMillisecond)) }
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
