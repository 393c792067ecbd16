import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Redis

/// A master that became a replica under the store's connections.
@Suite struct DemotedMasterTests {
    @Test func aWriteThatIsAnsweredREADONLYDropsEveryConnectionAtOnce() async throws {
        let server = try await RedisServer()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 3)
        let witness = Witness()
        let store = RedisStore(
            endpoint: RedisEndpoint(.unix(path: server.socketPath), clientName: "store"), group: group,
            timeout: .seconds(20), scripts: [],
            verify: { (connection, _) async throws(RedisError) in
                guard try await connection.send(RedisCommand("ROLE")).list?.first?.string == "master" else {
                    throw RedisError(.readOnly, "the server is a replica")
                }
            }, observer: witness, log: quiet)
        /// The ids of its connections. Those of a probe come and go.
        func connections() async throws -> Set<Substring> {
            let text = try await server.command("CLIENT", "LIST").string ?? ""
            let lines = text.split(whereSeparator: \.isNewline).filter { $0.contains(" name=store ") }
            return Set(lines.compactMap { $0.split(separator: " ").first })
        }
        let running = Task { await store.run() }
        try await eventually("four connections of each loop") { try await connections().count == 12 }
        try await eventually("all of them are in use") {
            var ids: Set<Int64> = []
            for loop in group.makeIterator() {
                if let id = try? await store.send(RedisCommand("CLIENT", "ID"), on: loop).int { ids.insert(id) }
            }
            return ids.count == 3
        }
        let before = try await connections()
        try await server.command("REPLICAOF", "127.0.0.1", "1")
        // Redis itself closes none of them.
        #expect(try await store.send(RedisCommand("GET", "k")) == .null)
        #expect(try await connections() == before && store.state == .open)

        #expect(try await store.send([RedisCommand("SET", "k", "v")])[0].serverError?.code == .readOnly)
        guard case .shut(let reason) = store.state else {
            Issue.record("open")
            return
        }
        #expect(reason.code == .readOnly)
        try await eventually("all are gone") { try await connections().isDisjoint(with: before) }
        do throws(RedisError) {
            _ = try await store.send(RedisCommand("GET", "k"))
            Issue.record("sent")
        } catch {
            #expect(error.code == .shut)
        }
        #expect(witness.opened == 1 && witness.shut == [.readOnly])
        try await server.command("REPLICAOF", "NO", "ONE")
        try await eventually("open again") { store.state == .open }
        running.cancel()
        await running.value
        try await group.shutdownGracefully()
    }
}
