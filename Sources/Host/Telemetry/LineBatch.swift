import NIOCore

/// Lines of the log that one turn of an event loop makes, handed to the log's writer together: waking its thread for each
/// would cost a system call a request. A process that is killed loses the lines that are not written yet.
final class LineBatch {
    /// A turn that makes many lines lets the thread begin with the first of them.
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
        LogWriter.standardError.add(bytes)
        bytes.removeAll(keepingCapacity: true)
    }
}
