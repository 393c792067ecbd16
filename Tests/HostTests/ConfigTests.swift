import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

@Suite struct ConfigTests {
    @Test func aFileIsReadWithItsDefaults() throws {
        let read = try fine(fineFile)
        #expect(read.server.listen == .init(host: "127.0.0.1", port: 8_080))
        #expect(read.server.admin == .init(host: "127.0.0.1", port: 9_090))
        #expect(read.server.adminTokenFile == nil && read.server.tls == nil)
        let limits = read.server.limits
        #expect(limits.body == 64 << 20 && limits.inFlight == 1_024 && limits.inFlightBytes == 256 << 20)
        #expect(limits.deadline == .seconds(8) && limits.header == .seconds(10) && limits.idle == .seconds(330))
        #expect(read.state.store == .embedded(directory: "./var"))
        #expect(read.state.timeout == .seconds(1) && read.state.prefix == "portcullis")
        #expect(read.state.peerWait == .seconds(2))
        #expect(read.routes.map(\.adapter) == ["alertmanager"] && read.routes.map(\.path) == ["/hook"])
        #expect(read.routes.map(\.authentication) == [HostConfiguration.Authentication.none])
        #expect(read.policies.isEmpty)
        #expect(read.gatePolicies.map { type(of: $0).id } == ["deduplicate", "persist"])
        #expect(read.sinks.map(\.name) == ["file"] && read.sinks.map(\.use) == ["jsonl"])
        #expect(read.sinks.map(\.whenFull) == [.refuse])
        #expect(read.warnings.isEmpty)
    }

