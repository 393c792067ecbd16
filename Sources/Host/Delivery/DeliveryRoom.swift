/// How many deliveries of a sink are under way, and how many more may be.
struct DeliveryRoom: Sendable {
    /// Of what is under way, about: each claim, and each call of the gate that something was offered with, may go over it once.
    static let bytes = 64 << 20

    let most: Int
    private(set) var inFlight = 0
    private var bytes = 0
    /// Deliveries at once: halves when the sink is overloaded, grows by one with each success.
    private var limit: Int
    /// Nothing more is claimed until there is room again.
    private var full = false
    /// More may be queued than was claimed, or is going to be: there was no room.
    var isBehind = true
    /// So many failures in a row are an outage of the sink. With fewer, no delivery waits in back-off for longer than some seconds.
    static let outage = 3
    /// In a row. At first as after an outage: deliveries that failed at another host, or before the start of this one, may wait.
    private var failures = DeliveryRoom.outage
    /// The last one failed: nothing new is begun here before one that waits was delivered.
    private var hasFailed = false
    private(set) var isStopping = false
    /// A delivery that may end the host is delivered with nothing beside it: nothing else begins.
    var isForOne = false

    init(most: Int) { (self.most, limit) = (most, most) }

    /// Nothing is under way, and nothing will be.
    var isOver: Bool { isStopping && inFlight == 0 }

    /// Worth a call: a sink that takes many is not asked for one at a time.
    private var isWide: Bool {
        !isStopping && !isForOne && limit - inFlight >= max(1, limit / 16) && bytes < Self.bytes
    }

    /// Keeps room for a claim.
    /// - Parameter atMost: of one call.
    /// - Returns: for how many.
    mutating func claim(_ atMost: Int) -> Int {
        full = !isWide
        isBehind = isBehind || full
        let room = full ? 0 : min(limit - inFlight, atMost)
        // The other claimer's, too: none is claimed that can't be delivered.
        inFlight += room
        return room
    }

    /// Keeps room for just so many, which are not queued yet. Half of it is for what is older, while there is any: with a sink that
    /// is the slowest of all that would wait for ever.
    mutating func keep(_ count: Int) -> Bool {
        let free = limit - inFlight - count
        guard !isStopping, !isForOne, !hasFailed, free >= (isBehind ? max(1, limit / 2) : 0), bytes < Self.bytes else {
            isBehind = true
            return false
        }
        inFlight += count
        return true
    }

    /// So much of what had room is not under way, or not any more.
    /// - Parameter bytes: of deliveries; negative of those that begin.
    /// - Returns: whether it is worth a claim that there was no room for.
    mutating func end(_ count: Int, bytes ended: Int) -> Bool {
        inFlight -= count
        bytes -= ended
        return full && isWide
    }

    /// What is queued now need not wait, as far as is known.
    var keepsUp: Bool { !isBehind && !hasFailed }

    /// The sink has not succeeded since its outage began.
    var isOut: Bool { failures >= Self.outage }

    /// - Returns: whether that ends an outage.
    @discardableResult mutating func succeeded(_ count: Int = 1) -> Bool {
        defer { failures = 0 }
        limit = min(limit + count, most)
        hasFailed = false
        return isOut
    }

    /// Members still wait in back-off: the next success counts as the end of an outage again.
    mutating func leftWaiting() { failures = max(failures, Self.outage) }

    mutating func failed(isOverloaded: Bool) {
        if isOverloaded { limit = max(1, limit / 2) }
        hasFailed = true
        failures = min(failures + 1, Self.outage)
    }

    /// Nothing succeeds: one delivery at a time is tried.
    mutating func pause() {
        limit = 1
        (hasFailed, isBehind) = (true, true)
    }

    mutating func stop() { isStopping = true }
}
