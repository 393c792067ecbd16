import SignalKit

/// Decides what a delivery does to a cluster, from what is there and nothing else: the cluster is the memory that outlives
/// Redis. The rules are those of docs/kubernetes.md; each is one branch.
struct Arbiter: Sendable {
    enum Step: Sendable, Hashable {
        /// Brings an object to the delivery's state, unless it has changed since it was seen.
        case update(SeenObject)
        /// Ends an object whose problem goes on elsewhere, likewise.
        case resolve(SeenObject)
        case create(number: Int)
    }

    enum Decision: Sendable, Hashable {
        /// In this order; none when all is as it should be.
        case steps([Step])
        /// The cluster knows of something later than the store does: either somebody else has delivered that meanwhile, and the
        /// claim behind this delivery is lost, or the store was set back with its clock. Nothing is done, and it is told.
        case behind
    }

    /// A problem that still fires this long after its object was last brought up to date gets a new one, when somebody has
    /// completed or deleted that; nil for never.
    let reopenAfter: Duration?

    /// - Parameter seen: everything that carries the delivery's label.
    func decide(_ delivery: Delivery, seen: [SeenObject]) -> Decision {
        if delivery.kind == .storm { return .steps(storm(delivery, seen)) }
        // The label is cut; another problem may share it.
        let mine = seen.filter { $0.fingerprint == delivery.fingerprint }
        let next = (seen.map(\.number).max() ?? 0) + 1
        // An end of something never seen: whatever the cluster still holds of it has ended.
        guard delivery.episode != 0 else {
            return .steps(mine.filter { $0.isActive && $0.latest < delivery.version }.map(Step.resolve))
        }
        let later = mine.filter { $0.episode > delivery.episode }.max { $0.order < $1.order }
        let same = mine.filter { $0.episode == delivery.episode }
        if let later { return behind(delivery, later, same) }
        if !same.isEmpty { return .steps(update(delivery, same, next)) }
        return .steps(begin(delivery, mine, next))
    }

    /// - Parameter seen: storms of the same group, told apart by when they opened. Two of them may last at once: one no longer
    ///   grows, the other began later.
    private func storm(_ delivery: Delivery, _ seen: [SeenObject]) -> [Step] {
        if let object = seen.filter({ $0.episode == delivery.episode }).max(by: { $0.order < $1.order }) {
            return object.version < delivery.version ? [.update(object)] : []
        }
        // The store has forgotten what the cluster has not: members that go on have opened this storm.
        let before = seen.filter { $0.isActive && $0.latest < delivery.knownSince }.sorted { $0.order < $1.order }
        if let newest = before.last { return before.dropLast().map(Step.resolve) + [.update(newest)] }
        // Its object was taken away by somebody; it does not come back.
        return delivery.isUpdate ? [] : [.create(number: 1)]
    }

    /// The cluster has an object of a later episode.
    private func behind(_ delivery: Delivery, _ later: SeenObject, _ same: [SeenObject]) -> Decision {
        // What has a successor is over.
        let over = same.filter(\.isActive).map(Step.resolve)
        // Said after the cluster last heard of the problem: the store has an older past than the cluster, and speaks of
        // the same problem.
        if delivery.version > later.latest { return .steps(over + [.update(later)]) }
        return same.isEmpty ? .behind : .steps(over)
    }

    /// The episode has an object. Several, if somebody deleted another just while two hosts made them: one goes on.
    private func update(_ delivery: Delivery, _ same: [SeenObject], _ next: Int) -> [Step] {
        let sorted = same.sorted {
            ($0.isActive ? 1 : 0, $0.version, $0.number) < ($1.isActive ? 1 : 0, $1.version, $1.number)
        }
        guard let object = sorted.last else { return [] }
        let others = sorted.dropLast().filter(\.isActive).map(Step.resolve)
        guard object.version < delivery.version else { return others }
        guard object.isCompleted, reopenAfter != nil, delivery.state == .firing else {
            return others + [.update(object)]
        }
        // It keeps the time at which it was last seen to be worked on: the pause is counted from there.
        return others + (isDue(delivery, since: object.lastSeen) ? [.create(number: next)] : [])
    }

    /// Nothing in the cluster is of this episode or a later one.
    private func begin(_ delivery: Delivery, _ mine: [SeenObject], _ next: Int) -> [Step] {
        let active = mine.filter(\.isActive).sorted { $0.order < $1.order }
        // The store has forgotten what the cluster has not: it is the same problem, still.
        if delivery.follows == nil, let newest = active.last {
            return active.dropLast().map(Step.resolve) + [.update(newest)]
        }
        let ended = active.map(Step.resolve)
        // Its object was taken away by somebody; it does not come back while the problem goes on.
        if delivery.isUpdate, !isDue(delivery, since: delivery.first) { return ended }
        // An end without its document, of something the cluster does not hold.
        guard let signal = delivery.signal else { return ended }
        // The store was emptied since, and the sender speaks of what the cluster knows to be done with. What the store has known
        // itself, and forgotten in its time, is over: then this is another episode.
        let before = mine.filter { $0.latest < delivery.knownSince }
        if delivery.follows == nil, let start = signal.startsAt, before.contains(where: { $0.isDone(from: start) }) {
            return ended
        }
        return ended + [.create(number: next)]
    }

    private func isDue(_ delivery: Delivery, since: Timestamp?) -> Bool {
        guard let reopenAfter, delivery.state == .firing, let since else { return false }
        return delivery.last.milliseconds - since.milliseconds >= reopenAfter.milliseconds
    }
}
