import NIOCore
import Testing

@testable import Host

/// How the bytes of a connection are cut, before a decoder sees them.
@Suite struct RequestSlicerTests {
    /// Feeds bytes in reads of `size`, and takes all pieces after each.
    private func pieces(_ text: String, by size: Int, _ position: RequestSlicer.Position = .head) -> [String] {
        var slicer = RequestSlicer()
        var pieces: [String] = []
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: size) {
            slicer.keep(ByteBuffer(bytes: bytes[start..<min(start + size, bytes.count)]))
            while let piece = slicer.next(position) { pieces.append(String(buffer: piece)) }
        }
        return pieces
    }

    @Test(arguments: ["\r\n", "\n"]) func noPieceHoldsTheEndsOfTwoHeads(_ end: String) {
        let head = "GET / HTTP/1.1\(end)Host: x\(end)\(end)"
        let text = String(repeating: head, count: 20)
        for size in [1, 2, 3, 7, 16, 18, 31, 64, 4_096] {
            let found = pieces(text, by: size)
            #expect(found.joined() == text)
            for piece in found {
                let ends = piece.utf8.indices.filter { piece.utf8[$0...].starts(with: (end + end).utf8) }
                #expect(ends.count <= 1, "reads of \(size): \(piece)")
                if ends.count == 1 { #expect(piece.hasSuffix(end + end), "reads of \(size): \(piece)") }
            }
        }
        #expect(pieces(text, by: 4_096).count == 20)
    }

    @Test func anEmptyLineInTwoReadsIsOne() {
        let head = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        for cut in 1..<head.utf8.count {
            let bytes = Array((head + head).utf8)
            var slicer = RequestSlicer()
            slicer.keep(ByteBuffer(bytes: bytes[..<cut]))
            var found: [String] = []
            while let piece = slicer.next(.head) { found.append(String(buffer: piece)) }
            slicer.keep(ByteBuffer(bytes: bytes[cut...]))
            while let piece = slicer.next(.head) { found.append(String(buffer: piece)) }
            #expect(found.last == head && found.dropLast().joined() == head, "cut at \(cut)")
        }
    }

    @Test func aBodyOfKnownLengthIsOnePiece() {
        var slicer = RequestSlicer()
        slicer.keep(ByteBuffer(string: "[\n\n1]GET / HTTP/1.1\n\n"))
        #expect(slicer.next(.body(missing: 5)).map { String(buffer: $0) } == "[\n\n1]")
        #expect(slicer.next(.head).map { String(buffer: $0) } == "GET / HTTP/1.1\n\n")
        #expect(slicer.isEmpty)
    }

    @Test func aBodyOfEmptyLinesIsNotCutAtEachOfThem() {
        let found = pieces(String(repeating: "\n", count: 10_000), by: 10_000, .chunks)
        #expect(found.count <= 20)
    }
}
