import TestSupport
import Testing

/// Everything that can be wrong with Redis is a 503 that names the policy, delivers nothing, and ends by itself.
enum RedisFault: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case stopped, killed, frozen, restartedEmpty, outOfMemory, replica, passwordChanged, evicting, notDurable

    var testDescription: String { rawValue }

    /// A running host learns of these at its next look, every 10 s; of the others with the first request.
    var isFoundByALook: Bool { self == .evicting || self == .notDurable }

    func happens(to redis: RedisServer) async throws {
        switch self {
        case .stopped: try await redis.stop()
        case .killed, .restartedEmpty: redis.kill()
        case .frozen: redis.freeze()
        case .outOfMemory: try await redis.command("CONFIG", "SET", "maxmemory", "1")
        case .replica: try await redis.command("REPLICAOF", "127.0.0.1", "1")
        case .passwordChanged:
            try await redis.command("CONFIG", "SET", "requirepass", "changed", password: "first")
            try await redis.command("CLIENT", "KILL", "TYPE", "normal", password: "changed")
        case .evicting: try await redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        case .notDurable: try await redis.command("CONFIG", "SET", "appendfsync", "everysec")
        }
    }

    func ends(at redis: RedisServer, passwordFile: String) async throws {
        switch self {
        case .stopped, .killed: try await redis.start()
        case .restartedEmpty: try await redis.restart(empty: true)
        case .frozen: redis.thaw()
        case .outOfMemory: try await redis.command("CONFIG", "SET", "maxmemory", "0")
        case .replica: try await redis.command("REPLICAOF", "NO", "ONE")
        case .passwordChanged: try Files.write("changed\n", to: passwordFile)
        case .evicting: try await redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        case .notDurable: try await redis.command("CONFIG", "SET", "appendfsync", "always")
        }
    }
}

@Suite(.serialized) struct RedisFaultTests {
    @Test(arguments: RedisFault.allCases)
    func whileItLastsEveryRequestIsA503AndAfterItNothingIsMissing(_ fault: RedisFault) async throws {
        let redis = try await RedisServer.durable()
        let secrets = try TemporaryDirectory()
        let passwordFile = secrets.file("password")
        var plan = HostPlan.on(redis, timeout: "500ms")
        if fault == .passwordChanged {
            try await redis.command("CONFIG", "SET", "requirepass", "first")
            try Files.write("first\n", to: passwordFile)
            plan = .on(redis, timeout: "500ms", extra: "password_file: '\(passwordFile)'")
        }
        let host = try await HostProcess(plan)
        #expect(try await host.post(Alert("Before")).status == 201)
        _ = try await host.deliveries(1)

        try await fault.happens(to: redis)
        if fault.isFoundByALook {
            try await eventually("the host noticing", within: .seconds(30), every: .milliseconds(200)) {
                try await host.post(Alert("Before")).status == 503
            }
        }
        for _ in 0..<3 {
            for name in ["During", "Before"] {
                let answer = try await host.post(Alert(name))
                #expect(answer.status == 503, "\(name): \(answer.text)")
                #expect(answer.detail.contains("deduplication service unavailable"), "\(answer.text)")
                #expect(answer.response.headers["retry-after"] != nil)
            }
        }
        let batch = try await host.postBatch(Alert("During"))
        #expect(batch.status == 503)
        let ready = try await host.admin.get("/readyz")
        #expect(ready.status == 200)
        #expect(ready.text.contains("degraded") || fault == .outOfMemory, "\(ready.text)")
        #expect(try host.deliveries().map(\.name) == ["Before"])

        try await fault.ends(at: redis, passwordFile: passwordFile)
        try await eventually("signals taken again", within: .seconds(40), every: .milliseconds(100)) {
            // A frozen Redis may have stored the signal whole while its reply was lost: its retry is a duplicate.
            [201, 202].contains(try await host.post(Alert("During")).status)
        }
        #expect(try await host.post(Alert("During")).status == 202)
        // One that was emptied has it again from the host that answered for it.
        #expect(try await host.post(Alert("Before")).status == 202)
        let delivered = try await host.deliveries(2)
        #expect(delivered.filter { $0.name == "During" }.count == 1)
        #expect(Set(delivered.map(\.id)).count == delivered.count)
        #expect(host.isRunning)
    }

