import Policies
import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// One list names the Redis commands that scripts run: the canary tries them, and the user's rights are printed from it.
@Suite(.serialized) struct StepCommandsTests {
    private static func named(_ calls: [[String]]) -> Set<String> { Set(calls.map { $0[0] }) }

    @Test func theHostsListIsWhatItsScriptsRun() throws {
        let files = Files.tree(Repository.path("Sources/Host")).filter { $0.hasSuffix(".lua") }
        #expect(files.count >= 15)
        let used = try files.reduce(into: Set<String>()) {
            $0.formUnion(StepCommands.run(by: try Repository.text("Sources/Host/" + $1)))
        }
        #expect(used == Self.named(CanaryCalls.host))
    }

    @Test func everyStepThatComesWithPortcullisNamesWhatItRuns() throws {
        for type in Plugins.standard.gatePolicies {
            #expect(StepCommands.run(by: type.step.source) == Set(type.step.commands.map(\.name)), "\(type.id)")
            #expect(StepCommands.faults(of: type.step) == [], "\(type.id)")
        }
        // A script that belongs to neither would be on no list.
        let others = Files.tree(Repository.path("Sources")).filter {
            $0.hasSuffix(".lua") && !$0.hasPrefix("Host/") && !$0.hasPrefix("Policies/")
        }
        #expect(others == [])
        let steps = Files.names(in: Repository.path("Sources/Policies")).filter { $0.hasSuffix(".lua") }
        #expect(steps.count == Plugins.standard.gatePolicies.count)
    }

    @Test func everyScriptNamesItsCommandsPlainly() throws {
        for file in Files.tree(Repository.path("Sources")) where file.hasSuffix(".lua") && !file.hasSuffix("verify.lua")
        {
            #expect(unreadable(in: try Repository.text("Sources/" + file)).isEmpty, "\(file)")
        }
    }

    /// Words of `RedisCommand("…")` in a module, as the ACL has them, and those that need no right.
    @Test func everyCommandThatIsSentOutsideOfScriptsIsAmongTheUsersRights() throws {
        let rights = Set(
            StoreUser.sent(.fsync, database: 1) + StoreUser.sent(.replicas(1), database: 1)
                + CanaryCalls.host.map { $0[0].lowercased() } + ["auth"])
        var sent: Set<String> = []
        // The embedded server's only user may do everything, and the Sentinels have a user of their own.
        let files = Files.tree(Repository.path("Sources")).filter {
            ($0.hasPrefix("Host/") || $0.hasPrefix("Redis/")) && $0.hasSuffix(".swift")
                && !$0.hasPrefix("Redis/Embedded") && !$0.hasPrefix("Redis/Sentinel")
        }
        for file in files {
            let text = try Repository.text("Sources/" + file)
            let code = text.split(separator: "\n").filter { !$0.contains("///") }.joined(separator: "\n")
            for piece in code.split(separator: "RedisCommand(\"", omittingEmptySubsequences: false).dropFirst() {
                let words = piece.prefix { $0 != ")" }.split(separator: "\"", omittingEmptySubsequences: false)
                let name = words[0].lowercased()
                let isGroup = ["config", "client", "script"].contains(name) && words.count > 2
                sent.insert(isGroup ? "\(name)|\(words[2].lowercased())" : name)
            }
        }
        #expect(sent.subtracting(rights) == [])
        #expect(sent.isSuperset(of: ["role", "info", "wait", "config|get", "script|exists", "script|load", "evalsha"]))
    }

    // MARK: Of a third party

    /// Names every command of which the host knows a call, and one of its own.
    private struct Everything: GatePolicy {
        static let id: PluginID = "everything"
        static let step = GateStep(
            service: "everything",
            commands: CanaryCalls.further.map { GateStep.Command(stringLiteral: $0[0]) } + [
                GateStep.Command("GEOADD", trial: ["@places", "13.361389", "38.115556", "Palermo"]), "HGET",
            ], source: "return function() return function() return 'pass' end end")
        static let argumentCount = 0
        init() {}
        init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {}
        var settings: [GateSetting] { [] }
        func arguments(for signal: Signal) -> [GateArgument] { [] }
    }

    @Test func everyCallOfTheTableSucceedsAndLeavesNothing() async throws {
        #expect(StepCommands.faults(of: Everything.step) == [])
        let rig = try await GateRig(further: [Everything()])
        #expect(await rig.verdict(try GateRig.signal()) == .accepted)
        #expect(try await rig.redis.command("KEYS", "{test}:canary:*").list.isEmpty)
        let text = try await rig.redis.command("INFO", "commandstats").string ?? ""
        for name in CanaryCalls([Everything.step]).commands {
            let line = text.split(whereSeparator: \.isNewline).first {
                $0.hasPrefix("cmdstat_\(name.lowercased()):")
            }
            #expect(line?.contains("failed_calls=0") == true, "\(name): \(line ?? "never called")")
        }
    }

