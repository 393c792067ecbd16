import Synchronization

/// A TCP proxy on a loopback port that does to its connections what networks do. Everything can be switched while they live.
///
/// It has a thread of its own. What it does at random comes from its seed. It ends with its owner, and so do its connections.
public final class FaultProxy: Sendable {
    public enum Direction: Sendable, CaseIterable { case toServer, toClient }

    public enum Toxic: Sendable, Hashable {
        /// every piece comes so much later
        case latency(Duration)
        /// every piece comes up to so much later
        case jitter(Duration)
        /// a black hole: bytes are read and kept, none passes, and nobody closes. What was kept goes on when it is healed.
        case timeout
        /// the next bytes are answered with a reset, to both sides
        case reset
        /// so many more bytes of each connection pass, then both sides see an orderly end
        case cut(after: Int)
        /// an end is passed on so much later
        case slowClose(Duration)
        /// bytes per second
        case bandwidth(Int)

        public var name: String {
            switch self {
            case .latency: "latency"
            case .jitter: "jitter"
            case .timeout: "timeout"
            case .reset: "reset"
            case .cut: "cut"
            case .slowClose: "slow close"
            case .bandwidth: "bandwidth"
            }
        }
    }

    /// An instant on the wire, at which the connection is held until the trap is released.
    public enum Moment: Sendable, Hashable {
        /// A client has connected; the server knows nothing of it yet.
        case accepted
        /// These bytes were sent by a client. What came before them has passed, they have not.
        case request(containing: [UInt8])
        /// A request with these bytes has passed, and the first bytes that came back have not.
        case firstReply(to: [UInt8])
        /// These bytes were sent by the server. What came before them has passed, they have not.
        case reply(containing: [UInt8])

        public static func request(_ text: String) -> Moment { .request(containing: Array(text.utf8)) }
        public static func firstReply(_ text: String) -> Moment { .firstReply(to: Array(text.utf8)) }
        public static func reply(_ text: String) -> Moment { .reply(containing: Array(text.utf8)) }
    }

    /// A moment that is waited for. It comes once.
    public struct Trap: Sendable {
        let core: FaultProxyCore
        let id: Int

        public var isSprung: Bool { core.wire.withLock { $0.traps[id]?.isSprung ?? false } }

        /// Waits until the moment has come, with a bound.
        public func sprung(within bound: Duration = .seconds(20)) async throws {
            try await eventually("the moment on the wire", within: bound, every: .milliseconds(2)) { isSprung }
        }

        /// Lets go on what was held; the moment is waited for no more.
        public func release() { core.change { $0.traps[id]?.isReleased = true } }
    }

    public struct Counts: Sendable {
        /// Taken, since the beginning.
        public var connections = 0
        /// Living now.
        public var open = 0
        /// Passed on, by direction.
        public var bytes: [Direction: Int] = [:]
        /// How often each toxic did something to somebody, by its name.
        public var bites: [String: Int] = [:]
    }

    public let port: Int
    private let core: FaultProxyCore

    /// - Parameters:
    ///   - target: a loopback port; nil to name it later by `lead(to:)`.
    ///   - peers: names a client by the first bytes it sent, nil until they suffice; so a toxic may be for some of those
    ///     that come to one port.
    public init(
        to target: Int? = nil, seed: UInt64 = 1, peers: @escaping @Sendable ([UInt8]) -> String? = { _ in nil }
    ) throws {
        let (port, listener) = try Self.listening()
        self.port = port
        core = try FaultProxyCore(port: port, listener: listener, target: target, seed: seed, peers: peers)
        Task.detached { [core] in try? await onThread { core.run() } }
    }

    /// A port that is free may be another process's by the time it is used.
    private static func listening() throws -> (port: Int, listener: Int32) {
        for _ in 0..<20 {
            let port = try freePort()
            if let listener = try? WireSocket.listen(on: port) { return (port, listener) }
        }
        throw TestFailure("no free port on loopback")
    }

    deinit { core.change { $0.isOver = true } }

    /// Where new connections go.
    public func lead(to target: Int) { core.change { $0.target = target } }

    /// - Parameters:
    ///   - direction: nil for both.
    ///   - peer: nil for everybody's connections.
    public func add(_ toxic: Toxic, _ direction: Direction? = nil, peer: String? = nil) {
        core.change { wire in
            for one in direction.map({ [$0] }) ?? Direction.allCases {
                wire.number += 1
                wire.toxics.append(Wire.Applied(id: wire.number, toxic: toxic, direction: one, peer: peer))
            }
        }
    }

    /// Listens no more; what is connected lives on.
    public func refuse() { core.change { $0.refuses = true } }

    /// Resets what is connected, now.
    /// - Parameter peer: nil for everybody's connections.
    public func resetConnections(peer: String? = nil) {
        core.change { wire in
            for link in wire.links where peer == nil || link.peer == peer { link.end(reset: true) }
        }
    }

    /// No toxics, no traps, and it listens.
    public func heal() {
        core.change { wire in
            wire.toxics.removeAll()
            wire.traps.removeAll()
            wire.refuses = false
        }
    }

    /// - Parameter peer: nil for everybody's connections. Nobody has a name yet when a connection is accepted.
    public func arm(_ moment: Moment, peer: String? = nil) -> Trap {
        Trap(
            core: core,
            id: core.change { wire in
                wire.number += 1
                wire.traps[wire.number] = Wire.Trap(moment: moment, peer: peer)
                return wire.number
            })
    }

    public var counts: Counts { core.wire.withLock { $0.counts } }
}
