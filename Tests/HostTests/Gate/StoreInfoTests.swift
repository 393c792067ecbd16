import Redis
import Testing

@testable import Host

/// What `INFO` is read for.
@Suite struct StoreInfoTests {
    private func info(_ lines: String...) throws -> StoreInfo {
        try StoreInfo(.bytes(Array(lines.joined(separator: "\r\n").utf8)))
    }

    @Test(arguments: ["7.0.15", "7.2.4", "8.0.0", "10.1"])
    func aServerThatKnowsFlaggedScriptsDoes(_ version: String) throws {
        try info("# Server", "redis_version:\(version)", "cluster_enabled:0").checkServer()
        // Valkey names the Redis that it is compatible with.
        try info("redis_version:7.2.4", "server_name:valkey", "valkey_version:8.0.1", "cluster_enabled:0").checkServer()
    }

    @Test(arguments: [
        (["redis_version:6.2.6"], "Redis 7 or Valkey is needed"), (["redis_mode:standalone"], "redis_version"),
        (["redis_version:7.0.15", "cluster_enabled:1"], "cluster mode"), (["redis_version:new"], "redis_version"),
    ])
    func anotherIsRejectedWithWhatToUse(_ lines: [String], _ words: String) throws {
        let found = try StoreInfo(.bytes(Array(lines.joined(separator: "\r\n").utf8)))
        let error = #expect(throws: RedisError.self) { try found.checkServer() }
        #expect(error?.code == .rejected)
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
    }

    @Test func replicasCountOnceTheyAreInStep() throws {
        let found = try info(
            "master_repl_offset:900", "connected_slaves:3",
            "slave0:ip=10.0.0.1,port=6379,state=online,offset=880,lag=0",
            "slave1:ip=10.0.0.2,port=6379,state=wait_bgsave,offset=0,lag=0",
            "slave2:ip=::1,port=1,state=online,offset=x,lag=0")
        #expect(found.written == 900)
        #expect(found.replicas == [880])
        #expect(try info("connected_slaves:99999999999").replicas.isEmpty)
    }

    @Test func aServerIsNamedByItsRunAndItsReplication() throws {
        #expect(try info("run_id:a", "master_replid:b").server() == "a:b")
        #expect(throws: RedisError.self) { try info("run_id:a").server() }
    }
}
