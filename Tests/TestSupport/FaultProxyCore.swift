import Glibc
import Synchronization

/// What the proxy's thread and its owner share, under one lock.
struct Wire {
    struct Applied {
        let id: Int
        let toxic: FaultProxy.Toxic
        let direction: FaultProxy.Direction
        let peer: String?

        func concerns(_ link: FaultProxyLink, _ direction: FaultProxy.Direction) -> Bool {
            self.direction == direction && (peer == nil || peer == link.peer)
        }
    }
    struct Trap {
        let moment: FaultProxy.Moment
        let peer: String?
        var isSprung = false
        var isReleased = false

        func waits(for link: FaultProxyLink) -> Bool { !isSprung && !isReleased && (peer == nil || peer == link.peer) }
    }

    let peers: @Sendable ([UInt8]) -> String?
    var target: Int?
    var random: SeededRandom
    /// Of the last toxic or trap.
    var number = 0
    var toxics: [Applied] = []
    var traps: [Int: Trap] = [:]
    var links: [FaultProxyLink] = []
    var refuses = false
    var isOver = false
    var counts = FaultProxy.Counts()
    var listener: Int32?

    mutating func bite(_ toxic: FaultProxy.Toxic) { counts.bites[toxic.name, default: 0] += 1 }

    func toxics(_ link: FaultProxyLink, _ direction: FaultProxy.Direction) -> [Applied] {
        toxics.filter { $0.concerns(link, direction) }
    }

    func holds(_ trap: Int?) -> Bool {
        guard let trap, let found = traps[trap] else { return false }
        return !found.isReleased
    }
}

/// The same numbers for the same seed (SplitMix64).
public struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(_ seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

/// The thread of a proxy, and its lock. The descriptors are closed by the thread alone.
final class FaultProxyCore: Sendable {
    let wire: Mutex<Wire>
    private let port: Int
    private let wakes: (read: Int32, write: Int32)

    init(port: Int, listener: Int32, target: Int?, seed: UInt64, peers: @escaping @Sendable ([UInt8]) -> String?) throws
    {
        self.port = port
        wakes = try WireSocket.wakes()
        wire = Mutex(Wire(peers: peers, target: target, random: SeededRandom(seed), listener: listener))
    }

    deinit {
        close(wakes.read)
        close(wakes.write)
    }

    func change<Value: Sendable>(_ body: (inout Wire) -> Value) -> Value {
        defer { _ = write(wakes.write, [1], 1) }
        return wire.withLock { body(&$0) }
    }

    func run() {
        while true {
            var polled = [pollfd(fd: wakes.read, events: Int16(POLLIN), revents: 0)]
            let (over, pause) = wire.withLock { wire -> (Bool, Duration) in
                listen(&wire)
                if let listener = wire.listener {
                    polled.append(pollfd(fd: listener, events: Int16(POLLIN), revents: 0))
                }
                for link in wire.links { link.poll(into: &polled) }
                return (wire.isOver, wire.links.map(\.pause).min() ?? .seconds(1))
            }
            if over { break }
            // Rounded up: woken before its time, the thread would only turn.
            let nanoseconds = pause.components.seconds * 1_000_000_000 + pause.components.attoseconds / 1_000_000_000
            let milliseconds = max(0, min(1_000, (nanoseconds + 999_999) / 1_000_000))
            _ = Glibc.poll(&polled, nfds_t(polled.count), Int32(milliseconds))
            while case .bytes = Self.drained(wakes.read) {}
            wire.withLock { wire in
                accept(&wire)
                for link in wire.links { link.step(&wire) }
                wire.links.removeAll { $0.isClosed }
                wire.counts.open = wire.links.count
            }
        }
        wire.withLock { wire in
            for link in wire.links { link.close() }
            wire.links = []
            if let listener = wire.listener { close(listener) }
            wire.listener = nil
        }
    }

    private static func drained(_ descriptor: Int32) -> WireSocket.Piece {
        var bytes = [UInt8](repeating: 0, count: 64)
        return Glibc.read(descriptor, &bytes, bytes.count) > 0 ? .bytes([]) : .nothing
    }

    private func listen(_ wire: inout Wire) {
        if wire.refuses, let listener = wire.listener {
            close(listener)
            wire.listener = nil
        } else if !wire.refuses, wire.listener == nil {
            wire.listener = try? WireSocket.listen(on: port)
        }
    }

    private func accept(_ wire: inout Wire) {
        guard !wire.refuses, let listener = wire.listener else { return }
        while let client = WireSocket.accept(listener) {
            wire.counts.connections += 1
            let link = FaultProxyLink(client: client)
            let trap = wire.traps.first { $0.value.moment == .accepted && $0.value.waits(for: link) }?.key
            if let trap {
                wire.traps[trap]?.isSprung = true
                link.heldBy = trap
            }
            wire.links.append(link)
        }
    }
}
