import Glibc
import TestSupport
import Testing

/// Signals to the real executable with a redis-server of its own.
@Suite(.serialized) struct HostSignalTests {
    @Test(arguments: [SIGINT, SIGTERM, SIGQUIT, SIGXCPU, SIGPWR, SIGSTKFLT, 37, 64])
    func aSignalThatEndsTheHostEndsItsRedisToo(_ signal: Int32) async throws {
        let host = try await HostProcess(.embedded())
        let redis = try #require(host.redisPID)
        host.signal(signal)
        #expect(try await host.awaitEnd() == .exited(0))
        #expect(!Files.exists("/proc/\(redis)"))
    }

    /// A request whose body is still coming is in flight: the stop waits for it.
    @Test func furtherSignalsDoNotCutAStopShort() async throws {
        let host = try await HostProcess(.embedded())
        let redis = try #require(host.redisPID)
        let body = Array(Alert.batch([Alert("Slow")]).utf8)
        let head = "POST \(HostProcess.batchPath) HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.count)\r\n\r\n"
        let slow = try HTTPConnection(port: host.port)
        try await slow.send(Array(head.utf8) + body.prefix(10))
        try await eventually("a request in flight") { try await host.metric("portcullis_requests_in_flight") == 1 }
        host.signal(SIGTERM)
        try await eventually("a host that says that it stops") { try await host.admin.get("/readyz").status == 503 }
        for signal in [SIGTERM, SIGINT, SIGQUIT, SIGHUP] { host.signal(signal) }
        try await eventually("a line about SIGHUP") { host.log.contains("signal ignored") }
        #expect(try await host.http.post(HostProcess.batchPath, "[]").status == 503)
        #expect(host.isRunning)
        #expect(Files.exists("/proc/\(redis)"))
        try await slow.send(Array(body.dropFirst(10)))
        #expect(try await slow.response().status == 200)
        #expect(try await host.awaitEnd() == .exited(0))
        #expect(!Files.exists("/proc/\(redis)"))
    }

    @Test func aSignalThatMustNotEndTheHostIsLogged() async throws {
        let host = try await HostProcess(.embedded())
        for signal in [SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO] {
            host.signal(signal)
        }
        try await eventually("a line about SIGHUP") {
            host.log.contains("reloading the configuration is not supported yet")
        }
        #expect(try await host.post(Alert("After")).status == 201)
        #expect(host.isRunning)
        #expect(try await host.stop() == .exited(0))
    }

    /// While redis-server loads, which a paused one does for ever.
    @Test(arguments: [SIGINT, SIGTERM, SIGQUIT, SIGHUP])
    func aSignalDuringTheStartLeavesNoRedisBehind(_ signal: Int32) async throws {
        let directory = try TemporaryDirectory()
        let (port, admin) = (try freePort(), try freePort())
        let bin = directory.file("bin")
        try await ChildProcess.run("mkdir", [bin])
        let server = try ChildProcess.find("redis-server")
        // Says where it is, and listens only much later.
        try Files.write(
            "#!/bin/sh\necho $$ > \(directory.file("pid"))\nsleep 3\nexec \(server) \"$@\"\n", to: bin + "/redis-server"
        )
        try await ChildProcess.run("chmod", ["755", bin + "/redis-server"])
        try Files.write(
            """
            server: {listen: "127.0.0.1:\(port)", admin: "127.0.0.1:\(admin)"}
            state: {redis: {embedded: {directory: "\(directory.file("var"))"}}}
            adapters: [{use: prometheus, path: /a, authenticate: none}]
            policies: [{use: deduplicate}, {use: persist, durability: fsync}]
            sinks: [{use: jsonl, name: file, path: "\(directory.file("x"))", when_full: refuse}]

            """, to: directory.file("portcullis.yaml"))
        let host = try ChildProcess(
            HostProcess.executable(), ["serve", "--config", directory.file("portcullis.yaml")], in: directory,
            name: "host", environment: ["PATH": bin + ":/usr/bin:/bin"])
        let redis: Int32 = try await eventually(find: "a redis-server that starts; \(host.errors)") {
            Files.text(directory.file("pid")).flatMap { Int32($0.filter(\.isNumber)) }
        }
        host.signal(signal)
        if signal == SIGHUP {
            try await eventually("a host that serves all the same") {
                (try? await HTTP(port: admin).get("/livez", timeout: .seconds(1)))?.status == 200
            }
            host.signal(SIGTERM)
        }
        #expect(try await host.wait() == .exited(0), "\(host.errors)")
        try await eventually("no redis-server") { !Files.exists("/proc/\(redis)") }
    }
}
