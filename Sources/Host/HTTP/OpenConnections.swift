import struct NIOConcurrencyHelpers.NIOLockedValueBox
import NIOCore
import Synchronization

/// The connections of one listener, bounded: each costs a descriptor and buffers for as long as it is open.
///
/// When the listener is full, a new connection takes the place of another one, in this order: the oldest one without a
/// good request; of the address with the most connections, the one that is idle for longest; the oldest one that is still
/// sending its first request, after a second. A connection with a request in work keeps its place. The order
/// matters: Prometheus does not send a POST again when it meets a connection that was closed.
final class OpenConnections: Sendable {
    /// Places beyond the bound for probes alone, so that a full listener is not restarted by its kubelet: a kubelet asks for
    /// two paths, and some load balancers besides.
    static let reserve = 16
    /// Connections that were told to close and are still open. More means that an event loop does not keep up; then new
    /// connections are refused, for the bound must not be passed without end.
    private static let mostLeaving = 16
    /// A connection that sends its first request may do so for at least this long, also when the listener is full.
    private static let firstRequest = TimeAmount.seconds(1)

    fileprivate struct State {
        var places: [ObjectIdentifier: Place] = [:]
        var peers: [PeerAddress: Int] = [:]
        /// In the order of their coming. Those that have gone or sent a good request leave it late.
        var unproven = CircularBuffer<Place>()
        var leaving = 0
    }

    private let state = NIOLockedValueBox(State())
    private let most: Int
    private let reserve: Int
    private let refused: @Sendable () -> Void

    /// - Parameters:
    ///   - most: connections at once.
    ///   - reserve: further ones, which get a place that `isReserved`.
    ///   - refused: a new connection found no place.
    init(most: Int, reserve: Int = 0, refused: @escaping @Sendable () -> Void) {
        (self.most, self.reserve, self.refused) = (most, reserve, refused)
    }

    /// Descriptors that the listener may hold at once: past it nothing is accepted. A flood is accepted faster than the loops can
    /// close it, so that `most` alone bounds nothing.
    var accepted: Int { most + OpenFiles.excess }

    /// All that are open.
    var channels: [any Channel] { state.withLockedValue { $0.places.values.map(\.channel) } }

    /// - Returns: nil when there is no place. It is given back when the channel has closed.
    func open(_ channel: any Channel) -> Place? {
        let (place, leaver): (Place?, Place?) = state.withLockedValue { state in
            var leaver: Place?
            var isReserved = false
            if state.places.count - state.leaving >= most {
                leaver = state.leaving < Self.mostLeaving ? state.leaver() : nil
                if leaver == nil {
                    guard state.places.count < most + reserve else { return (nil, nil) }
                    isReserved = true
                }
            }
            let place = Place(channel, of: self, isReserved: isReserved)
            state.add(place)
            return (place, leaver)
        }
        guard let place else {
            refused()
            return nil
        }
        leaver?.channel.pipeline.fireUserInboundEventTriggered(Leave())
        channel.closeFuture.whenComplete { [state] _ in state.withLockedValue { $0.remove(place) } }
        return place
    }

    private func stays(_ place: Place) {
        state.withLockedValue { state in
            guard place.isLeaving.exchange(false, ordering: .relaxed) else { return }
            state.leaving -= 1
        }
    }

    /// Told to a connection that must make way: it closes, or its place `stays`.
    struct Leave: Sendable {}

    /// What the listener knows of one connection. Its event loop tells; any thread looks.
    final class Place: Sendable {
        let peer: PeerAddress
        /// Beyond the bound: for probes alone.
        let isReserved: Bool
        fileprivate let channel: any Channel
        private let listener: OpenConnections
        fileprivate let opened = NIODeadline.now()
        fileprivate let isLeaving = Atomic(false)
        fileprivate let hasGone = Atomic(false)
        private let proven = Atomic(false)
        /// Since when it is idle, in ns; or one of the two below.
        private let state: Atomic<UInt64>
        private static let working: UInt64 = 0
        private static let sending: UInt64 = 1

        fileprivate init(_ channel: any Channel, of listener: OpenConnections, isReserved: Bool) {
            (self.channel, self.listener, self.isReserved) = (channel, listener, isReserved)
            peer = PeerAddress(channel.remoteAddress)
            state = Atomic(opened.uptimeNanoseconds)
        }

        /// A good request was answered.
        var isProven: Bool { proven.load(ordering: .relaxed) }
        func prove() { if !isProven { proven.store(true, ordering: .relaxed) } }

        /// It was told to leave, and has a request in work by now.
        func stays() { listener.stays(self) }

        /// It is sending a request.
        func sends() { state.store(Self.sending, ordering: .relaxed) }
        /// A request is in work, or its answer is being read.
        func works() { state.store(Self.working, ordering: .relaxed) }
        func rests(since now: NIODeadline) { state.store(max(now.uptimeNanoseconds, 2), ordering: .relaxed) }

        fileprivate var isSending: Bool { state.load(ordering: .relaxed) == Self.sending }
        /// Nil while there is a request.
        fileprivate var idleSince: UInt64? {
            let value = state.load(ordering: .relaxed)
            return value > Self.sending ? value : nil
        }
        fileprivate var isStale: Bool { isProven || hasGone.load(ordering: .relaxed) }
        fileprivate var mayLeave: Bool { !isLeaving.load(ordering: .relaxed) }
    }
}

extension OpenConnections.State {
    fileprivate mutating func add(_ place: OpenConnections.Place) {
        places[ObjectIdentifier(place)] = place
        peers[place.peer, default: 0] += 1
        while let first = unproven.first, first.isStale { unproven.removeFirst() }
        if unproven.count > 2 * places.count { unproven.removeAll { $0.isStale } }
        unproven.append(place)
    }

    fileprivate mutating func remove(_ place: OpenConnections.Place) {
        place.hasGone.store(true, ordering: .relaxed)
        places[ObjectIdentifier(place)] = nil
        if place.isLeaving.exchange(false, ordering: .relaxed) { leaving -= 1 }
        let left = (peers[place.peer] ?? 1) - 1
        peers[place.peer] = left > 0 ? left : nil
    }

    /// The connection that makes way, marked as leaving; nil when every one has a request in work.
    fileprivate mutating func leaver() -> OpenConnections.Place? {
        let now = NIODeadline.now()
        let found =
            unproven.first { !$0.isStale && $0.mayLeave && $0.idleSince != nil } ?? longestIdle()
            ?? unproven.first {
                !$0.isStale && $0.mayLeave && $0.isSending && now - $0.opened > OpenConnections.firstRequest
            }
        guard let found else { return nil }
        found.isLeaving.store(true, ordering: .relaxed)
        leaving += 1
        return found
    }

    /// Of the address with the most connections.
    private func longestIdle() -> OpenConnections.Place? {
        var found: (place: OpenConnections.Place, connections: Int, since: UInt64)?
        for place in places.values where place.mayLeave {
            guard let since = place.idleSince else { continue }
            let connections = peers[place.peer] ?? 0
            if let best = found {
                guard connections > best.connections || connections == best.connections && since < best.since else {
                    continue
                }
            }
            found = (place, connections, since)
        }
        return found?.place
    }
}
