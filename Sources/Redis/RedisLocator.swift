public import NIOCore

/// Knows where the server is that takes writes now.
public protocol RedisLocator: Sendable, CustomStringConvertible {
    /// - Throws: any `RedisError` that keeps a store shut.
    func locate(on eventLoop: any EventLoop) async throws(RedisError) -> RedisEndpoint

    /// Says where the server is whenever it hears of it, unasked. Runs until cancelled.
    func watch(on eventLoop: any EventLoop, _ found: @escaping @Sendable (RedisEndpoint.Address) -> Void) async
}

extension RedisEndpoint: RedisLocator {
    public func locate(on eventLoop: any EventLoop) -> RedisEndpoint { self }
    public func watch(on eventLoop: any EventLoop, _ found: @escaping @Sendable (RedisEndpoint.Address) -> Void) {}
}