    @Test func everyKeyOfTheHostIsRead() throws {
        let read = try fine(
            """
            server:
              listen: '[::1]:8080'
              admin: host.example:9090
              admin_token_file: ./token
              tls: {certificate: ./c.pem, key: ./k.pem}
              limits: {body: 1MiB, in_flight: 5, in_flight_bytes: 2MiB, deadline: 5m, header: 1s, idle: 1h}
            state:
              redis: {url: 'redis://me@[::1]:7000/3', password_file: ./p}
              timeout: 30s
              peer_wait: 4s
              prefix: a-b_c.9
            adapters:
              - {use: alertmanager, path: /a, authenticate: {bearer: {token_file: ./t}}}
              - {use: alertmanager, path: /b, authenticate: {hmac: {key_file: ./k}}}
              - {use: prometheus, path: /api/v2/alerts, authenticate: {hmac: {key_file: ./k, header: X-Hub}}}
            sources: []
            policies:
              - {use: filter, drop: [Watchdog]}
              - {use: enrich, on_error: closed}
              - {use: deduplicate}
              - {use: storm, rate: {count: 3}}
              - {use: persist, durability: fsync}
            sinks:
              - {use: jsonl, name: one, path: ./1, when_full: refuse}
              - {use: jsonl, name: two, path: ./2, when_full: dead-letter}
            """)
        #expect(read.server.listen == .init(host: "::1", port: 8_080))
        #expect(read.server.admin == .init(host: "host.example", port: 9_090))
        #expect(read.server.adminTokenFile == "./token")
        #expect(read.server.tls == .init(certificate: "./c.pem", key: "./k.pem"))
        let limits = read.server.limits
        #expect(limits.body == 1 << 20 && limits.inFlight == 5 && limits.inFlightBytes == 2 << 20)
        #expect(limits.deadline == .minutes(5) && limits.header == .seconds(1) && limits.idle == .hours(1))
        #expect(
            read.state.store == .tcp(host: "::1", port: 7_000, database: 3, username: "me", passwordFile: "./p"))
        #expect(read.state.timeout == .seconds(30) && read.state.prefix == "a-b_c.9")
        #expect(read.state.peerWait == .seconds(4))
        #expect(
            read.routes.map(\.authentication) == [
                .bearer(tokenFile: "./t"), .hmac(keyFile: "./k", header: "X-Signature"),
                .hmac(keyFile: "./k", header: "X-Hub"),
            ])
        #expect(read.policies.map(\.id) == ["filter", "enrich"])
        #expect(read.policies.map(\.mode) == [.closed, .closed])
        #expect(read.gatePolicies.map { type(of: $0).id } == ["deduplicate", "storm", "persist"])
        #expect(read.sinks.map(\.whenFull) == [.refuse, .deadLetter])
    }

    @Test func anOpenPolicyStaysOpenUntilItIsTightened() throws {
        let before = "  - {use: deduplicate}"
        let open = try fine(fineFile.replacing(before, with: "  - {use: enrich}\n" + before))
        #expect(open.policies.map(\.mode) == [.open(because: "it only adds a label")])
        let same = try fine(fineFile.replacing(before, with: "  - {use: enrich, on_error: open}\n" + before))
        #expect(same.policies.map(\.mode) == [.open(because: "it only adds a label")])
    }

    @Test(arguments: [
        (
            "redis://h",
            HostConfiguration.Store.tcp(host: "h", port: 6_379, database: 0, username: nil, passwordFile: nil)
        ),
        ("redis://@h/", .tcp(host: "h", port: 6_379, database: 0, username: nil, passwordFile: nil)),
        (
            "redis://127.0.0.1:7000/0",
            .tcp(host: "127.0.0.1", port: 7_000, database: 0, username: nil, passwordFile: nil)
        ),
        ("redis://[::1]", .tcp(host: "::1", port: 6_379, database: 0, username: nil, passwordFile: nil)),
        (
            "rediss://me@h",
            .tcp(host: "h", port: 6_379, database: 0, username: "me", passwordFile: nil, tls: RedisTLS())
        ),
        ("unix:///run/r.sock", .unix(path: "/run/r.sock", database: 0, username: nil, passwordFile: nil)),
        ("unix:///run/r.sock?db=4", .unix(path: "/run/r.sock", database: 4, username: nil, passwordFile: nil)),
    ])
    func aUrlNamesTheStore(_ url: String, _ store: HostConfiguration.Store) throws {
        let read = try fine(fineFile.replacing("{embedded: {directory: ./var}}", with: "{url: '\(url)'}"))
        #expect(read.state.store == store)
    }

    @Test func noPasswordIsRepeated() {
        for url in ["redis://u:secret@h:1/0", "redis://:secret@h", "redis://u:secret@h:0/x?y", "rediss://u:secret@h"] {
            let told = complaints(fineFile.replacing("{embedded: {directory: ./var}}", with: "{url: '\(url)'}"))
            #expect(told.count == 1 && !told[0].contains("secret"), "\(told)")
        }
    }

    @Test func allErrorsAreToldAtOnceInTheOrderOfTheFile() {
        let text = """
            server:
              listen: nowhere
              limits: {body: 1, in_flight: x}
              colour: red
            state:
              redis: {embedded: {directory: ./var}, url: redis://h}
              timeout: 1h
            adapters:
              - {use: alertmanger, path: hook, authenticate: none}
              - {use: prometheus, path: /hook}
            policies:
              - {use: persist}
              - {use: deduplicate, retension: 1h}
              - {use: filter, drop: x}
            sinks:
              - {use: jsonl, name: 9, when_full: never}
            extra: 1
            """
        #expect(
            complaints(text).map { $0.split(separator: ": ").prefix(2).joined(separator: " ") } == [
                "f:2:11 server.listen", "f:3:18 server.limits.body", "f:3:32 server.limits.in_flight",
                "f:4:3 server.colour", "f:6:10 state.redis", "f:7:12 state.timeout", "f:9:11 adapters[0].use",
                "f:9:30 adapters[0].path", "f:10:5 adapters[1].authenticate", "f:12:5 policies[0]",
                "f:12:5 policies[0].durability", "f:13:5 policies[1]", "f:13:24 policies[1].retension",
                "f:14:5 policies[2]", "f:14:25 policies[2].drop", "f:16:5 sinks[0].path", "f:16:24 sinks[0].name",
                "f:16:38 sinks[0].when_full", "f:17:1 extra",
            ])
    }

    @Test func twoPluginsOfOneNameAreAnError() {
        let twice = Plugins.standIns + Plugins(adapters: [PagerStandIn.self], gatePolicies: [StormStandIn.self])
        #expect(complaints(fineFile, twice) == ["f: this build has two plugins of one name: policy storm"])
        #expect(complaints(fineFile, .standIns + Plugins(adapters: [PagerStandIn.self])).isEmpty)
    }

    @Test func whatIsAllowedAndNotMeantIsAWarning() throws {
        let read = try fine(
            fineFile.replacing("listen: 127.0.0.1:8080", with: "listen: 0.0.0.0:8080")
                .replacing("{use: deduplicate}", with: "{use: deduplicate, retention: 7h59m}")
                .replacing("durability: fsync", with: "durability: {unverified: trust}")
                .replacing("policies:", with: "policies:\n  - {use: enrich, loudly: true}"))
        #expect(
            read.warnings.map { $0.line(in: "f").split(separator: ": ").prefix(2).joined(separator: " ") } == [
                "f:7:52 adapters[0].authenticate", "f:9:5 policies[0]", "f:10:35 policies[1].retention",
                "f:11:45 policies[2].durability",
            ])
        #expect(read.warnings[1].message == "loud")
    }

    @Test func aPeerWaitThatIsNotUsedIsAWarning() throws {
        let read = try fine(fineFile.replacing("adapters:", with: "  peer_wait: 5s\nadapters:"))
        #expect(
            read.warnings.map { $0.line(in: "f") } == [
                "f:6:14: state.peer_wait: is not used with embedded: a host with its own Redis waits for no other host. Remove it"
            ])
        let shared = try fine(
            fineFile.replacing("{embedded: {directory: ./var}}", with: "{url: redis://h}")
                .replacing("adapters:", with: "  peer_wait: 5s\nadapters:"))
        #expect(shared.warnings.isEmpty)
    }

    @Test func anAliasStandsForItsAnchor() throws {
        let read = try fine(
            fineFile.replacing("path: ./out", with: "path: &p ./out").replacing(
                "when_full: refuse}",
                with: "when_full: refuse}\n  - {use: jsonl, name: two, path: *p, when_full: refuse}"))
        #expect(read.sinks.count == 2)
    }

    @Test func aBombOfAliasesIsRefused() {
        var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1...9 {
            let inner = Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ")
            bomb += "a\(level): &a\(level) [\(inner)]\n"
        }
        #expect(complaints(bomb) == ["f:3:45: more than 16 aliases"])
        // Below that bound what they expand to is counted.
        let wide =
            "a: &a [\(Array(repeating: "x", count: 700).joined(separator: ", "))]\nb: ["
            + Array(repeating: "*a", count: 16).joined(separator: ", ") + "]\n"
        #expect(complaints(wide).map { $0.hasSuffix("more than 10000 values") } == [true])
    }

    @Test func whatIsTooDeepIsRefused() {
        for depth in [70, 5_000] {
            let text = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
            #expect(complaints("a: " + text).count == 1)
        }
        #expect(complaints("a: " + String(repeating: "- ", count: 20_000) + "x").count == 1)
    }

    @Test func aTextThatSaysNothingIsRefused() {
        #expect(complaints("") == ["f:1:1: the file says nothing"])
        #expect(complaints("# nothing\n") == ["f:1:1: the file says nothing"])
        #expect(complaints("- a\n").count == 1)
        #expect(complaints("a: \u{1}\n").count == 1)
    }

    @Test func aFileThatCannotBeReadIsTold() throws {
        let directory = try TemporaryDirectory()
        func told(_ name: String, _ bytes: [UInt8]? = nil) throws -> [String] {
            let file = directory.file(name)
            if let bytes { try Files.write(bytes, to: file) }
            switch HostConfiguration.load(file: file, plugins: .standIns) {
            case .success: return []
            case .failure(let failure): return failure.lines.map { $0.replacing(file, with: "f") }
            }
        }
        #expect(try told("fine", Array(fineFile.utf8)) == [])
        #expect(try told("absent") == ["f: can't open it: No such file or directory"])
        #expect(try told("") == ["f: can't read it: Is a directory"])
        #expect(try told("binary", [0x61, 0xFF]) == ["f: it is not UTF-8"])
        #expect(try told("long", [UInt8](repeating: 0x20, count: (1 << 20) + 1)) == ["f: over 1048576 bytes"])
    }

    @Test func aQuotedNumberIsAText() {
        #expect(
            complaints(fineFile.replacing("  admin: 127.0.0.1:9090", with: "  limits: {in_flight: '5'}")) == [
                "f:3:23: server.limits.in_flight: expected a whole number"
            ])
    }

    @Test func everyKeyIsInTheReference() {
        let keys = ConfigurationReference.host.flatMap { group in group.keys.map { "\(group.title) \($0.path)" } }
        #expect(Set(keys).count == keys.count)
        #expect(keys.contains("server server.limits.idle") && keys.contains("state state.redis.embedded.directory"))
        #expect(keys.contains("every adapter authenticate.hmac.header") && keys.contains("every policy on_error"))
        let groups = ConfigurationReference.groups(of: .standIns)
        #expect(
            groups.map(\.failureMode) == [
                nil, nil, "closed", "open: it only adds a label", "closed by construction", "closed by construction",
                "closed by construction", nil,
            ])
        #expect(groups.last?.title == "sink jsonl")
    }
}

private struct PagerStandIn: SignalAdapter {
    static let id: PluginID = "storm"
    init(_ config: inout ConfigReader, _ services: Services) {}
    func decode(_ request: InboundRequest) -> Decoded { Decoded() }
}
