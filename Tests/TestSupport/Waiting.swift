import Glibc
import Synchronization

/// A test could not go on; the words say what was missing.
public struct TestFailure: Error, CustomStringConvertible, Sendable {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// Waits for something that will happen, with a bound.
/// - Parameter what: completes the sentence "never saw …".
public func eventually(
    _ what: @autoclosure () -> String, within bound: Duration = .seconds(20),
    every interval: Duration = .milliseconds(20),
    isolation: isolated (any Actor)? = #isolation, _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + bound
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw TestFailure("never saw \(what())") }
        try await Task.sleep(for: interval)
    }
}

/// Waits until `find` returns something, with a bound.
public func eventually<Found>(
    find what: @autoclosure () -> String, within bound: Duration = .seconds(20),
    every interval: Duration = .milliseconds(20),
    isolation: isolated (any Actor)? = #isolation, _ find: () async throws -> Found?
) async throws -> Found {
    let deadline = ContinuousClock.now + bound
    while true {
        if let found = try await find() { return found }
        guard ContinuousClock.now < deadline else { throw TestFailure("never saw \(what())") }
        try await Task.sleep(for: interval)
    }
}

/// Runs blocking code on a thread of its own, so that a test that waits for a socket holds no thread of Swift's
/// pool, which has only as many as the machine has cores.
public func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        let work = Work { continuation.resume(with: Result { try body() }) }
        // SAFETY: balanced by the release in the thread, or below when there is no thread.
        let context = Unmanaged.passRetained(work).toOpaque()
        var thread: pthread_t = 0
        let code = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                // SAFETY: the reference retained above.
                Unmanaged<Work>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context)
        if code == 0 {
            pthread_detach(thread)
        } else {
            // SAFETY: no thread was made to release it.
            Unmanaged<Work>.fromOpaque(context).release()
            continuation.resume(throwing: TestFailure("no thread: \(reason(code))"))
        }
    }
}

private final class Work: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// An errno in words.
func reason(_ code: Int32 = errno) -> String {
    // SAFETY: the text of an error number is never freed on glibc, and the numbers used here have constant ones.
    strerror(code).map { String(cString: $0) } ?? "error \(code)"
}

private let givenOut = Mutex<Set<Int>>([])

/// A TCP port on loopback that nothing listens on, never the same twice in this process. Below the range from which
/// the kernel takes ports for outgoing connections, so that no client can take it before its listener does.
public func freePort() throws -> Int {
    for _ in 0..<1_000 {
        let port = Int.random(in: 12_000..<32_000)
        let fresh = givenOut.withLock { $0.insert(port).inserted }
        if fresh, Socket.canListen(onLoopbackPort: port) { return port }
    }
    throw TestFailure("no free port on loopback")
}
