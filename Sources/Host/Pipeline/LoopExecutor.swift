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

/// One for each loop of a group.
struct LoopExecutors: Sendable {
    private let known: [ObjectIdentifier: LoopExecutor]

    init(_ group: any EventLoopGroup) {
        known = Dictionary(group.makeIterator().map { (ObjectIdentifier($0), LoopExecutor($0)) }) { first, _ in first }
    }

    subscript(eventLoop: any EventLoop) -> LoopExecutor {
        known[ObjectIdentifier(eventLoop)] ?? LoopExecutor(eventLoop)
    }
}
