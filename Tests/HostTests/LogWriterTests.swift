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
        try await body(ends[0], ends[1])
    }

    private func text(of file: Int32, until isDone: @escaping @Sendable (String) -> Bool) async throws -> String {
        try await onThread {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while !isDone(String(decoding: bytes.suffix(512), as: UTF8.self)) {
                let count = read(file, &buffer, buffer.count)
                guard count > 0 else { break }
                bytes += buffer[..<count]
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

            let told = try await text(of: reading) { $0.contains("\"dropped\":\(lost)") && $0.hasSuffix("}\n") }
            let lines = told.split(separator: "\n")
            #expect(lines.filter { $0 == line.dropLast() }.count == count - lost)
            #expect(lines.count == count - lost + 1, "the lines are whole, and one says how many are missing")
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
            close(writing)
            let told = try await text(of: reading) { _ in false }
            #expect(told == (0..<100).map { "line \($0)\n" }.joined())
            close(reading)
        }
    }
}
