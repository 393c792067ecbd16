internal import NIOConcurrencyHelpers
public import NIOCore

extension Sentinels {
    public func watch(
        on eventLoop: any EventLoop, _ found: @escaping @Sendable (RedisEndpoint.Address) -> Void
    ) async {
        let tell: @Sendable (RedisEndpoint.Address) -> Void = { [state] address in
            state.withLockedValue { $0.hear(address) }
            found(address)
        }
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await self.ask(again: eventLoop, tell) }
            for place in self.heralds.indices {
                tasks.addTask { await self.listen(to: place, on: eventLoop, tell) }
            }
            await tasks.waitForAll()
        }
        let left = state.withLockedValue { state in
            defer { (state.connections, state.answered) = (Array(repeating: nil, count: nodes.count), nil) }
            return state.connections
        }
        for connection in left { connection?.close() }
    }

    // MARK: By asking

    /// Asks all, again and again.
    private func ask(
        again eventLoop: any EventLoop, _ tell: @Sendable (RedisEndpoint.Address) -> Void
    ) async {
        var before: RedisEndpoint.Address?
        repeat {
            let votes = SentinelVotes(await round(on: eventLoop))
            let used = state.withLockedValue { $0.handedOut }
            guard let used else {
                if let first = votes.challenger(to: nil) { tell(first) }
                continue
            }
            guard let other = votes.challenger(to: used) else {
                before = nil
                continue
            }
            // The leader of a failover is the first to know, so the one in use may be ahead of most.
            if votes.haveForgotten(used) || other == before, await isMaster(other, on: eventLoop) { tell(other) }
            before = other
        } while (try? await Task.sleep(for: poll)) != nil
    }

    /// - Returns: the addresses that were named.
    private func round(on eventLoop: any EventLoop) async -> [RedisEndpoint.Address] {
        let answers = await withTaskGroup(of: (Int, RedisEndpoint.Address?).self) { tasks in
            for place in nodes.indices {
                tasks.addTask { (place, (try? await self.ask(place, on: eventLoop)) ?? nil) }
            }
            return await tasks.reduce(into: Array(repeating: nil, count: nodes.count)) { $0[$1.0] = $1.1 }
        }
        let deaf = state.withLockedValue { state in
            state.answered = answers.map { $0 != nil }
            return state.subscriptions.filter { answers.indices.contains($0.key) && answers[$0.key] == nil }
        }
        // Who hangs says nothing to its subscribers either, and keeps their connections.
        for connection in deaf.values { connection.close() }
        return answers.compactMap(\.self)
    }

    /// Whether that server says so itself: most of the Sentinels may be wrong, and what works is not left for that.
    private func isMaster(_ address: RedisEndpoint.Address, on eventLoop: any EventLoop) async -> Bool {
        guard
            let connection = try? await RedisConnection.connect(
                to: endpoint(at: address), on: eventLoop, timeout: patience)
        else { return false }
        defer { connection.close() }
        return (try? await connection.send(RedisCommand("ROLE")))?.list?.first?.string == "master"
    }

    // MARK: By listening

    /// Subscribes to one Sentinel, again whenever its connection ends. All are listened to: the one that leads a failover says so
    /// first, and the others up to two seconds later.
    private func listen(
        to place: Int, on eventLoop: any EventLoop, _ tell: @escaping @Sendable (RedisEndpoint.Address) -> Void
    ) async {
        while !Task.isCancelled {
            let (ends, end) = AsyncStream<Void>.makeStream()
            let pushed: @Sendable (RedisValue) -> Void = { [master, state] value in
                guard let moved = Self.moved(value, master) else { return }
                // Of another master it may know by that name nobody wants to hear.
                if let used = state.withLockedValue({ $0.handedOut }), used != moved.from { return }
                tell(moved.to)
            }
            if let connection = try? await RedisConnection.connect(
                to: heralds[place], on: eventLoop, timeout: patience, pushed: pushed)
            {
                state.withLockedValue { $0.subscriptions[place] = connection }
                connection.onClose { _ in end.finish() }
                connection.push(RedisCommand("SUBSCRIBE", "+switch-master"))
                await withTaskCancellationHandler {
                    for await _ in ends {}
                } onCancel: {
                    end.finish()
                }
                state.withLockedValue { $0.subscriptions[place] = nil }
                connection.close()
            }
            try? await Task.sleep(for: .milliseconds(.random(in: 200...500)))
        }
    }

    /// `message`, `+switch-master`, `<name> <old host> <old port> <new host> <new port>`
    static func moved(
        _ value: RedisValue, _ master: String
    ) -> (from: RedisEndpoint.Address, to: RedisEndpoint.Address)? {
        guard let words = value.list, words.count == 3, words[0].string == "message",
            let parts = words[2].string?.split(separator: " "), parts.count == 5, parts[0] == master,
            let old = Int(parts[2]), let new = Int(parts[4])
        else { return nil }
        return (.tcp(host: String(parts[1]), port: old), .tcp(host: String(parts[3]), port: new))
    }
}
