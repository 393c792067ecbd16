import SignalKit

/// A member of a sink's queue: a fingerprint (32 bytes) or a storm (23 bytes).
struct QueueMember: Hashable, Sendable {
    let bytes: [UInt8]

    /// As deliveries and dead letters name it.
    var name: String {
        guard bytes.count == 23 else { return Hex.text(bytes) }
        return "\(Hex.text(bytes[..<16]))-\(bytes[16...].reduce(Int64(0)) { $0 << 8 | Int64($1) })"
    }

    /// Nil when it names no storm.
    init?(storm name: String) {
        let parts = name.split(separator: "-")
        guard parts.count == 2, let group = Hex.bytes(String(parts[0])), group.count == 16, let clock = Int64(parts[1]),
            StoreMemory.readings.contains(clock)
        else { return nil }
        bytes = group + (0..<7).map { UInt8(truncatingIfNeeded: clock >> Int64(48 - 8 * $0)) }
    }

    init(_ bytes: [UInt8]) { self.bytes = bytes }
}

/// A delivery that this host may hand to its sink until the lease ends.
struct Claim: Sendable {
    let member: QueueMember
    let token: LeaseToken
    /// From 1.
    let attempt: Int
    let delivery: Delivery
}

/// A delivery that comes again after a delay.
struct FailedDelivery: Sendable {
    let claim: Claim
    let delay: Duration
    /// False after an error about the whole sink.
    var usesAttempt = true
}

/// Names a claim, so that it can be given back when its answer was lost.
struct ClaimTicket: Sendable {
    /// Whose claims they are: 8 random bytes.
    let claimer: [UInt8] = (0..<8).map { _ in .random(in: .min ... .max) }
    /// One more with each claim.
    private(set) var number: Int64 = 0

    mutating func next() -> ClaimTicket {
        number += 1
        return self
    }
}

/// A delivery that a call of the gate may have handed over: its answer was lost.
struct LostHandOver: Sendable {
    let member: QueueMember
    /// The call's number.
    let number: UInt16
}