    @Test(arguments: ["incr", "geoadd", "lset", "expire"])
    func aStepsCommandThatTheUserMayNotRunIsFoundBeforeAnyTraffic(_ command: String) async throws {
        let redis = try await RedisServer.durable()
        try await redis.command("ACL", "SETUSER", "default", "-\(command)")
        // Who has no such step needs no such right.
        _ = try await GateRig(redis: redis)
        let rig = try await GateRig(redis: redis, opens: false, further: [Everything()])
        let reason = try await eventually(find: "a verdict on the server", within: .seconds(10)) {
            if case .shut(let reason) = rig.store.state, reason.code != .shut { reason } else { nil }
        }
        #expect(reason.code == .noPermission)
        #expect(reason.message.contains("the canary failed at \(command.uppercased())"), "\(reason)")
        #expect(reason.message.contains("portcullis plugins --acl"), "\(reason)")
        #expect(try await redis.command("KEYS", "{test}:canary:*").list.isEmpty)
    }

    @Test(
        arguments: [
            (["get"], "", "get is no name of a Redis command: write it as redis.call has it, in upper case"),
            ([""], "", "an empty text is no name of a Redis command: write it as redis.call has it, in upper case"),
            (
                ["GEOADD"], "",
                "the host knows no harmless call of GEOADD: give one, GateStep.Command(\"GEOADD\", trial: [\"@key\", …])"
            ),
            (
                ["KEYS"], "",
                "the host knows no harmless call of KEYS: give one, GateStep.Command(\"KEYS\", trial: [\"@key\", …])"
            ),
            (
                [GateStep.Command("FLUSHALL", trial: ["ASYNC"])], "",
                "the trial of FLUSHALL has no key: write @NAME for it, which becomes a key that is deleted again"
            ),
            (
                ["GET"], "local n = redis.call('GET', key) -- not redis.call('SET', key)\nredis.pcall( \"incr\", key)",
                "its step runs INCR, which GateStep.commands does not name: name it, so that the right to it is verified"
            ),
        ] as [([GateStep.Command], String, String)])
    func aCommandThatCouldNotBeVerifiedIsRefused(
        _ commands: [GateStep.Command], _ source: String, _ fault: String
    ) {
        #expect(StepCommands.faults(of: GateStep(service: "x", commands: commands, source: source)) == [fault])
    }

    private struct Forgetful: GatePolicy {
        static let id: PluginID = "forgetful"
        static let step = GateStep(
            service: "forgetful", commands: [], source: "return function() redis.call('INCR', 'x') end")
        static let argumentCount = 0
        init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {}
        var settings: [GateSetting] { [] }
        func arguments(for signal: Signal) -> [GateArgument] { [] }
    }

    @Test func aConfigurationWithSuchAStepIsRefusedAtItsLine() async throws {
        let directory = try TemporaryDirectory()
        let file = directory.file("portcullis.yaml")
        let before = "  - {use: deduplicate}"
        try Files.write(fineFile.replacing(before, with: "\(before)\n  - {use: forgetful}"), to: file)
        let plugins = Plugins.standIns + Plugins(gatePolicies: [Forgetful.self])
        let checked = await command("check", "--config", file, plugins: plugins)
        #expect(checked.code == 2)
        #expect(checked.err.count == 1)
        #expect(checked.err.first?.contains("policies[1]: forgetful: its step runs INCR") == true, "\(checked.err)")
    }

    // MARK: What the reading of a script would miss

    /// What a script does with `redis` that the list of its commands would miss: a name that is computed, an error that is
    /// swallowed, another word for the same thing.
    private func unreadable(in text: String) -> [String] {
        let allowed = [/^\.call\('[A-Z]+'/, /^\.error_reply\(/, /^\.sha1hex\(/]
        return text.split(separator: "\n").flatMap { line -> [String] in
            let code = line.split(separator: "--", maxSplits: 1, omittingEmptySubsequences: false)[0]
            return code.split(separator: "redis", omittingEmptySubsequences: false).dropFirst()
                .filter { piece in !allowed.contains { piece.prefixMatch(of: $0) != nil } }
                .map { "redis\($0)" }
        }
    }

    @Test(arguments: [
        "redis.pcall('GET', key)", "redis.call(name, key)", "redis.call('get', key)", "local call = redis.call",
        "redis['call']('GET', key)", "return redis.call('GET', key) or redis.call(word .. 'GET', key)",
    ])
    func aCommandThatTheCanarysListWouldMissIsSeen(_ line: String) {
        #expect(unreadable(in: "-- redis.call(name) is what not to do\n\(line)\n").count == 1)
        #expect(unreadable(in: "redis.call('GET', key) -- never redis.pcall").isEmpty)
    }
}
