import NIOCore

/// Lines of the log that one turn of an event loop makes, written together: a system call for each was a twentieth of what
/// a request cost. They are written before the loop waits for anything; a process that is killed loses those of one turn.
final class LineBatch {
    /// PIPE_BUF of Linux: so much is written to a pipe in one piece, whoever else writes to it.
    private static let most = 4_096

    private let eventLoop: any EventLoop
    private var bytes: [UInt8] = []
    private var isDue = false

    init(on eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// On the event loop.
    func add(_ line: [UInt8]) {
        if bytes.count + line.count > Self.most { write() }
        bytes += line
        guard !isDue else { return }
        isDue = true
        eventLoop.assumeIsolated().execute {
            self.isDue = false
            self.write()
        }
    }

    private func write() {
        JSONLogHandler.write(bytes)
        bytes.removeAll(keepingCapacity: true)
    }
}
