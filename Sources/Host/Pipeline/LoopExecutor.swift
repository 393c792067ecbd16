import NIOCore

/// Runs the work of a task on an event loop, so that between a connection's bytes and its answer no other thread is waited
/// for. What is given to it must not block: every connection of the loop would wait.
final class LoopExecutor: TaskExecutor {
    private let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

/// What the connections of one event loop share.
struct LoopShare: Sendable {
    let executor: LoopExecutor
    let lines: NIOLoopBoundBox<LineBatch>

    init(_ eventLoop: any EventLoop) {
        executor = LoopExecutor(eventLoop)
        lines = .makeBoxSendingValue(LineBatch(on: eventLoop), eventLoop: eventLoop)
    }
}

/// One for each loop of a group.
struct LoopShares: Sendable {
    private let known: [ObjectIdentifier: LoopShare]

    init(_ group: any EventLoopGroup) {
        known = Dictionary(group.makeIterator().map { (ObjectIdentifier($0), LoopShare($0)) }) { first, _ in first }
    }

    subscript(eventLoop: any EventLoop) -> LoopShare { known[ObjectIdentifier(eventLoop)] ?? LoopShare(eventLoop) }
}
