import SignalKit

/// A record as the scripts pack it (`FORMAT` in prelude.lua): 60 bytes, and 22 more when it is in a storm. Numbers are
/// little-endian; times are readings of the store's clock.
struct PackedRecord: Sendable, Equatable {
    private static let size = 60
    private static let storm = 22

    let bytes: [UInt8]

    /// Nil when it has not the length of one.
    init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Self.size || bytes.count == Self.size + Self.storm else { return nil }
        self.bytes = Array(bytes)
    }

    var state: Delivery.State? { bytes[1] == 1 ? .firing : bytes[1] == 2 ? .resolved : nil }
    /// How it ended by itself, if it did.
    var reason: Delivery.Reason? { bytes[2] == 1 ? .expired : bytes[2] == 2 ? .forgotten : nil }
    var isMember: Bool { bytes.count > Self.size }
    /// Sightings, up to 2^32 - 1.
    var count: Int64 { number(at: 4, 4) }
    /// 0 when it never began.
    var episode: Int64 { number(at: 8, 6) }
    var version: Int64 { number(at: 14, 6) }
    var last: Int64 { number(at: 20, 6) }
    /// The episode before; 0 when there was none.
    var follows: Int64 { number(at: 50, 6) }
    /// Of its last change or sighting: of two states of one record the later is the newer (`kit.moment`).
    var moment: Int64 { max(version, last) }

    private func number(at place: Int, _ length: Int) -> Int64 {
        var value: Int64 = 0
        for byte in stride(from: place + length - 1, through: place, by: -1) { value = value << 8 | Int64(bytes[byte]) }
        return value
    }
}
