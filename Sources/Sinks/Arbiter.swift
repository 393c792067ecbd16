import SignalKit

/// An object in the cluster, as far as it decides.
struct SeenObject: Sendable, Hashable {
    let name: String
    let resourceVersion: String
    /// Full: labels hold only the beginning of it.
    let fingerprint: String
    /// The one it was made for, or adopted for since.
    let episode: Int64
    /// Of the delivery it last had; 0 when it has had none, its maker died in between.
    let version: Int64
    /// The sender's, as written there.
    let startsAt: String?
    /// Neither resolved nor completed by whoever acts on it.
    let isActive: Bool
    /// Completed, or its sender said that it is over; what merely was no longer heard of is not.
    let isDone: Bool

    /// The `n` of `sig-<hex>-<n>`; 0 for a name of somebody else's making.
    var number: Int { name.split(separator: "-").last.flatMap { Int($0) } ?? 0 }
}

/// Decides what a delivery does to a cluster, from what is there and nothing else: the cluster is the memory that outlives
/// Redis. The rules are those of docs/kubernetes.md; each is one branch.
struct Arbiter {
    enum Step: Sendable, Hashable {
        /// Brings an object to the delivery's state, unless it has changed since it was seen.
        case update(SeenObject)
        /// Ends an object of an earlier episode, likewise.
        case resolve(SeenObject)
        case create(number: Int)
    }

    /// - Parameter seen: everything that carries the delivery's label.
    /// - Returns: in this order; nothing when all is as it should be.
    static func steps(for delivery: Delivery, seen: [SeenObject]) -> [Step] {
        // The label is cut; another problem may share it.
        let mine = seen.filter { $0.fingerprint == delivery.fingerprint }
        return delivery.kind == .storm ? storm(delivery, mine) : signal(delivery, mine, next: next(seen))
    }

    private static func next(_ seen: [SeenObject]) -> Int { (seen.map(\.number).max() ?? 0) + 1 }

    private static func storm(_ delivery: Delivery, _ mine: [SeenObject]) -> [Step] {
        guard let object = mine.max(by: { $0.version < $1.version }) else {
            // Its object was taken away by somebody; it does not come back.
            return delivery.isUpdate ? [] : [.create(number: 1)]
        }
        return object.version < delivery.version ? [.update(object)] : []
    }

    private static func signal(_ delivery: Delivery, _ mine: [SeenObject], next: Int) -> [Step] {
        let active = mine.filter { $0.isActive && $0.episode < delivery.episode }.sorted { $0.episode < $1.episode }
        // An end of something never seen: whatever the cluster still holds of it has ended.
        guard delivery.episode != 0 else {
            return mine.filter { $0.isActive && $0.version < delivery.version }.map(Step.resolve)
        }
        if let same = mine.filter({ $0.episode == delivery.episode }).max(by: { $0.version < $1.version }) {
            return same.version < delivery.version ? [.update(same)] : []
        }
        // An older delivery than what is there.
        guard !mine.contains(where: { $0.episode > delivery.episode }) else { return [] }
        // The store has forgotten what the cluster has not: it is the same problem, still.
        if delivery.follows == nil, let newest = active.last {
            return active.dropLast().map(Step.resolve) + [.update(newest)]
        }
        let ended = active.map(Step.resolve)
        // Its object was taken away by somebody; it does not come back while the problem goes on.
        guard !delivery.isUpdate else { return ended }
        // An end without its document, of something the cluster does not hold.
        guard let signal = delivery.signal else { return ended }
        // The store has forgotten, the sender still speaks of the problem whose object is done with.
        if delivery.follows == nil, let startsAt = signal.startsAt?.description,
            mine.contains(where: { $0.isDone && $0.startsAt == startsAt })
        {
            return ended
        }
        return ended + [.create(number: next)]
    }
}
