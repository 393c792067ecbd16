import Glibc
import Logging
import NIOConcurrencyHelpers

/// Writes the log to a file descriptor on a thread of its own. Adding a line never waits: a reader of the log that does
/// not read costs lines of the log, never an answer to a sender.
final class LogWriter: Sendable {
    /// The process's standard error.
    static let standardError = LogWriter(to: STDERR_FILENO)

    /// Bytes that may wait: 4 000 lines of requests, so a quarter of a second at 16 000 requests a second. As many again
    /// may be with the thread.
    static let capacity = 1 << 20
    /// How long a stop waits for the log's reader.
    static let patience = 2.0
    /// PIPE_BUF of Linux: a write of up to this goes to a pipe in one piece, so lines of two processes never mix.
    private static let piece = 4_096
    /// A buffer that has grown beyond this is given back to the allocator.
    private static let kept = 64 << 10

    private enum Condition {
        /// Nothing waits, and the thread waits for bytes.
        case idle
        case bytesWait
        /// The thread writes, and nothing waits behind that.
        case writing
    }

    private let file: Int32
    private let lock = ConditionLock(value: Condition.idle)
    private struct State {
        var waiting: [UInt8] = []
        var spare: [UInt8] = []
        var hasThread = false
        /// Lines dropped since the log said so.
        var dropped = 0
        var onDrop: (@Sendable (Int) -> Void)?

        /// - Parameter buffer: an empty one; it becomes the lines that wait.
        /// - Returns: how many lines were dropped.
        mutating func take(into buffer: inout [UInt8]) -> Int {
            swap(&buffer, &waiting)
            swap(&waiting, &spare)
            defer { dropped = 0 }
            return dropped
        }
    }
    // SAFETY: used with the lock held.
    nonisolated(unsafe) private var state = State()

    init(to file: Int32) { self.file = file }

    /// - Parameter body: called with the number of lines that were dropped, each time.
    func whenDropped(_ body: @escaping @Sendable (Int) -> Void) {
        lock.lock()
        state.onDrop = body
        lock.unlock()
    }

    /// Adds whole lines. Past the bound they are dropped.
    func add(_ lines: [UInt8]) {
        lock.lock()
        if !state.hasThread { state.hasThread = start() }
        guard state.hasThread, state.waiting.count + lines.count <= Self.capacity else {
            return drop(Self.count(lines[...]))
        }
        state.waiting += lines
        lock.unlock(withValue: .bytesWait)
    }

    /// Waits until everything is written, or for so many seconds.
    /// - Returns: whether everything is written.
    @discardableResult
    func flush(within seconds: Double = patience) -> Bool {
        guard lock.lock(whenValue: .idle, timeoutSeconds: seconds) else { return false }
        lock.unlock()
        return true
    }

    /// With the lock held, which it lets go.
    private func drop(_ lines: Int) {
        state.dropped += lines
        let onDrop = state.onDrop
        lock.unlock()
        onDrop?(lines)
    }

    // MARK: The thread

    private func start() -> Bool {
        var thread = pthread_t()
        // SAFETY: released by the thread, or below when there is none.
        let context = Unmanaged.passRetained(self).toOpaque()
        let code = pthread_create(
            &thread, nil,
            { context in
                // SAFETY: the reference passed above.
                if let context { Unmanaged<LogWriter>.fromOpaque(context).takeUnretainedValue().run() }
                return nil
            }, context)
        guard code == 0 else {
            // SAFETY: there is no thread that has it.
            Unmanaged<LogWriter>.fromOpaque(context).release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    private func run() {
        // A reader that is gone is an error of the write, not the end of the process.
        var pipe = sigset_t()
        sigemptyset(&pipe)
        sigaddset(&pipe, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &pipe, nil)
        while true {
            lock.lock(whenValue: .bytesWait)
            var bytes: [UInt8] = []
            let lost = state.take(into: &bytes)
            lock.unlock(withValue: .writing)

            var failed = write(bytes)
            if lost > 0 { failed += write(Self.notice(of: lost)) }
            if bytes.capacity > Self.kept { bytes = [] } else { bytes.removeAll(keepingCapacity: true) }

            lock.lock()
            swap(&bytes, &state.spare)
            let next: Condition = state.waiting.isEmpty ? .idle : .bytesWait
            let onDrop = state.onDrop
            lock.unlock(withValue: next)
            if failed > 0 { onDrop?(failed) }
        }
    }

    /// - Returns: lines that could not be written.
    private func write(_ bytes: [UInt8]) -> Int {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard write(piece: rest.prefix(Self.length(ofPieceOf: rest))) else { return Self.count(rest) }
            rest = rest.dropFirst(Self.length(ofPieceOf: rest))
        }
        return 0
    }

    private func write(piece: ArraySlice<UInt8>) -> Bool {
        var rest = piece
        while !rest.isEmpty {
            // SAFETY: reads at most what is left of the slice.
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if count < 0, errno == EAGAIN {
                // Another process may have made the terminal or the pipe non-blocking.
                var entry = pollfd(fd: file, events: Int16(POLLOUT), revents: 0)
                poll(&entry, 1, -1)
            } else if count == 0 || errno != EINTR {
                return false
            }
        }
        return true
    }

    /// As many whole lines as one write takes; of a line that is longer than that, all of it.
    private static func length(ofPieceOf bytes: ArraySlice<UInt8>) -> Int {
        guard bytes.count > piece else { return bytes.count }
        let end = UInt8(ascii: "\n")
        if let last = bytes.prefix(piece).lastIndex(of: end) { return last + 1 - bytes.startIndex }
        return bytes.firstIndex(of: end).map { $0 + 1 - bytes.startIndex } ?? bytes.count
    }

    private static func count(_ lines: ArraySlice<UInt8>) -> Int {
        lines.reduce(0) { $0 + ($1 == UInt8(ascii: "\n") ? 1 : 0) }
    }

    private static func notice(of lost: Int) -> [UInt8] {
        JSONLogHandler.line(
            level: .warning, message: "lines of the log were dropped: its reader did not keep up", label: "portcullis",
            metadata: ["dropped": .stringConvertible(lost)], now: .now)
    }
}
