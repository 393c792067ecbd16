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
