import struct NIOConcurrencyHelpers.NIOLockedValueBox
import NIOCore
import Synchronization

/// The connections of one listener, bounded: each costs a descriptor and buffers for as long as it is open.
///
/// When the listener is full, a new connection takes the place of another one, in this order:
///
/// 1. a connection without a good request, also one that is sending: the oldest of the address with the most of them;
/// 2. of the address with the most connections, the one that is idle for longest, else the one that has been sending one
///    request for longest. The newcomer's own address must not have more connections than that one.
///
/// A connection with a request in work keeps its place. The order matters: Prometheus does not send a POST again when
/// it meets a connection that was closed. OpenConnections+Leaver.swift has the choice.
final class OpenConnections: Sendable {
    /// Places beyond the bound for probes alone, so that a full listener is not restarted by its kubelet: a kubelet asks for
    /// two paths, and some load balancers besides.
    static let reserve = 16
    /// Connections that were told to close and are still open. More means that an event loop does not keep up; then new
    /// connections are refused, for the bound must not be passed without end.
    private static let mostLeaving = 16

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
                leaver =
                    state.leaving < Self.mostLeaving ? state.leaver(for: PeerAddress(channel.remoteAddress), most) : nil
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

    private func proves(_ place: Place) {
        state.withLockedValue { $0.prove(place) }
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
        let opened = NIODeadline.now()
        let isLeaving = Atomic(false)
        let hasGone = Atomic(false)
        private let proven = Atomic(false)
        /// Since when it is idle or sending, in ns, with the last bit set for sending; or `working`.
        private let state: Atomic<UInt64>
        private static let working: UInt64 = 0
        private static let sending: UInt64 = 1

        fileprivate init(_ channel: any Channel, of listener: OpenConnections, isReserved: Bool) {
            (self.channel, self.listener, self.isReserved) = (channel, listener, isReserved)
            peer = PeerAddress(channel.remoteAddress)
            state = Atomic(Self.idle(since: opened))
        }

        /// A good request was answered.
        var isProven: Bool { proven.load(ordering: .relaxed) }
        func prove() {
            guard !proven.exchange(true, ordering: .relaxed) else { return }
            listener.proves(self)
        }

        /// It was told to leave, and has a request in work by now.
        func stays() { listener.stays(self) }

        /// It is sending a request.
        func sends() { state.store(Self.idle(since: .now()) | Self.sending, ordering: .relaxed) }
        /// A request is in work, or its answer is being read.
        func works() { state.store(Self.working, ordering: .relaxed) }
        func rests(since now: NIODeadline) { state.store(Self.idle(since: now), ordering: .relaxed) }
        private static func idle(since now: NIODeadline) -> UInt64 { max(now.uptimeNanoseconds & ~sending, 2) }

        /// Nil while a request is in work.
        var pause: (since: NIODeadline, isSending: Bool)? {
            let value = state.load(ordering: .relaxed)
            guard value != Self.working else { return nil }
            return (.uptimeNanoseconds(value & ~Self.sending), value & Self.sending != 0)
        }
        /// It may make way now, though it is sending.
        var maySendNoLonger: Bool {
            guard let pause, pause.isSending else { return false }
            return !isProven || NIODeadline.now() - pause.since > OpenConnections.fairTime
        }
        var isStale: Bool { isProven || hasGone.load(ordering: .relaxed) }
        var mayLeave: Bool { !isLeaving.load(ordering: .relaxed) }
    }
}
