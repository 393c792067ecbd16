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
    /// Keeps room for so many deliveries where there is any. To be followed by `take` or `lose`.
    func offer(_ room: Int) -> HandOverOffer?
    /// - Parameter born: since when the store knows what it knows.
    func take(_ handed: [HandedOver], of offer: HandOverOffer, born: Int64)
    /// Nobody knows whether the store has handed these over; none was delivered.
    func lose(_ fingerprints: [Fingerprint], of offer: HandOverOffer)
}

/// What was offered with each call of a write.
struct GateOffers {
    private let hands: (any DeliveryHands)?
    /// One for each call; nil where there was no room, or nothing can begin.
    let each: [HandOverOffer?]

    init(for write: GateWrite, of hands: (any DeliveryHands)?) {
        self.hands = hands
        each = write.signals.map { chunk in
            guard let hands else { return nil }
            let room = chunk.reduce(0) { $0 + (Self.mayBegin($1) ? 1 : 0) }
            return room > 0 ? hands.offer(room) : nil
        }
    }

    private static func mayBegin(_ signal: GateSignal) -> Bool {
        signal.document != nil && signal.signal.status == .firing
    }

    /// - Parameter handed: for each call.
    func take(_ handed: [[HandedOver]], born: Int64) {
        for case (let offer?, let handed) in zip(each, handed) { hands?.take(handed, of: offer, born: born) }
    }

    /// Nobody was answered.
    func lose(_ write: GateWrite) {
        for case (let offer?, let chunk) in zip(each, write.signals) {
            hands?.lose(chunk.filter(Self.mayBegin).map(\.fingerprint), of: offer)
        }
    }
}
