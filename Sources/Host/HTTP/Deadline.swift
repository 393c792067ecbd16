import NIOConcurrencyHelpers
import NIOCore

/// Runs `body` and waits for it at most until the deadline. Past it the body is cancelled and left to end by itself.
///
/// - Returns: nil when the deadline came first.
func before<Value: Sendable>(
    _ deadline: NIODeadline, on eventLoop: any EventLoop, _ body: @escaping @Sendable () async -> Value
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
        let task = Task {
            let value = await body()
            resume(value)
        }
        let timer = eventLoop.scheduleTask(deadline: deadline) {
            // In this order: what the cancellation makes of the body must not come first.
            resume(nil)
            task.cancel()
        }
        // The timer must not outlive the body: there may be many bodies within one deadline.
        Task {
            _ = await task.value
            timer.cancel()
        }
    }
}
