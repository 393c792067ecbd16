import Glibc
import NIOCore

/// Cuts the bytes of a connection into pieces of which none holds the end of more than one request, so that a decoder
/// behind it makes one request at a time, however many a client has sent: 18 bytes of a request become 2.5 kB of memory.
///
/// The decoder alone reads HTTP. This relies on one property of HTTP/1.1 only: a head, and a body in chunks, end with an
/// empty line.
struct RequestSlicer {
    /// Where the decoder stands.
    enum Position {
        /// Between two requests, or in a head.
        case head
        /// In a body of which so many bytes are missing.
        case body(missing: Int)
        /// In a body whose end only its own bytes tell.
        case chunks
    }

    /// Bytes that may be held: what a socket gives in one read, several times. More comes only from a client that has sent
    /// a lot ahead of its turn and then ended its side, because the rest of such a connection is read at once.
    static let capacity = 256 << 10
    /// Empty lines may stand in a body in chunks too. A piece of at least this size keeps the cost of a body of nothing but
    /// empty lines bounded, and the requests that may follow it in the same piece few.
    private static let leastOfChunks = 512

    private var held = ByteBuffer()
    /// What the last piece ended with, for an empty line that comes in two pieces.
    private enum LineEnd { case none, lineFeed, carriageReturn }
    private var last = LineEnd.none

    var isEmpty: Bool { held.readableBytes == 0 }
    var count: Int { held.readableBytes }

    mutating func keep(_ bytes: ByteBuffer) {
        if held.readableBytes == 0 {
            held = bytes
        } else {
            held.writeImmutableBuffer(bytes)
        }
    }

    mutating func removeAll() { held = ByteBuffer() }

    /// The next bytes for the decoder; nil when there are none.
    mutating func next(_ position: Position) -> ByteBuffer? {
        guard held.readableBytes > 0 else { return nil }
        switch position {
        case .head: return take(length(from: 0))
        case .chunks: return take(length(from: min(Self.leastOfChunks, held.readableBytes)))
        case .body(let missing):
            last = .none
            return take(min(max(missing, 1), held.readableBytes))
        }
    }

    private mutating func take(_ count: Int) -> ByteBuffer? {
        if count < held.readableBytes { return held.readSlice(length: count) }
        defer { held = ByteBuffer() }
        return held
    }

    /// Through the first empty line that ends behind `start`, or all that is held.
    private mutating func length(from start: Int) -> Int {
        let (length, last) = held.withUnsafeReadableBytes { bytes -> (Int, LineEnd) in
            // What stands in front of `place`.
            var before = start == 0 ? self.last : Self.end(of: bytes, at: start)
            var place = start
            while place < bytes.count {
                switch (before, bytes[place]) {
                case (.lineFeed, Self.lineFeed), (.carriageReturn, Self.lineFeed): return (place + 1, .lineFeed)
                case (.lineFeed, Self.carriageReturn):
                    before = .carriageReturn
                    place += 1
                default:
                    // SAFETY: within the buffer.
                    let found = memchr(bytes.baseAddress! + place, Int32(Self.lineFeed), bytes.count - place)
                    guard let found else { return (bytes.count, .none) }
                    before = .lineFeed
                    place = UnsafeRawPointer(found) - bytes.baseAddress! + 1
                }
            }
            return (bytes.count, before)
        }
        self.last = last
        return length
    }

    private static func end(of bytes: UnsafeRawBufferPointer, at place: Int) -> LineEnd {
        if bytes[place - 1] == lineFeed { return .lineFeed }
        return place > 1 && bytes[place - 1] == carriageReturn && bytes[place - 2] == lineFeed ? .carriageReturn : .none
    }

    private static let lineFeed = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")
}
