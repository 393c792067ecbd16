/// An item of a request that could not be read, while its neighbours could.
public struct RejectedItem: Sendable, Equatable {
    /// Its place in the request, from 0.
    public let index: Int
    /// Where and why, for a person: `startsAt: not an RFC 3339 time`. No value from the input.
    public let reason: String
    /// A body of this one item that the same adapter can read again, so that the dead letter can be replayed. Of a body
    /// over `Bounds.item` bytes only the first `Bounds.kept`: see `cut`.
    public let replay: [UInt8]
    /// Nil when `replay` is whole.
    public let cut: Cut?
    /// Tells the item from others: items of one reason with the same bytes here are one dead letter with a count.
    public let identity: [UInt8]

    /// What is known of a body that was too long to be kept. It can't be replayed.
    public struct Cut: Sendable, Equatable {
        /// Bytes of the whole body.
        public let size: Int
        /// FNV-1a of the whole body, 64 bits.
        public let digest: UInt64
    }

    public enum Bounds {
        /// bytes of a body that is kept whole; half of the largest signal
        public static let item = 262_144
        /// bytes that are kept of a longer one
        public static let kept = 16_384
        /// bytes of an identity; of a longer one the first bytes, the length and a digest are kept
        public static let identity = 1_024
    }

    /// - Parameters:
    ///   - replay: the body of this one item, of any length.
    ///   - identity: the parts of the item that stay the same when it is sent again: no times, counts or texts with
    ///     present values. Nil when it has no other than `replay`.
    public init(index: Int, reason: String, replay: [UInt8], identity: [UInt8]? = nil) {
        (self.index, self.reason) = (index, reason)
        self.identity = Self.bounded(identity ?? replay)
        if replay.count > Bounds.item {
            self.replay = Array(replay[..<Bounds.kept])
            cut = Cut(size: replay.count, digest: Self.digest(replay))
        } else {
            self.replay = replay
            cut = nil
        }
    }

    /// Bytes that it holds.
    public var size: Int { replay.count + identity.count }

    private static func bounded(_ identity: [UInt8]) -> [UInt8] {
        guard identity.count > Bounds.identity else { return identity }
        return Array(identity[..<Bounds.identity]) + Array(" \(identity.count) \(digest(identity))".utf8)
    }

    /// Fowler, Noll, Vo: FNV-1a, 64 bits. Nothing relies on it being hard to collide: who could make two items collide
    /// could send the same item as well.
    private static func digest(_ bytes: [UInt8]) -> UInt64 {
        // SAFETY: read here and not kept.
        bytes.withUnsafeBufferPointer { bytes in
            var hash: UInt64 = 0xCBF2_9CE4_8422_2325
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
            return hash
        }
    }
}

/// What a request held: `signals.count + rejected.count + skipped` is the number of items that the sender sent.
public struct Decoded: Sendable {
    public var signals: [Signal]
    public var rejected: [RejectedItem]
    /// Items that the sender says it left out (Alertmanager's `truncatedAlerts`).
    public var truncated: Int
    /// Items that were read and are not asked for, by the adapter's configuration or their nature (a bookmark).
    public var skipped: Int
    /// Bytes that the items of `reject` hold.
    private var rejectedBytes = 0

    public init(signals: [Signal] = [], rejected: [RejectedItem] = [], truncated: Int = 0, skipped: Int = 0) {
        (self.signals, self.rejected, self.truncated, self.skipped) = (signals, rejected, truncated, skipped)
    }

    /// What the sender sent.
    public var items: Int { signals.count + rejected.count + skipped }

    /// What one request may hold. Groups of 10 000 to 20 000 alerts in one post are real.
    public enum Bounds {
        /// items of a short body; a longer one holds one for each `bytesPerItem`
        public static let items = 20_000
        /// An alert of Prometheus has 500 bytes or more.
        public static let bytesPerItem = 512
        /// items that can't be read; more than that is no batch with some bad items
        public static let rejected = 20_000
        /// bytes of all rejected items together
        public static let rejectedBytes = 64 << 20
    }

    /// To be asked before any item is read.
    /// - Parameters:
    ///   - items: how many a body holds.
    ///   - bytes: of the body.
    ///   - path: of the list in it.
    /// - Throws: `tooLarge` for more items than a body of that length may hold.
    public static func check(items: Int, in bytes: Int, path: String? = nil) throws(AdapterError) {
        let most = max(Bounds.items, bytes / Bounds.bytesPerItem)
        guard items > most else { return }
        throw AdapterError(
            .tooLarge, "\(items) items in \(bytes) bytes, \(most) at most: send them in several requests", path: path)
    }

    /// Sets an item aside.
    /// - Throws: `tooLarge` past the bounds of rejected items: then the request is refused whole.
    public mutating func reject(_ item: RejectedItem) throws(AdapterError) {
        try Self.check(rejected.count + 1, rejectedBytes + item.size, item)
        rejectedBytes += item.size
        rejected.append(item)
    }

    /// For the host: an adapter may have set items aside without `reject`.
    package func checkRejected() throws(AdapterError) {
        guard let last = rejected.last else { return }
        try Self.check(rejected.count, rejected.reduce(0) { $0 + $1.size }, last)
    }

    private static func check(_ count: Int, _ bytes: Int, _ item: RejectedItem) throws(AdapterError) {
        guard count > Bounds.rejected || bytes > Bounds.rejectedBytes else { return }
        let bound =
            count > Bounds.rejected
            ? "more than \(Bounds.rejected) items can't be read"
            : "the items that can't be read have more than \(Bounds.rejectedBytes) bytes"
        throw AdapterError(.tooLarge, "\(bound); item \(item.index), for one: \(item.reason)")
    }
}
