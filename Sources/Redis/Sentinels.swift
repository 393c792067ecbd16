internal import NIOConcurrencyHelpers
public import NIOCore

/// Finds a master through its Sentinels, whichever of them answers.
///
/// What a Sentinel says is a hint: the verification of the connection asks the server itself for its role. A master that was
/// cut off and still takes itself for one is found out by its missing replicas (`durability: {replicas: 1}`).
public final class Sentinels: RedisLocator {
    /// of one answer; the next is asked after it
    static let patience = Duration.milliseconds(300)
    /// between two questions that nobody asked for: the belt to the subscription's braces
    static let poll = Duration.seconds(1)

    private let master: String
    private let nodes: [RedisEndpoint]
    /// Of the master itself, without its address.
    private let server: RedisEndpoint
    private struct State: Sendable {
        /// The one that answered last.
        var current = 0
        var connection: RedisConnection?
    }
    private let state = NIOLockedValueBox(State())

    /// - Parameters:
    ///   - master: the name that the Sentinels know it by.
    ///   - nodes: the Sentinels, with the login for them.
    ///   - server: the login for the master; its address counts for nothing.
    public init(master: String, nodes: [RedisEndpoint], server: RedisEndpoint) {
        precondition(!nodes.isEmpty)
        self.master = master
        self.nodes = nodes.map { node in
            var node = node
            node.selectsDatabase = false
            return node
        }
        self.server = server
    }

    public var description: String { "\(master) by Sentinel" }

    public func locate(on eventLoop: any EventLoop) async throws(RedisError) -> RedisEndpoint {
        var found = server
        found.address = try await ask(on: eventLoop)
        return found
    }

    private func ask(on eventLoop: any EventLoop) async throws(RedisError) -> RedisEndpoint.Address {
        let first = state.withLockedValue { $0.current }
        var last = RedisError(.refused, "no Sentinel was asked")
        for offset in nodes.indices {
            let place = (first + offset) % nodes.count
            do throws(RedisError) {
                let connection = try await connection(to: place, on: eventLoop)
                let reply = try await connection.send(
                    RedisCommand("SENTINEL", "get-master-addr-by-name", master), timeout: Self.patience)
                guard let words = reply.list, words.count == 2, let host = words[0].string,
                    let port = words[1].string.flatMap({ Int($0) })
                else {
                    throw RedisError(.rejected, "the Sentinel at \(nodes[place]) knows no master \(master)")
                }
                return .tcp(host: host, port: port)
            } catch {
                last = RedisError(error.code, "Sentinel \(nodes[place]): \(error.message)")
                drop()
            }
        }
        throw last
    }

    private func connection(to place: Int, on eventLoop: any EventLoop) async throws(RedisError) -> RedisConnection {
        let known = state.withLockedValue { $0.current == place ? $0.connection : nil }
        if let known { return known }
        let made = try await RedisConnection.connect(to: nodes[place], on: eventLoop, timeout: Self.patience)
        let old = state.withLockedValue { state in
            defer { (state.current, state.connection) = (place, made) }
            return state.connection
        }
        old?.close()
        return made
    }

    private func drop() {
        state.withLockedValue { state in
            defer { state.connection = nil }
            return state.connection
        }?.close()
    }

    // MARK: Following

    public func watch(
        on eventLoop: any EventLoop, _ found: @escaping @Sendable (RedisEndpoint.Address) -> Void
    ) async {
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                while (try? await Task.sleep(for: Self.poll)) != nil {
                    if let address = try? await self.ask(on: eventLoop) { found(address) }
                }
            }
            tasks.addTask { await self.listen(on: eventLoop, found) }
            await tasks.waitForAll()
        }
        drop()
    }

    /// Subscribes to one Sentinel after the other, each as long as its connection lives.
    private func listen(
        on eventLoop: any EventLoop, _ found: @escaping @Sendable (RedisEndpoint.Address) -> Void
    ) async {
        var place = 0
        while !Task.isCancelled {
            let (ends, end) = AsyncStream<Void>.makeStream()
            let pushed: @Sendable (RedisValue) -> Void = { [master] value in
                if let address = Self.moved(value, master) { found(address) }
            }
            if let connection = try? await RedisConnection.connect(
                to: nodes[place], on: eventLoop, timeout: Self.patience, pushed: pushed)
            {
                connection.onClose { _ in end.finish() }
                connection.push(RedisCommand("SUBSCRIBE", "+switch-master"))
                await withTaskCancellationHandler {
                    for await _ in ends {}
                } onCancel: {
                    end.finish()
                }
                connection.close()
            }
            place = (place + 1) % nodes.count
            try? await Task.sleep(for: .milliseconds(.random(in: 200...500)))
        }
    }

    /// `message`, `+switch-master`, `<name> <old host> <old port> <new host> <new port>`
    static func moved(_ value: RedisValue, _ master: String) -> RedisEndpoint.Address? {
        guard let words = value.list, words.count == 3, words[0].string == "message",
            let parts = words[2].string?.split(separator: " "), parts.count == 5, parts[0] == master,
            let port = Int(parts[4])
        else { return nil }
        return .tcp(host: String(parts[3]), port: port)
    }
}
