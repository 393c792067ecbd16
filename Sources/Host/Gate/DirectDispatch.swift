import SignalKit

/// Capacity that the workers of some sinks keep for one call of the gate: new episodes are put in flight at this host without a
/// claim.
struct DispatchOffer: Sendable {
    let call: SessionCall
    /// Places in the configuration, below 64, in their order.
    let sinks: [Int]
    /// Episodes that each of them has capacity for.
    let capacity: Int

    /// As `kit.offered` reads it.
    var argument: [UInt8] {
        var bytes: [UInt8] = []
        for number in [call.session.number, call.number] {
            for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: number >> Int64(shift))) }
        }
        bytes += call.session.token.utf8
        var flags = [UInt8](repeating: 0, count: (sinks.last ?? 0) + 1)
        for place in sinks { flags[place] = 1 }
        return bytes + flags
    }
}

/// A new episode that is in flight at this host.
struct DispatchedEpisode: Sendable {
    let fingerprint: Fingerprint
    let record: PackedRecord
    let document: [UInt8]
    /// Of the offer's sinks, by place there, a bit each.
    let sinks: UInt64
}

/// A delivery that is in flight at this host.
struct HeldDelivery: Sendable {
    let sink: PluginID
    let member: [UInt8]
    let call: SessionCall
}

/// The workers of the sinks, as the gate knows them.
protocol DirectDispatch: Sendable {
    /// Nothing waits for any of them, as far as is known, and none has failed lately.
    var keepsUp: Bool { get }
    /// Keeps capacity for so many deliveries where there is any. To be followed by one `dispatch`.
    func offer(_ capacity: Int) -> DispatchOffer?
    /// The call is over.
    /// - Parameters:
    ///   - isKnown: false when the store may have put more in flight than these: reconciliation finds it.
    ///   - born: the birth of the store.
    func dispatch(_ episodes: [DispatchedEpisode], isKnown: Bool, of offer: DispatchOffer, born: Int64)
    /// The deliveries of the session that this host holds.
    func held(at session: SessionID) -> [HeldDelivery]
}

/// The offers that go with the calls of a write.
struct DispatchOffers {
    private let workers: (any DirectDispatch)?
    /// One for each call; nil where there was no capacity, or nothing can begin.
    let each: [DispatchOffer?]
    /// New members may have to wait in their queues.
    let isForLater: Bool

    init(for write: GateWrite, of workers: (any DirectDispatch)?) {
        self.workers = workers
        each = write.signals.map { chunk in
            guard let workers else { return nil }
            let count = chunk.count { $0.mayBegin }
            return count > 0 ? workers.offer(count) : nil
        }
        // Behind the offers, which say when there is no capacity.
        isForLater = workers.map { !$0.keepsUp } ?? false
    }

    /// - Parameter answers: of each call.
    func dispatch(_ answers: [GateReader.Dispatch], born: Int64) {
        for case (let offer?, let answer) in zip(each, answers) {
            workers?.dispatch(answer.episodes, isKnown: answer.isKnown, of: offer, born: born)
        }
    }

    /// No sender was answered.
    func withdraw() { dispatch(each.map { _ in GateReader.Dispatch() }, born: 0) }
}
