import SignalKit

/// A record as the scripts pack it (`FORMAT` in records.lua): 74 bytes, 35 more when it is in a storm, and 30 for each reporter when
/// there is more than one. Numbers are little-endian.
struct PackedRecord: Sendable, Equatable {
    private static let size = 74
    private static let membership = 35
    private static let reporter = 30

    let bytes: [UInt8]

    /// Nil when it has not the length of one.
    init?(_ bytes: some Collection<UInt8>) {
        self.bytes = Array(bytes)
        guard self.bytes.count >= Self.size else { return nil }
        let rest = self.bytes.count - Self.size - (isMember ? Self.membership : 0)
        guard rest >= 0, rest % Self.reporter == 0 else { return nil }
    }

    var state: Delivery.State? { bytes[1] == 1 ? .firing : bytes[1] == 2 ? .resolved : nil }
    /// How it ended by itself, if it did.
    var reason: Delivery.Reason? { bytes[2] == 1 ? .expired : bytes[2] == 2 ? .forgotten : nil }
    var isMember: Bool { bytes[3] & 2 != 0 }
    /// Sightings, up to 2^32 - 1.
    var count: Int64 { number(at: 4, 4) }
    /// A reading of the store's clock (µs), as are `version`, `moment` and `follows`; 0 when it never began.
    var episode: Int64 { number(at: 8, 7) }
    var version: Int64 { number(at: 15, 7) }
    /// Of its last change or sighting: of two states of one record the later is the newer.
    var moment: Int64 { number(at: 22, 7) }
    /// The last episode before this one that had an object of its own; 0 when there was none.
    var follows: Int64 { number(at: 29, 7) }
    /// When it was last sighted, by the server's time in ms.
    var last: Int64 { number(at: 36, 6) }

    private func number(at place: Int, _ length: Int) -> Int64 {
        var value: Int64 = 0
        for byte in stride(from: place + length - 1, through: place, by: -1) { value = value << 8 | Int64(bytes[byte]) }
        return value
    }
}
