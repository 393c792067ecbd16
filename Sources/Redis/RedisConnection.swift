internal import Glibc
public import NIOCore
internal import NIOPosix
internal import NIOSSL

/// One pipelined connection. Commands may be sent at any time from any task; replies come in order.
///
/// A command that gets no reply within its time closes the connection, and every command that waits on it fails
/// with `.timedOut`. The event loop must outlive the connection.
public final class RedisConnection: Sendable {
    public let eventLoop: any EventLoop
    /// The time a command has when `send` names none.
    public let timeout: Duration
    private let handler: NIOLoopBound<RedisChannelHandler>

    private init(_ handler: NIOLoopBound<RedisChannelHandler>, on eventLoop: any EventLoop, timeout: Duration) {
        (self.handler, self.eventLoop, self.timeout) = (handler, eventLoop, timeout)
    }

    /// Connects, logs in and selects the database, all within `timeout`.
    /// - Throws: any `RedisError` that shuts a store, or `.serverError` (a database that does not exist).
    public static func connect(
        to endpoint: RedisEndpoint, on eventLoop: any EventLoop, timeout: Duration = .seconds(1)
    ) async throws(RedisError) -> RedisConnection {
        try await connect(to: endpoint, on: eventLoop, timeout: timeout, pushed: nil)
    }

    /// - Parameter pushed: hears, on the event loop, what comes while nobody waits for a reply.
    static func connect(
        to endpoint: RedisEndpoint, on eventLoop: any EventLoop, timeout: Duration,
        pushed: (@Sendable (RedisValue) -> Void)?
    ) async throws(RedisError) -> RedisConnection {
        let deadline = NIODeadline.now() + TimeAmount(timeout)
        let connection: RedisConnection
        do {
            connection = try await bootstrap(endpoint, on: eventLoop, timeout: timeout, pushed)
        } catch {
            throw RedisError(connecting: error, to: endpoint)
        }
        do {
            try await connection.greet(endpoint, deadline: deadline)
        } catch {
            connection.close()
            throw error
        }
        return connection
    }

    private static func bootstrap(
        _ endpoint: RedisEndpoint, on eventLoop: any EventLoop, timeout: Duration,
        _ pushed: (@Sendable (RedisValue) -> Void)?
    ) async throws -> RedisConnection {
        let bootstrap = ClientBootstrap(group: eventLoop).connectTimeout(TimeAmount(timeout))
        let context = try endpoint.tls?.context()
        let initializer: @Sendable (any Channel) -> EventLoopFuture<RedisConnection> = { channel in
            channel.eventLoop.makeCompletedFuture {
                let secured = try context.map {
                    try NIOSSLClientHandler(context: $0, serverHostname: endpoint.certifiedName)
                }
                if let secured { try channel.pipeline.syncOperations.addHandler(secured) }
                let handler = RedisChannelHandler(ConnectionOpening(endpoint), secured: secured, pushed: pushed)
                try channel.pipeline.syncOperations.addHandler(handler)
                let bound = NIOLoopBound(handler, eventLoop: channel.eventLoop)
                return RedisConnection(bound, on: channel.eventLoop, timeout: timeout)
            }
        }
        switch endpoint.address {
        case .tcp(let host, let port):
            return try await bootstrap.channelOption(.socketOption(.so_keepalive), value: 1)
                .connect(host: host, port: port, channelInitializer: initializer)
        case .unix(let path):
            return try await bootstrap.connect(unixDomainSocketPath: path, channelInitializer: initializer)
        }
    }

    private func greet(_ endpoint: RedisEndpoint, deadline: NIODeadline) async throws(RedisError) {
        let password: String?
        do { password = try endpoint.password() } catch {
            throw RedisError(.noAuth, "the password can't be read: \(error); see \(endpoint.settings).password_file")
        }
        var commands: [RedisCommand] = []
        if let password {
            var login = RedisCommand("AUTH")
            if let username = endpoint.username { login.add(username) }
            login.add(password)
            commands.append(login)
        }
        commands.append(RedisCommand("CLIENT", "SETNAME", endpoint.clientName))
        if !endpoint.isSentinel { commands.append(RedisCommand("SELECT", String(endpoint.database))) }
        let replies = try await send(commands, deadline: deadline)
        if password != nil, case .error(let error) = replies[0] {
            // A server that does not know AUTH repeats its arguments in the error.
            let shown = error.code == .serverError ? "the server refused the login" : error.message
            throw endpoint.refusal(RedisError(error.code == .serverError ? .noAuth : error.code, shown))
        }
        guard case .error(let error) = replies[replies.count - 1] else { return }
        if endpoint.isSentinel {
            // One that wants a login says so to whatever it is told first.
            if error.code == .noAuth { throw endpoint.refusal(RedisError(error)) }
            return
        }
        // The name is a courtesy to whoever looks at CLIENT LIST; the ACL may forbid it. SELECT 0 changes nothing,
        // so it may be forbidden too, but what an unauthenticated or loading server says to it counts.
        if !(endpoint.database == 0 && error.code == .noPermission) { throw endpoint.refusal(RedisError(error)) }
    }

