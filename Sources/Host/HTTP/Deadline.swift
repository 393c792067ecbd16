import NIOConcurrencyHelpers
import NIOCore

/// Runs `body` and waits for it at most until the deadline. Past it the body is cancelled and left to end by itself.
///
/// - Returns: nil when the deadline came first.
func before<Value: Sendable>(
    _ deadline: NIODeadline, on eventLoop: any EventLoop, _ body: @escaping @Sendable () async -> Value
) async -> Value? {
    let task = Task { await body() }
    defer { task.cancel() }
    return await value(of: task, before: deadline, on: eventLoop)
}

/// Waits for a task at most until the deadline. Past it the task goes on: what a cancellation would make of it must
/// not come first.
///
/// - Returns: nil when the deadline came first.
func value<Value: Sendable>(
    of task: Task<Value, Never>, before deadline: NIODeadline, on eventLoop: any EventLoop
) async -> Value? {
    let waiting = NIOLockedValueBox<CheckedContinuation<Value?, Never>?>(nil)
    @Sendable func resume(_ value: Value?) {
        waiting.withLockedValue { continuation in
            defer { continuation = nil }
            return continuation
        }?.resume(returning: value)
    }
    return await withCheckedContinuation { continuation in
        waiting.withLockedValue { $0 = continuation }
        let timer = eventLoop.scheduleTask(deadline: deadline) { resume(nil) }
        Task {
            resume(await task.value)
            // The timer must not outlive the task: there may be many within one deadline.
            timer.cancel()
        }
    }
}
