import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@testable import Redis

/// A server is sent the scripts that it does not have, and no others.
@Suite struct ScriptLoadingTests {
    private static let scripts = (1...3).map { RedisScript(name: "script-\($0)", text: "return \($0) + 0") }
    /// Of a line without a cover.
    private static let connections = 4

    /// An open store of one event loop, all its connections made.
    private func withStore(
        _ server: TestServer, interval: Duration = .milliseconds(40), _ body: (RedisStore) async throws -> Void
    ) async throws {
        let verified = NIOLockedValueBox(0)
        let store = RedisStore(
            endpoint: server.endpoint, group: loops.next(), timeout: .seconds(20), scripts: Self.scripts,
            verify: { _, _ async throws(RedisError) in verified.withLockedValue { $0 += 1 } }, observer: Witness(),
            log: quiet, interval: interval)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await store.run() }
            defer { tasks.cancelAll() }
            try await eventually("the store is open, with all its connections") {
                store.state == .open && verified.withLockedValue { $0 >= Self.connections }
            }
            try await body(store)
        }
    }

    /// How often the server was sent a subcommand of SCRIPT since its statistics were reset.
    private func calls(_ subcommand: String, _ admin: RedisConnection) async throws -> Int {
        let text = try await admin.send(RedisCommand("INFO", "commandstats")).string ?? ""
        let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("cmdstat_script|\(subcommand):calls=") }
        return line.flatMap { Int($0.drop { $0 != "=" }.dropFirst().prefix { $0 != "," }) } ?? 0
    }

    private func known(_ admin: RedisConnection) async throws -> [Int64] {
        try await admin.send(.exists(Self.scripts)).list?.compactMap(\.int) ?? []
    }

    private func expectVerificationsWithoutLoads(_ admin: RedisConnection) async throws {
        _ = try await admin.send(RedisCommand("CONFIG", "RESETSTAT"))
        try await eventually("three verifications of each connection") {
            (try? await calls("exists", admin)) ?? 0 >= 3 * Self.connections
        }
        #expect(try await calls("load", admin) == 0)
    }

    @Test func aServerIsSentEachScriptOnceHoweverManyConnectionsAreMade() async throws {
        let server = try await TestServer()
        let admin = try await server.connect()
        // No verification but the first of each connection.
        try await withStore(server, interval: .seconds(600)) { _ throws in
            #expect(try await known(admin) == [1, 1, 1])
            // The one of each connection is that which tries the right to load any.
            #expect(try await calls("load", admin) == Self.scripts.count + Self.connections)
        }
    }

    @Test func aLaterVerificationLoadsNothing() async throws {
        let server = try await TestServer()
        let admin = try await server.connect()
        try await withStore(server) { _ in try await expectVerificationsWithoutLoads(admin) }
    }

    @Test func aServerThatForgotItsScriptsHasThemAgainAfterTheNextVerification() async throws {
        let server = try await TestServer()
        let admin = try await server.connect()
        try await withStore(server) { store in
            _ = try await admin.send(RedisCommand("SCRIPT", "FLUSH"))
            // Nothing calls them meanwhile.
            try await eventually("all scripts at the server") { (try? await known(admin)) == [1, 1, 1] }
            #expect(store.state == .open)
            try await expectVerificationsWithoutLoads(admin)
        }
    }

    @Test func aNewServerIsSentAllScripts() async throws {
        let server = try await TestServer()
        try await withStore(server) { store in
            try await server.kill()
            try await server.restart()
            let admin = try await server.connect()
            try await eventually("the store is open again") { store.state == .open }
            #expect(try await known(admin) == [1, 1, 1])
        }
    }

    @Test(arguments: ["load", "exists"])
    func aUserWithoutARightToScriptsIsFoundAtAServerThatHasThemAll(_ subcommand: String) async throws {
        let server = try await TestServer()
        let admin = try await server.connect()
        for script in Self.scripts { _ = try await admin.send(.load(script)) }
        _ = try await admin.send(RedisCommand("ACL", "SETUSER", "default", "-script|\(subcommand)"))
        let store = RedisStore(
            endpoint: server.endpoint, group: loops.next(), timeout: .seconds(20), scripts: Self.scripts,
            verify: { _, _ async throws(RedisError) in }, observer: Witness(), log: quiet)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await store.run() }
            defer { tasks.cancelAll() }
            try await eventually("the store names the missing right") {
                guard case .shut(let reason) = store.state, reason.code == .noPermission else { return false }
                return reason.message.contains("script|\(subcommand)")
            }
        }
    }
}