    /// - Throws: an error reply too.
    public func send(_ command: RedisCommand, timeout: Duration? = nil) async throws(RedisError) -> RedisValue {
        try await send([command], timeout: timeout)[0].get()
    }

    /// Sends all in one write and waits for all replies, one per command and in order. Error replies are values,
    /// so that one command that fails hides no other.
    /// - Throws: `.timedOut`, `.reset`, `.garbage`: what became of the commands is unknown.
    public func send(_ commands: [RedisCommand], timeout: Duration? = nil) async throws(RedisError) -> [RedisValue] {
        try await send(commands, deadline: .now() + TimeAmount(timeout ?? self.timeout))
    }

    func send(_ commands: [RedisCommand], deadline: NIODeadline) async throws(RedisError) -> [RedisValue] {
        guard !commands.isEmpty else { return [] }
        let bytes = RedisCommand.encode(commands)
        let result = await withCheckedContinuation { (waiter: RedisChannelHandler.Waiter) in
            // Most callers are on the loop already, and it is a whole turn of it that they save.
            if eventLoop.inEventLoop {
                handler.value.send(bytes, count: commands.count, deadline: deadline, waiter)
            } else {
                eventLoop.execute {
                    self.handler.value.send(bytes, count: commands.count, deadline: deadline, waiter)
                }
            }
        }
        return try result.get()
    }

    /// Sends a command whose replies are heard by `pushed`.
    func push(_ command: RedisCommand) {
        let bytes = RedisCommand.encode([command])
        eventLoop.execute { self.handler.value.push(bytes) }
    }

    /// Calls `body` once on the event loop when the connection has ended, whoever ended it; at once if it has.
    public func onClose(_ body: @escaping @Sendable (RedisError) -> Void) {
        eventLoop.execute { self.handler.value.onClose(body) }
    }

    /// Closes it; what still waits fails with `.reset`.
    public func close() {
        eventLoop.execute { self.handler.value.end(RedisError(.reset, "the connection was closed by this side")) }
    }
}

extension RedisError {
    /// What NIO says when a connection can't be made, or what is wrong with the files for TLS.
    fileprivate init(connecting error: any Error, to endpoint: RedisEndpoint) {
        let address = endpoint.address
        if let fault = error as? RedisTLS.Fault {
            self.init(.rejected, "state.redis.tls.\(fault.setting): \(fault.message)")
        } else if error is NIOSSLExtraError {
            self = ConnectionOpening(endpoint).failed(error, peer: nil)
        } else if let error = error as? ChannelError, case .connectTimeout = error {
            self.init(.timedOut, "connecting to \(address) took too long")
        } else if let error = error as? NIOConnectionError,
            error.connectionErrors.contains(where: { $0.error.isTimeout })
        {
            self.init(.timedOut, "connecting to \(address) took too long")
        } else {
            self.init(.refused, "can't connect to \(address): \(Self.words(error))")
        }
    }

    /// `Connection refused`, without the calls and the addresses that NIO's descriptions are full of.
    private static func words(_ error: any Error) -> String {
        if let error = error as? IOError { return String(cString: strerror(error.errnoCode)) }
        guard let error = error as? NIOConnectionError else { return "\(error)" }
        guard !error.connectionErrors.isEmpty else { return "nobody knows the name \(error.host)" }
        // One name, several addresses, and mostly one reason.
        let all = error.connectionErrors.map { words($0.error) }
        return all.enumerated().filter { all.firstIndex(of: $1) == $0 }.map(\.element).joined(separator: ", ")
    }
}

extension Error {
    fileprivate var isTimeout: Bool {
        if let error = self as? ChannelError, case .connectTimeout = error { true } else { false }
    }
}