    /// The second host starts last, is asked nothing after that, and no heartbeat has told the first one of it yet.
    @Test func aHostThatHasJustStartedIsWaitedForWhenTheStoreIsEmptied() async throws {
        let redis = try await RedisServer.durable()
        let first = try await HostProcess(.on(redis, timeout: "500ms", peerWait: "2s"))
        let second = try await HostProcess(.on(redis, timeout: "500ms", peerWait: "2s"))
        #expect(try await second.post(Alert("Known")).status == 201)
        try await redis.command("FLUSHALL")
        var status = 503
        try await eventually("an answer", within: .seconds(40)) {
            status = try await first.post(Alert("Known")).status
            return status != 503
        }
        #expect(status == 202)
    }

    @Test func aRecordOfTheWrongTypeIsA503OfItsOwnSignalOnly() async throws {
        let redis = try await RedisServer.durable()
        let host = try await HostProcess(.on(redis, timeout: "500ms"))
        #expect(try await host.post(Alert("Broken")).status == 201)
        _ = try await host.deliveries(1)
        let turn = "for _, key in ipairs(redis.call('KEYS', '{portcullis}:r:*')) do redis.call('DEL', key) "
        let turned = try await redis.command("EVAL", turn + "redis.call('RPUSH', key, 'x') end return 1", "0")
        #expect(turned == .integer(1))
        let answer = try await host.post(Alert("Broken"))
        #expect(answer.status == 503, "\(answer.text)")
        #expect(answer.detail.contains("deduplication service unavailable"), "\(answer.text)")
        #expect(try await host.post(Alert("Other")).status == 201)
        #expect(try await host.deliveries(2).map(\.name) == ["Broken", "Other"])

        try await redis.command("EVAL", turn + "end return 1", "0")
        #expect(try await host.post(Alert("Broken")).status == 201)
    }

    @Test func aFlushedScriptCacheIsNotNoticedBySenders() async throws {
        let redis = try await RedisServer.durable()
        let host = try await HostProcess(.on(redis))
        #expect(try await host.post(Alert("Before")).status == 201)
        try await redis.command("SCRIPT", "FLUSH")
        #expect(try await host.post(Alert("Before")).status == 202)
        #expect(try await host.post(Alert("After")).status == 201)
        #expect(try await host.deliveries(2).map(\.name) == ["Before", "After"])
    }

    @Test func theHostsOwnRedisIsStartedAgainWhenItDies() async throws {
        let host = try await HostProcess(.embedded())
        #expect(try await host.post(Alert("Before")).status == 201)
        let first = try #require(host.redisPID)
        try await ChildProcess.run("kill", ["-9", String(first)])
        try await eventually("signals taken again") { [201, 202].contains(try await host.post(Alert("After")).status) }
        #expect(host.redisPID != first)
        #expect(try await host.post(Alert("Before")).status == 202)
        #expect(Set(try await host.deliveries(2).map(\.name)) == ["Before", "After"])
    }

    @Test func aHostTakesOverTheRedisOfOneThatWasKilled() async throws {
        let host = try await HostProcess(.embedded())
        #expect(try await host.post(Alert("Before")).status == 201)
        _ = try await host.deliveries(1)
        let redis = try #require(host.redisPID)
        host.kill()
        #expect(Files.exists("/proc/\(redis)"))
        try await host.start()
        try await host.awaitOpen()
        #expect(host.redisPID == redis)
        #expect(try await host.post(Alert("Before")).status == 202)
    }

    @Test func oneDirectoryHasOneHost() async throws {
        let host = try await HostProcess(.embedded())
        let second = try await host.command("serve")
        #expect(second.end != .exited(0))
        #expect(second.errors.contains("var"), "\(second.errors)")
        #expect(try await host.post(Alert("Unharmed")).status == 201)
    }
}
