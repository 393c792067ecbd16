import Glibc

/// One direction of a connection: what was read and has not passed yet.
final class FaultProxyPipe {
    private struct Piece {
        var bytes: ArraySlice<UInt8>
        let due: ContinuousClock.Instant
        let trap: Int?
        var isBitten = false
    }
    /// Of what may wait here, in bytes; past it the source is read no more.
    private static let most = 8 << 20

    let direction: FaultProxy.Direction
    private var pieces: [Piece] = []
    private var waiting = 0
    private var due = ContinuousClock.now
    /// Last bytes of what came, for patterns that two reads have cut.
    private var tail: [UInt8] = []
    /// Traps whose request has passed.
    var expected: Set<Int> = []
    /// Bytes that each cut still lets pass.
    private var left: [Int: Int] = [:]
    /// Of a limited bandwidth: when the next bytes may go.
    private var free = ContinuousClock.now
    private var end: (reset: Bool, at: ContinuousClock.Instant)?
    private var isEndBitten = false
    private(set) var isOver = false
    /// The other side takes no more at the moment.
    private(set) var isBlocked = false
    private var next: ContinuousClock.Instant?

    init(_ direction: FaultProxy.Direction) { self.direction = direction }

    var reads: Bool { end == nil && waiting < Self.most }

    var pause: Duration { next.map { ContinuousClock.now.duration(to: $0) } ?? .seconds(1) }

    func sourceEnded(reset: Bool) { if end == nil { end = (reset, .now) } }

    // MARK: Taking in

    func take(_ bytes: [UInt8], of link: FaultProxyLink, _ wire: inout Wire) {
        var delay = Duration.zero
        for applied in wire.toxics(link, direction) {
            switch applied.toxic {
            case .latency(let time): delay += time
            case .jitter(let most):
                delay += most * Double.random(in: 0...1, using: &wire.random)
            default: continue
            }
            wire.bite(applied.toxic)
        }
        due = max(due, .now + delay)
        waiting += bytes.count
        var rest = bytes[...]
        for (place, trap) in sprung(by: bytes, link, &wire) where place >= rest.startIndex {
            if place > rest.startIndex { pieces.append(Piece(bytes: rest[..<place], due: due, trap: nil)) }
            rest = rest[place...]
            pieces.append(Piece(bytes: [], due: due, trap: trap))
        }
        pieces.append(Piece(bytes: rest, due: due, trap: nil))
    }

    /// Traps that these bytes spring, each with the place from which on they are held.
    private func sprung(by bytes: [UInt8], _ link: FaultProxyLink, _ wire: inout Wire) -> [(place: Int, trap: Int)] {
        guard !wire.traps.isEmpty else {
            tail = []
            return []
        }
        var found: [(place: Int, trap: Int)] = []
        let seen = tail + bytes
        for (id, trap) in wire.traps where trap.waits(for: link) {
            switch (trap.moment, direction) {
            case (.request(let pattern), .toServer), (.reply(containing: let pattern), .toClient):
                if let place = Self.place(of: pattern, in: seen) { found.append((max(0, place - tail.count), id)) }
            case (.firstReply(to: let pattern), .toServer):
                if Self.place(of: pattern, in: seen) != nil { link.expectReply(id) }
            case (.firstReply(to: _), .toClient):
                if expected.contains(id) { found.append((0, id)) }
            default: break
            }
        }
        for (_, id) in found { wire.traps[id]?.isSprung = true }
        tail = Array(seen[max(0, seen.count - 256)...])
        return found.sorted { $0.place < $1.place }
    }

    /// By libc: all scripts of a host pass here with each new connection, and a debug build that looks at each byte holds them
    /// for longer than the host waits.
    static func place(of pattern: [UInt8], in bytes: [UInt8]) -> Int? {
        guard let first = pattern.first else { return nil }
        return bytes.withUnsafeBytes { bytes -> Int? in
            pattern.withUnsafeBytes { pattern -> Int? in
                guard let base = bytes.baseAddress, let words = pattern.baseAddress else { return nil }
                var start = 0
                while bytes.count - start >= pattern.count,
                    let hit = memchr(base + start, Int32(first), bytes.count - pattern.count - start + 1)
                {
                    start = UnsafeRawPointer(hit) - base
                    if memcmp(hit, words, pattern.count) == 0 { return start }
                    start += 1
                }
                return nil
            }
        }
    }

