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

/// A delivery that is in flight at this host.
struct Claim: Sendable {
    /// So many sessions may end with a delivery in flight before it counts against it: until then it may have been a neighbour's fault.
    static let innocent = 3

    let member: QueueMember
    /// By which claim, or call of the gate: the fence of all that is said of the delivery.
    let call: SessionCall
    /// Earlier deliveries of this state that failed.
    let failed: Int
    /// Sessions that ended with it in flight.
    let ended: Int
    let delivery: Delivery

    /// From 1. Above 1 the sink may know the delivery.
    var attempt: Int { failed + ended + 1 }
    /// Of those that are counted for giving up, with this one.
    var counted: Int { failed + max(0, ended - Self.innocent) + 1 }
    /// It may end sessions: nothing else is delivered beside it.
    var isAlone: Bool { ended >= Self.innocent }

    var held: Held { Held(member: member, call: call) }

    struct Held: Hashable, Sendable {
        let member: QueueMember
        let call: SessionCall
    }
}

/// A delivery that comes again after a delay.
struct FailedDelivery: Sendable {
    let claim: Claim
    let delay: Duration
    /// False after an error about the whole sink.
    var usesAttempt = true
}
