import NIOConcurrencyHelpers

/// Bounds the memory of all bodies that are decoded and decided at once. A body in memory is bounded by
/// `limits.in_flight_bytes`, but a hostile one takes many times its length once it is decoded.
final class DecodeRoom: Sendable {
    /// Bytes that a body takes at most for each of its own while it is decoded (measured by Benchmarks/hostile.py).
    static let perByte = 12
    /// Bytes that a body takes at most for each of its own once it is decoded, besides those for each item.
    static let perDecodedByte = 8
    /// Bytes for an item: the signal, its document, and what becomes of it.
    static let perItem = 2_048
    /// Bytes for the items of a short body, which may hold more of them than `perByte` has room for.
    static let spare = 32 << 20

    private let taken = NIOLockedValueBox(0)
    private let bytes: Int

    init(bytes: Int = .max) { self.bytes = bytes }

    /// Room for as many bodies as there may be in memory.
    convenience init(_ limits: HostConfiguration.Limits) {
        self.init(bytes: limits.inFlightBytes * Self.perByte + Self.spare)
    }

    /// One body's part, to be given back with `end`.
    struct Share: Sendable {
        fileprivate(set) var bytes: Int
    }

    /// - Returns: nil when there is no room; one body always has room.
    func begin(body: Int) -> Share? {
        let wanted = body * Self.perByte
        return take(wanted, besides: 0) ? Share(bytes: wanted) : nil
    }

    /// Once it is decoded: many items in few bytes need more than was taken.
    /// - Returns: false when there is no room for that.
    func grow(_ share: inout Share, body: Int, items: Int) -> Bool {
        let more = body * Self.perDecodedByte + items * Self.perItem - share.bytes
        guard more > 0 else { return true }
        guard take(more, besides: share.bytes) else { return false }
        share.bytes += more
        return true
    }

    func end(_ share: Share) { taken.withLockedValue { $0 -= share.bytes } }

    private func take(_ more: Int, besides own: Int) -> Bool {
        taken.withLockedValue { taken in
            guard taken == own || taken + more <= bytes else { return false }
            taken += more
            return true
        }
    }
}
