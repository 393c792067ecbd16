import Glibc
import NIOCore
import TestSupport
import Testing

@testable import Redis

@Suite struct RedisConnectionTests {
    private func code(_ body: () async throws -> Void) async -> RedisError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? RedisError)?.code
        }
    }

    /// With time for a busy machine: what is expected here is never that it runs out.
    private func connect(_ endpoint: RedisEndpoint) async throws(RedisError) -> RedisConnection {
        try await RedisConnection.connect(to: endpoint, on: loops.next(), timeout: .seconds(20))
    }

    @Test func everyReplyGoesToItsOwnCommand() async throws {
        let server = try await TestServer()
        let connection = try await server.connect()
        try await withThrowingTaskGroup(of: Bool.self) { tasks in
            for number in 0..<500 {
                tasks.addTask {
                    let words = (0...(number % 5)).map {
                        "\(number)-\($0)-" + String(repeating: "x", count: number * 20)
                    }
                    let replies = try await connection.send(words.map { RedisCommand("ECHO", $0) })
                    return replies.map(\.string) == words
                }
            }
            for try await isRight in tasks { #expect(isRight) }
        }
    }

    @Test func oneFailingCommandHidesNoOther() async throws {
        let server = try await TestServer()
        let connection = try await server.connect()
        let replies = try await connection.send([
            RedisCommand("SET", "k", "v"), RedisCommand("LPUSH", "k", "x"), RedisCommand("GET", "k"),
        ])
        #expect(replies[0] == .status("OK"))
        #expect(replies[1].serverError?.code == .wrongType)
        #expect(replies[2].string == "v")
    }

    @Test func bytesSurviveTheRoundTrip() async throws {
        let server = try await TestServer()
        let connection = try await server.connect()
        var set = RedisCommand("SET", "k")
        let value = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
        set.add(value)
        _ = try await connection.send(set)
        #expect(try await connection.send(RedisCommand("GET", "k")).bytesValue == value)
    }

    @Test func loginIsByPasswordAloneOrWithAUser() async throws {
        let server = try await TestServer("--requirepass", "hush")
        var admin = server.endpoint
        admin.password = { "hush" }
        admin.database = 3
        let connection = try await connect(admin)
        _ = try await connection.send(RedisCommand("ACL", "SETUSER", "gate", "on", ">pw", "+@all", "~*", "-flushall"))
        let text = try await connection.send(RedisCommand("CLIENT", "INFO")).string
        #expect(text?.contains("db=3") == true)
        #expect(text?.contains("name=portcullis") == true)

        var gate = server.endpoint
        gate.username = "gate"
        gate.password = { "pw" }
        let other = try await connect(gate)
        #expect(await code { _ = try await other.send(RedisCommand("FLUSHALL")) } == .noPermission)

        var wrong = gate
        wrong.password = { "no" }
        #expect(await code { _ = try await connect(wrong) } == .noAuth)
        let without = server.endpoint
        #expect(await code { _ = try await connect(without) } == .noAuth)
    }

    @Test func aDatabaseThatIsNotThereIsAnErrorAtConnecting() async throws {
        let server = try await TestServer()
        var endpoint = server.endpoint
        endpoint.database = 99
        let refused = endpoint
        #expect(await code { _ = try await connect(refused) } == .serverError)
    }

    @Test func noServerIsRefusedWithItsReason() async throws {
        let scratch = Scratch()
        let nowhere: [(RedisEndpoint, String)] = [
            (RedisEndpoint(.unix(path: scratch.path + "/r")), "No such file or directory"),
            (RedisEndpoint(.tcp(host: "127.0.0.1", port: 1)), "Connection refused"),
            (RedisEndpoint(.tcp(host: "redis.invalid", port: 1)), "nobody knows the name redis.invalid"),
        ]
        for (endpoint, reason) in nowhere {
            do throws(RedisError) {
                _ = try await connect(endpoint)
                Issue.record("connected")
            } catch {
                #expect(error.code == .refused)
                #expect(error.message == "can't connect to \(endpoint): \(reason)")
            }
        }
    }

    @Test func oneClientTooManyIsRefused() async throws {
        let server = try await TestServer("--maxclients", "1")
        var held: RedisConnection?
        try await eventually("the only place") {
            held = try? await server.connect()
            return held != nil
        }
        let refusal = await code { _ = try await server.connect() }
        #expect(refusal == .refused)
        held?.close()
    }

    @Test func errorsOfARealServerAreClassified() async throws {
        let server = try await TestServer("--lua-time-limit", "5", "--min-replicas-max-lag", "10")
        let connection = try await server.connect()
        func failure(_ words: [String]) async -> RedisError.Code? {
            var command = RedisCommand(words[0])
            for word in words.dropFirst() { command.add(word) }
            return await code { _ = try await connection.send(command) }
        }
        func set(_ name: String, _ value: String) async throws {
            _ = try await connection.send(RedisCommand("CONFIG", "SET", name, value))
        }
        let write = ["SET", "k", "v"]
        let script = ["EVAL", "return redis.call('SET', KEYS[1], 'v')", "1", "k"]
        let flagged = ["EVAL", "#!lua\nreturn redis.call('SET', KEYS[1], 'v')", "1", "k"]

        try await set("maxmemory", "1")
        for call in [write, script, flagged] { #expect(await failure(call) == .outOfMemory) }
        try await set("maxmemory", "0")
        try await set("min-replicas-to-write", "1")
        for call in [write, script, flagged] { #expect(await failure(call) == .noReplicas) }
        try await set("min-replicas-to-write", "0")
        #expect(await failure(["EVALSHA", String(repeating: "0", count: 40), "0"]) == .noScript)
        #expect(await failure(["EVAL", "return nosuch.thing", "0"]) == .serverError)

        _ = try await connection.send(RedisCommand("REPLICAOF", "127.0.0.1", "1"))
        for call in [write, script, flagged] { #expect(await failure(call) == .readOnly) }
        try await set("replica-serve-stale-data", "no")
        #expect(await failure(["GET", "k"]) == .masterDown)
        _ = try await connection.send(RedisCommand("REPLICAOF", "NO", "ONE"))

        _ = try await connection.send(RedisCommand("ACL", "SETUSER", "default", "-set"))
        for call in [write, script, flagged] { #expect(await failure(call) == .noPermission) }
        _ = try await connection.send(RedisCommand("ACL", "SETUSER", "default", "+set"))
        #expect(await failure(write) == nil)
    }

    @Test func aClustersNodeSaysWhatToUseInstead() async throws {
        let server = try await RedisServer(["--cluster-enabled", "yes", "--cluster-port", String(freePort())])
        let connection = try await connect(RedisEndpoint(.unix(path: server.socketPath)))
        _ = try await connection.send(RedisCommand("CLUSTER", "ADDSLOTSRANGE", "0", "16383"))
        try await eventually("a cluster that is up") {
            let info = try? await connection.send(RedisCommand("CLUSTER", "INFO")).string
            return info?.contains("cluster_state:ok") == true
        }
        let text = "#!lua\nreturn redis.call('GET', KEYS[1]) or redis.call('GET', 'b')"
        let script = RedisCommand("EVAL", text, "1", "a")
        for command in [RedisCommand("MGET", "a", "b"), script] {
            let error = try await connection.send([command])[0].serverError
            #expect(error?.code == .rejected, "\(error?.message ?? "")")
            #expect(error?.message.contains("cluster mode is on") == true, "\(error?.message ?? "")")
        }
    }

    @Test func aServerThatCannotSaveIsMisconfigured() async throws {
        let server = try await TestServer("--dbfilename", "taken")
        // The snapshot would have to replace a directory that is not empty.
        mkdir(server.scratch.path + "/taken", 0o700)
        mkdir(server.scratch.path + "/taken/full", 0o700)
        let connection = try await server.connect()
        _ = try await connection.send(RedisCommand("CONFIG", "SET", "save", "3600 1000000"))
        let saved = await code { _ = try await connection.send(RedisCommand("SAVE")) }
        #expect(saved == .serverError)
        _ = try await connection.send(RedisCommand("BGSAVE"))
        try await eventually("a write is refused") {
            await code { _ = try await connection.send(RedisCommand("SET", "k", "v")) } == .misconfigured
        }
    }

    @Test func anotherScriptThatRunsTooLongIsBusy() async throws {
        let server = try await TestServer("--lua-time-limit", "5")
        let (running, asking) = (try await server.connect(), try await server.connect())
        async let endless = code { _ = try await running.send(RedisCommand("EVAL", "while true do end", "0")) }
        try await eventually("the server is busy") {
            await code { _ = try await asking.send(RedisCommand("PING"), timeout: .seconds(20)) } == .busy
        }
        _ = try await asking.send(RedisCommand("SCRIPT", "KILL"))
        #expect(await endless == .serverError)
    }

    @Test func aLateReplyIsNeverTakenForALaterCommands() async throws {
        let server = try await TestServer()
        let connection = try await server.connect()
        server.process.send(SIGSTOP)
        let first = await code {
            _ = try await connection.send(RedisCommand("ECHO", "old"), timeout: .milliseconds(50))
        }
        #expect(first == .timedOut)
        server.process.send(SIGCONT)
        #expect(await code { _ = try await connection.send(RedisCommand("ECHO", "new")) } == .timedOut)
        let fresh = try await server.connect()
        #expect(try await fresh.send(RedisCommand("ECHO", "new")).string == "new")
    }

    @Test func aShortDeadlineBehindALongOneIsKept() async throws {
        let server = try await TestServer()
        let connection = try await server.connect()
        async let long = code { _ = try await connection.send(RedisCommand("BLPOP", "nothing", "0")) }
        try await eventually("the blocked client") {
            let other = try? await server.connect()
            let text = try? await other?.send(RedisCommand("INFO", "clients")).string
            return text?.contains("blocked_clients:1") == true
        }
        let short = await code { _ = try await connection.send(RedisCommand("PING"), timeout: .milliseconds(20)) }
        #expect(short == .timedOut)
        #expect(await long == .timedOut)
    }

    @Test func whatWaitsWhenTheServerDiesIsReset() async throws {
        let server = try await TestServer()
        let connection = try await server.connect()
        let (closed, close) = AsyncStream.makeStream(of: RedisError.self)
        connection.onClose { close.yield($0) }
        server.process.send(SIGSTOP)
        async let waiting = code { _ = try await connection.send(RedisCommand("PING")) }
        try await server.kill()
        #expect(await waiting == .reset)
        var iterator = closed.makeAsyncIterator()
        #expect(await iterator.next()?.code == .reset)
        #expect(await code { _ = try await connection.send(RedisCommand("PING")) } == .reset)
    }

    @Test func garbageAndRepliesNobodyAskedForEndTheConnection() async throws {
        let web = try await FakeServer(["HTTP/1.1 400 Bad Request\r\n\r\n"])
        #expect(await code { _ = try await connect(web.endpoint) } == .garbage)

        let talker = try await FakeServer(["+OK\r\n+OK\r\n+OK\r\n"])
        let talked = await code {
            let connection = try await connect(talker.endpoint)
            _ = try await connection.send(RedisCommand("PING"))
        }
        #expect(talked == .garbage)
        let silent = try await FakeServer([])
        let waited = await code {
            _ = try await RedisConnection.connect(to: silent.endpoint, on: loops.next(), timeout: .milliseconds(50))
        }
        #expect(waited == .timedOut)
    }

    @Test func aRefusedLoginNeverShowsThePassword() async throws {
        let server = try await FakeServer([
            "-ERR unknown command 'AUTH', with args beginning with: 'hush' \r\n+OK\r\n+OK\r\n"
        ])
        var endpoint = server.endpoint
        endpoint.password = { "hush" }
        do {
            _ = try await connect(endpoint)
            Issue.record("the login went through")
        } catch {
            #expect(error.code == .noAuth)
            #expect(!error.description.contains("hush"))
        }
    }
}
