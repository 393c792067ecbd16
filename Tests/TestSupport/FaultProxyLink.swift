import Glibc

/// One connection through a proxy. Touched under the proxy's lock alone.
final class FaultProxyLink {
    private let client: Int32
    private var server: Int32?
    private let requests = FaultProxyPipe(.toServer)
    private let replies = FaultProxyPipe(.toClient)
    /// The client's first bytes, until they have given it a name.
    private var head: [UInt8]? = []
    private(set) var peer: String?
    /// Before the server hears of it.
    var heldBy: Int?
    private(set) var isClosed = false
    /// When both sides have been told that it is over; what still comes is dropped.
    private var ending: ContinuousClock.Instant?

    init(client: Int32) { self.client = client }

    /// Ends it now.
    func end(reset: Bool) {
        if reset {
            resets = true
        } else if ending == nil {
            ending = .now + .seconds(2)
            for descriptor in [client, server].compactMap({ $0 }) { WireSocket.endWriting(descriptor) }
        }
    }
    private var resets = false

    func close(reset: Bool = false) {
        guard !isClosed else { return }
        isClosed = true
        for descriptor in [client, server].compactMap({ $0 }) {
            if reset { WireSocket.reset(descriptor) } else { Glibc.close(descriptor) }
        }
    }

    /// Until there is something to do that no descriptor tells of.
    var pause: Duration {
        if resets { return .zero }
        if let ending { return ContinuousClock.now.duration(to: ending) }
        return min(requests.pause, replies.pause)
    }

    func poll(into polled: inout [pollfd]) {
        // Whoever hangs up is always told of, and would keep the thread turning: each is asked only for what is wanted.
        let (reads, writes) = (Int16(POLLIN), Int16(POLLOUT))
        var wanted: [(Int32?, Int16)] = [
            (client, (requests.reads ? reads : 0) | (replies.isBlocked ? writes : 0)),
            (server, (replies.reads ? reads : 0) | (requests.isBlocked ? writes : 0)),
        ]
        if ending != nil { wanted = [(client, requests.reads ? reads : 0), (server, replies.reads ? reads : 0)] }
        for case (let descriptor?, let events) in wanted where events != 0 {
            polled.append(pollfd(fd: descriptor, events: events, revents: 0))
        }
    }

    func step(_ wire: inout Wire) {
        if isClosed { return }
        if resets { return close(reset: true) }
        connect(&wire)
        if isClosed { return }
        read(client, into: requests, &wire)
        if let server { read(server, into: replies, &wire) }
        if let ending {
            if ContinuousClock.now >= ending || (!requests.reads && !replies.reads) { close() }
            return
        }
        guard let server else { return }
        requests.pass(to: server, on: self, &wire)
        if !isClosed, ending == nil { replies.pass(to: client, on: self, &wire) }
        if resets { return close(reset: true) }
        if requests.isOver, replies.isOver { close() }
    }

    private func connect(_ wire: inout Wire) {
        guard server == nil, ending == nil, !wire.holds(heldBy) else { return }
        guard let target = wire.target, let made = WireSocket.connect(to: target) else { return close(reset: true) }
        server = made
    }

    private func read(_ descriptor: Int32, into pipe: FaultProxyPipe, _ wire: inout Wire) {
        while pipe.reads {
            switch WireSocket.read(descriptor) {
            case .nothing: return
            case .bytes(let bytes):
                if ending != nil { continue }
                if pipe === requests { name(by: bytes, wire) }
                pipe.take(bytes, of: self, &wire)
            case .end: pipe.sourceEnded(reset: false)
            case .reset: pipe.sourceEnded(reset: true)
            }
        }
    }

    private func name(by bytes: [UInt8], _ wire: Wire) {
        guard var known = head else { return }
        known += bytes
        peer = wire.peers(known)
        head = peer == nil && known.count < 1_024 ? known : nil
    }

    /// The first bytes that come back after this are the reply to what `trap` waits for.
    func expectReply(_ trap: Int) { replies.expected.insert(trap) }
}
