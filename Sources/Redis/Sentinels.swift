internal import NIOConcurrencyHelpers
public import NIOCore

/// Finds a master through its Sentinels, whichever of them answers.
///
/// What a Sentinel says is a hint: the verification of the connection asks the server itself for its role. A master that was
/// cut off and still takes itself for one is found out by its missing replicas (`durability: {replicas: 1}`).
public final class Sentinels: RedisLocator {
    let master: String
    let nodes: [RedisEndpoint]
    /// Of the master itself, without its address.
    let server: RedisEndpoint
    /// of one answer, and of making a connection; the next Sentinel is asked after it
    let patience: Duration
    /// between two rounds of questions that nobody asked for: the belt to the subscription's braces
    let poll: Duration
    /// Who is subscribed to: the nodes, but in tests.
    let heralds: [RedisEndpoint]

    struct State: Sendable {
        /// Who is asked first. Another one each time: whoever asks again was sent to a server that did not do.
        var next = 0
        /// One to each node.
        var connections: [RedisConnection?]
        /// Which of them named a master in the last round; nil before the first.
        var answered: [Bool]?
        var handedOut: RedisEndpoint.Address?
        /// Heard of, and not handed out yet.
        var news: RedisEndpoint.Address?
        /// By the place of their herald.
        var subscriptions: [Int: RedisConnection] = [:]
    }
    let state: NIOLockedValueBox<State>

    /// - Parameters:
    ///   - master: the name that the Sentinels know it by.
    ///   - nodes: the Sentinels, with the login for them.
    ///   - server: the login for the master; its address counts for nothing.
    public convenience init(master: String, nodes: [RedisEndpoint], server: RedisEndpoint) {
        self.init(master: master, nodes: nodes, server: server, poll: .seconds(1))
    }

    init(
        master: String, nodes: [RedisEndpoint], server: RedisEndpoint, poll: Duration, heralds: [RedisEndpoint]? = nil,
        patience: Duration? = nil
    ) {
        precondition(!nodes.isEmpty)
        func sentinels(_ nodes: [RedisEndpoint]) -> [RedisEndpoint] {
            nodes.map { node in
                var node = node
                node.isSentinel = true
                return node
            }
        }
        self.master = master
        self.nodes = sentinels(nodes)
        self.server = server
        self.poll = poll
        self.heralds = sentinels(heralds ?? nodes)
        // A handshake of TLS is one or two more ways there and back.
        self.patience = patience ?? (nodes[0].tls == nil ? .milliseconds(300) : .milliseconds(600))
        state = NIOLockedValueBox(State(connections: Array(repeating: nil, count: nodes.count)))
    }

    public var description: String { "\(master) by Sentinel" }

    public var sentinels: (answering: Int, known: Int)? {
        state.withLockedValue { $0.answered }.map { ($0.count { $0 }, nodes.count) }
    }

    // MARK: Asking

    public func locate(on eventLoop: any EventLoop) async throws(RedisError) -> RedisEndpoint {
        if let news = state.withLockedValue({ $0.takeNews() }) { return endpoint(at: news) }
        var (ignorant, failures): ([RedisEndpoint], [RedisError]) = ([], [])
        for place in state.withLockedValue({ $0.order }) {
            do throws(RedisError) {
                if let address = try await ask(place, on: eventLoop) {
                    state.withLockedValue { $0.handOut(address, from: place) }
                    return endpoint(at: address)
                }
                ignorant.append(nodes[place])
            } catch {
                failures.append(error)
            }
        }
        throw verdict(ignorant, failures)
    }

    func endpoint(at address: RedisEndpoint.Address) -> RedisEndpoint {
        var found = server
        found.address = address
        return found
    }

    /// - Returns: the master's address; nil when this one knows no master of that name.
    func ask(_ place: Int, on eventLoop: any EventLoop) async throws(RedisError) -> RedisEndpoint.Address? {
        var asked: RedisConnection?
        do throws(RedisError) {
            let connection = try await connection(to: place, on: eventLoop)
            asked = connection
            let reply = try await connection.send(
                RedisCommand("SENTINEL", "get-master-addr-by-name", master), timeout: patience)
            if case .null = reply { return nil }
            guard let words = reply.list, words.count == 2, let host = words[0].string,
                let port = words[1].string.flatMap({ Int($0) })
            else { throw RedisError(.garbage, "its answer is no address") }
            return .tcp(host: host, port: port)
        } catch {
            // The next one logs in again, maybe with another password.
            if let asked { forget(asked, place) }
            throw explained(error, nodes[place])
        }
    }

    private func connection(to place: Int, on eventLoop: any EventLoop) async throws(RedisError) -> RedisConnection {
        if let known = state.withLockedValue({ $0.connections[place] }) { return known }
        let made = try await RedisConnection.connect(to: nodes[place], on: eventLoop, timeout: patience)
        // Two may have made one at once.
        let spare = state.withLockedValue { state in
            defer { state.connections[place] = made }
            return state.connections[place]
        }
        spare?.close()
        made.onClose { [weak self, weak made] _ in
            if let made { self?.forget(made, place) }
        }
        return made
    }

    private func forget(_ connection: RedisConnection, _ place: Int) {
        state.withLockedValue { if $0.connections[place] === connection { $0.connections[place] = nil } }
        connection.close()
    }

    // MARK: Why there is none

    private func explained(_ error: RedisError, _ node: RedisEndpoint) -> RedisError {
        switch error.code {
        case .serverError where error.message.contains("unknown command"):
            RedisError(
                .rejected,
                "\(node) is a Redis server and no Sentinel: give the Sentinels' port (theirs is 26379) in state.redis.sentinel.nodes"
            )
        case .noAuth where !error.message.contains(node.settings): node.refusal(error)
        case .noPermission:
            RedisError(
                .noPermission,
                "Sentinel \(node): \(error.message); docs/operations.md has what state.redis.sentinel.username must be allowed"
            )
        default: RedisError(error.code, "Sentinel \(node): \(error.message)")
        }
    }

    /// - Parameters:
    ///   - ignorant: who knows no master of that name.
    ///   - failures: of the others.
    private func verdict(_ ignorant: [RedisEndpoint], _ failures: [RedisError]) -> RedisError {
        var words = failures.map(\.message)
        if !ignorant.isEmpty {
            let asked = ignorant.map(\.description).joined(separator: ", ")
            words.insert(
                "no master is called \(master) at the \(ignorant.count == 1 ? "Sentinel" : "Sentinels") \(asked): state.redis.sentinel.master is the name in their `sentinel monitor`",
                at: 0)
        }
        // One that can't be asked may know better than all that can.
        let codes = Set(failures.map(\.code) + (ignorant.isEmpty ? [] : [.rejected]))
        return RedisError(
            codes.count == 1 ? codes.first ?? .refused : .refused, words.joined(separator: "; "))
    }
}

extension Sentinels.State {
    /// Everyone once, beginning with the next; who was silent in the last round comes last.
    var order: [Int] {
        let turn = connections.indices.map { (next + $0) % connections.count }
        guard let answered else { return turn }
        return turn.filter { answered[$0] } + turn.filter { !answered[$0] }
    }

    mutating func handOut(_ address: RedisEndpoint.Address, from place: Int) {
        (handedOut, next) = (address, (place + 1) % connections.count)
    }

    mutating func hear(_ address: RedisEndpoint.Address) { news = address == handedOut ? nil : address }

    mutating func takeNews() -> RedisEndpoint.Address? {
        defer { news = nil }
        if let news { handedOut = news }
        return news
    }
}
