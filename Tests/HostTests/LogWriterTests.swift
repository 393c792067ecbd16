import Glibc
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Host

/// The writer of the log, before a pipe.
@Suite struct LogWriterTests {
    private func withPipe(_ body: (_ reading: Int32, _ writing: Int32) async throws -> Void) async throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        // No child of another test keeps them open.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        try await body(ends[0], ends[1])
    }

    /// All that `writer` has for this file.
    private func text(of file: Int32, from writer: LogWriter) async throws -> String {
        try await onThread {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let isWritten = writer.flush(within: 0)
                var entry = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
                if poll(&entry, 1, 10) == 1 {
                    let count = read(file, &buffer, buffer.count)
                    guard count > 0 else { break }
                    bytes += buffer[..<count]
                } else if isWritten {
                    break
                }
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    @Test func aReaderThatDoesNotReadCostsLinesAndNoTime() async throws {
        try await withPipe { reading, writing in
            let writer = LogWriter(to: writing)
            let dropped = NIOLockedValueBox(0)
            writer.whenDropped { count in dropped.withLockedValue { $0 += count } }
            let line = String(repeating: "x", count: 1_000) + "\n"
            // Without a bound or a thread this would never return, or keep all of it.
            let count = 4 * LogWriter.capacity / line.utf8.count
            for _ in 0..<count { writer.add(Array(line.utf8)) }
            #expect(!writer.flush(within: 0.05))
            let lost = dropped.withLockedValue { $0 }
            #expect(lost > 0 && lost < count)

            let told = try await text(of: reading, from: writer)
            let lines = told.split(separator: "\n")
            #expect(lines.filter { $0 == line.dropLast() }.count == count - lost)
            // The lines are whole, and others say how many are missing.
            let missing = lines.compactMap { $0.split(separator: "\"dropped\":").dropFirst().first?.dropLast() }
            #expect(missing.compactMap { Int($0) }.reduce(0, +) == lost)
            #expect(lines.count == count - lost + missing.count)
            #expect(writer.flush(within: 5))
            close(reading)
            close(writing)
        }
    }

    @Test func aReaderThatIsGoneCostsLinesAndNotTheProcess() async throws {
        try await withPipe { reading, writing in
            let writer = LogWriter(to: writing)
            let dropped = NIOLockedValueBox(0)
            writer.whenDropped { count in dropped.withLockedValue { $0 += count } }
            close(reading)
            writer.add(Array("one\ntwo\n".utf8))
            try await eventually("both are counted") { dropped.withLockedValue { $0 } == 2 }
            #expect(writer.flush(within: 5))
            close(writing)
        }
    }

    @Test func whatIsFlushedIsWritten() async throws {
        try await withPipe { reading, writing in
            let writer = LogWriter(to: writing)
            for place in 0..<100 { writer.add(Array("line \(place)\n".utf8)) }
            #expect(writer.flush(within: 5))
            let told = try await text(of: reading, from: writer)
            #expect(told == (0..<100).map { "line \($0)\n" }.joined())
            close(reading)
            close(writing)
        }
    }
}
