public import NIOCore

/// Knows where the server is that takes writes now.
public protocol RedisLocator: Sendable, CustomStringConvertible {
    /// - Throws: any `RedisError` that keeps a store shut.
    func locate(on eventLoop: any EventLoop) async throws(RedisError) -> RedisEndpoint

    /// Says where the server is whenever it hears of it, unasked. Runs until cancelled.
    func watch(on eventLoop: any EventLoop, _ found: @escaping @Sendable (RedisEndpoint.Address) -> Void) async

    /// Of the Sentinels that it asks: how many named a master when they were last asked, and how many there are. Nil when
    /// there are none, and while nobody watches.
    var sentinels: (answering: Int, known: Int)? { get }
}

extension RedisLocator {
    public var sentinels: (answering: Int, known: Int)? { nil }
}

extension RedisEndpoint: RedisLocator {
    public func locate(on eventLoop: any EventLoop) -> RedisEndpoint { self }
    public func watch(on eventLoop: any EventLoop, _ found: @escaping @Sendable (RedisEndpoint.Address) -> Void) {}
}
