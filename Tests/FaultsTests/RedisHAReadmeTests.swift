import TestSupport
import Testing

/// The commands of deploy/redis-ha/README.md that need no cluster, as they stand there.
@Suite(.serialized) struct RedisHAReadmeTests {
    /// The text of each block marked `sh` below a heading.
    private static func blocks(_ heading: String) throws -> [String] {
        let text = try Repository.text("deploy/redis-ha/README.md")
        let section = try #require(
            text.split(separator: "## \(heading)\n").dropFirst().first?.split(separator: "\n## ").first)
        return section.split(separator: "```sh\n").dropFirst().compactMap {
            $0.split(separator: "```").first.map(String.init)
        }
    }

    /// Runs a block with `ha` as the README defines it, but for members on loopback instead of pods.
    @discardableResult
    private func run(
        _ block: String, _ group: RedisGroup, _ variables: [String: String], in directory: TemporaryDirectory
    )
        async throws -> String
    {
        var text = "set -euo pipefail\ncd '\(directory.path)'\nha() ( case $1 in\n"
        for member in group.members {
            let settings = member.environment.map { "\($0)='\($1)'" }.joined(separator: " ")
            text += "\(member.place)) export \(settings) ;;\n"
        }
        text += "esac; exec sh \"\(RedisGroup.folder)/$2.sh\" \"${@:3}\" )\n"
        try Files.write(text + block, to: directory.file("block.sh"))
        let run = try await ChildProcess.run(
            "bash", [directory.file("block.sh")], environment: variables, within: .seconds(90))
        guard run.end == .exited(0) else { throw TestFailure("\(block)\n\(run.output)\(run.errors)") }
        return run.output
    }

    /// `$master` and `$replica`.
    private func places(_ group: RedisGroup) async throws -> [String: String] {
        try await group.awaitPromotable()
        let master = try #require(try await group.masterMember())
        return ["master": String(master.place), "replica": String((master.place + 1) % 3)]
    }

    /// - Parameter timeout: of the store.
    private func host(_ group: RedisGroup, timeout: String = "500ms") async throws -> HostProcess {
        var plan = HostPlan(state: group.hostState.replacing("timeout: 500ms", with: "timeout: \(timeout)"))
        plan.policies = "  - {use: deduplicate}\n  - {use: persist, durability: {replicas: 1}}"
        return try await HostProcess(plan)
    }

    private func awaitTaken(_ host: HostProcess, _ name: String) async throws {
        try await eventually("\(name) taken", within: .seconds(30)) {
            [201, 202].contains(try await host.post(Alert(name)).status)
        }
    }

    @Test func itIsLookedAtFailedOverBackedUpAndRestored() async throws {
        let group = try await RedisGroup.deployed()
        let (host, files) = (try await host(group), try TemporaryDirectory())
        #expect(try await host.post(Alert("Before")).status == 201)
        let looked = try await run(Self.blocks("Look at it")[0], group, places(group), in: files)
        #expect(looked.contains("OK 3 usable Sentinels") && looked.contains("master\nslave\nslave\n"))

        let byHand = try Self.blocks("Fail over by hand")
        #expect(byHand.count == 2)
        for block in byHand {
            let places = try await places(group)
            try await run(block, group, places, in: files)
            let now = try #require(try await group.masterMember())
            #expect(String(now.place) != places["master"])
            try await awaitTaken(host, "Before")
            #expect(try await host.post(Alert("Before")).verdicts == ["duplicate"])
        }

        try await run(Self.blocks("Back up")[0], group, places(group), in: files)
        #expect(try await run("redis-check-rdb portcullis.rdb", group, [:], in: files).contains("RDB looks OK"))
        try await awaitTaken(host, "After")
        // Not while a host is there.
        let restore = try Self.blocks("Restore")[0]
        await #expect(throws: TestFailure.self) { try await run(restore, group, places(group), in: files) }
        #expect(try await host.post(Alert("After")).verdicts == ["duplicate"])
        try await host.stop()
        try await run(restore, group, places(group), in: files)
        try await host.start()
        try await host.awaitOpen()
        #expect(try await host.post(Alert("Before")).verdicts == ["duplicate"])
        #expect(try await host.post(Alert("After")).verdicts == ["accepted"])
        try await group.awaitPromotable()
    }

    @Test func aPasswordIsRotatedUnderLoadWithoutA503() async throws {
        let group = try await RedisGroup.deployed()
        // What is tested is the password, not how fast replicas are on a busy machine.
        let (host, files) = (try await host(group, timeout: "5s"), try TemporaryDirectory())
        let blocks = try Self.blocks("Rotate a password")
        #expect(blocks.count == 2)
        let file = group.secret("portcullis-password")
        let (old, new) = (Files.text(file) ?? "", "n3w")
        let sender = Task {
            var (number, refused) = (0, 0)
            while !Task.isCancelled {
                number += 1
                if try await host.post(Alert("R\(number)")).status != 201 { refused += 1 }
            }
            return (number, refused)
        }
        try Files.write(new, to: file + "-also")
        try await run(blocks[0], group, ["new": new, "old": old], in: files)
        // A member that starts just then knows both too.
        let replica = group.members[2]
        try await replica.stop()
        try await replica.start()
        try Files.write(new, to: file)
        try Files.write(old, to: file + "-also")
        try await run(blocks[1], group, ["new": new, "old": old], in: files)
        Files.remove(file + "-also")
        sender.cancel()
        let (sent, refused) = try await sender.value
        #expect(sent > 10 && refused == 0)

        func login(_ password: String) async throws -> String {
            let run = try await ChildProcess.run(
                "redis-cli", ["-p", String(replica.port ?? 0), "--user", "portcullis", "ROLE"],
                environment: ["REDISCLI_AUTH": password])
            return run.output + run.errors
        }
        #expect(try await login(old).contains("WRONGPASS"))
        #expect(try await login(new).contains("slave"))
        let master = try #require(try await group.masterMember())
        try await master.redis("CLIENT", "KILL", "USER", "portcullis")
        try await awaitTaken(host, "After")
    }

    @Test func withQuorumLostTheLastReplicaIsMadeTheMasterAndTheOthersBeginAnew() async throws {
        let group = try await RedisGroup.deployed()
        let (host, files) = (try await host(group), try TemporaryDirectory())
        #expect(try await host.post(Alert("Before")).status == 201)
        let survivor = group.members[2]
        try await eventually("it at the last replica") { (try await survivor.redis("DBSIZE").first ?? "0") != "0" }
        for place in [0, 1] { group.members[place].killPod() }
        try await eventually("a 503") { try await host.post(Alert("During")).status == 503 }
        #expect(try await survivor.redis("ROLE").first == "slave")
        try await run(Self.blocks("When quorum is lost")[0], group, ["survivor": "2"], in: files)
        try await eventually("a master") { try await survivor.redis("ROLE").first == "master" }
        for place in [0, 1] {
            group.members[place].erase()
            try group.members[place].launch()
        }
        try await group.awaitPromotable(within: .seconds(90))
        #expect(try await group.masterMember() === survivor)
        try await awaitTaken(host, "During")
        #expect(try await host.post(Alert("Before")).verdicts == ["duplicate"])
    }
}