    // MARK: Passing on

    func pass(to descriptor: Int32, on link: FaultProxyLink, _ wire: inout Wire) {
        (isBlocked, next) = (false, nil)
        let toxics = wire.toxics(link, direction)
        while let piece = pieces.first {
            if wire.holds(piece.trap) { return }
            if piece.bytes.isEmpty {
                pieces.removeFirst()
                continue
            }
            guard let room = room(for: piece, toxics, link, &wire) else { return }
            let bytes = piece.bytes.prefix(room)
            guard let sent = WireSocket.write(bytes, to: descriptor) else { return link.end(reset: true) }
            isBlocked = sent < bytes.count
            count(sent, toxics, &wire)
            pieces[0].bytes = piece.bytes.dropFirst(sent)
            if finished(toxics, link, &wire) || isBlocked { return }
        }
        passEnd(to: descriptor, toxics, link, &wire)
    }

    /// How much of a piece may go now; nil when nothing may.
    private func room(for piece: Piece, _ toxics: [Wire.Applied], _ link: FaultProxyLink, _ wire: inout Wire) -> Int? {
        var room = piece.bytes.count
        for applied in toxics {
            switch applied.toxic {
            case .timeout:
                bite(applied, &wire)
                return nil
            case .reset:
                wire.bite(applied.toxic)
                link.end(reset: true)
                return nil
            case .bandwidth(let rate):
                let quantum = max(1, rate / 20)
                if piece.bytes.count > quantum || ContinuousClock.now < free { bite(applied, &wire) }
                if ContinuousClock.now < free {
                    next = free
                    return nil
                }
                room = min(room, quantum)
            case .cut(let after):
                let rest = left[applied.id] ?? after
                if rest == 0 {
                    wire.bite(applied.toxic)
                    link.end(reset: false)
                    return nil
                }
                room = min(room, rest)
            case .latency, .jitter, .slowClose: break
            }
        }
        if piece.due > .now {
            next = piece.due
            return nil
        }
        return room
    }

    private func count(_ sent: Int, _ toxics: [Wire.Applied], _ wire: inout Wire) {
        waiting -= sent
        wire.counts.bytes[direction, default: 0] += sent
        for applied in toxics {
            switch applied.toxic {
            case .bandwidth(let rate): free = max(free, .now) + .seconds(1) * (Double(sent) / Double(max(1, rate)))
            case .cut(let after): left[applied.id] = (left[applied.id] ?? after) - sent
            default: break
            }
        }
    }

    /// Whether a cut has come to its last byte.
    private func finished(_ toxics: [Wire.Applied], _ link: FaultProxyLink, _ wire: inout Wire) -> Bool {
        guard let cut = toxics.first(where: { left[$0.id] == 0 }) else { return false }
        wire.bite(cut.toxic)
        link.end(reset: false)
        return true
    }

    private func passEnd(
        to descriptor: Int32, _ toxics: [Wire.Applied], _ link: FaultProxyLink, _ wire: inout Wire
    ) {
        guard let end, !isOver else { return }
        for applied in toxics {
            switch applied.toxic {
            case .timeout:
                if !isEndBitten { wire.bite(applied.toxic) }
                isEndBitten = true
                return
            case .slowClose(let delay):
                if !isEndBitten { wire.bite(applied.toxic) }
                isEndBitten = true
                if ContinuousClock.now < end.at + delay {
                    next = end.at + delay
                    return
                }
            default: break
            }
        }
        isOver = true
        if end.reset { link.end(reset: true) } else { WireSocket.endWriting(descriptor) }
    }

    /// Once for each piece.
    private func bite(_ applied: Wire.Applied, _ wire: inout Wire) {
        guard pieces.first?.isBitten == false else { return }
        pieces[0].isBitten = true
        wire.bite(applied.toxic)
    }
}
