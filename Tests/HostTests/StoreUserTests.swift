import JSON
import TestSupport
import Testing

@testable import Host

/// `portcullis plugins --acl`: the user of Redis whom a configuration needs.
@Suite struct StoreUserTests {
    private static let base = "deploy/kubernetes/base/portcullis.yaml"
    private static let overlay = "deploy/kubernetes/overlays/external-redis-sentinel/portcullis.yaml"

    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func printed(_ text: String, _ further: String...) async throws -> Printed {
        let file = directory.file("portcullis.yaml")
        try Files.write(text, to: file)
        return await command(words: ["plugins", "--acl", "--config", file] + further, plugins: .standIns)
    }

    private func printed(redis: String, prefix: String = "portcullis", durability: String = "fsync") async throws
        -> Printed
    {
        try await printed(
            fineFile.replacing("{embedded: {directory: ./var}}", with: "{\(redis)}\n  prefix: \(prefix)")
                .replacing("durability: fsync", with: "durability: \(durability)"))
    }

    @Test func theUserHasTheNameThePrefixAndTheRightsOfTheConfiguration() async throws {
        let printed = try await printed(redis: "url: 'redis://127.0.0.1:6379/3', username: gate", prefix: "shop")
        #expect(printed.code == 0 && printed.err.isEmpty && printed.out.count == 1, "\(printed)")
        let line = try #require(printed.out.first)
        #expect(line.hasPrefix("ACL SETUSER gate on >PASSWORD resetchannels resetkeys ~{shop}:* -@all +role +info "))
        let rights = line.split(separator: " ")
        #expect(Set(rights).count == rights.count)
        for right in ["+select", "+client|setname", "+script|exists", "+script|load", "+evalsha", "+zunionstore"] {
            #expect(rights.contains(Substring(right)), "\(right)")
        }
        // A stand-in of `persist` has no durability of its own, and fsync is the usual one.
        #expect(rights.contains("+config|get") && !rights.contains("+wait"))
    }

    @Test func aDatabaseThatIsTheFirstNeedsNoRightToSelectIt() async throws {
        let printed = try await printed(redis: "url: 'redis://gate@127.0.0.1:6379/0'")
        #expect(printed.out.first?.hasPrefix("ACL SETUSER gate on ") == true, "\(printed)")
        #expect(printed.out.first?.contains("+select") == false)
    }

    @Test(arguments: ["", ", username: default"])
    func theUserWhoReadsTheLogLosesNoRight(_ username: String) async throws {
        let printed = try await printed(redis: "url: 'redis://127.0.0.1:6379'\(username)")
        #expect(printed.out.first?.hasPrefix("ACL SETUSER portcullis on ") == true, "\(printed)")
        #expect(printed.err == ["state.redis has no username of its own yet: add username: portcullis"])
    }

    @Test func anEmbeddedServerNeedsNoUserAndThatIsSaid() async throws {
        let printed = try await printed(fineFile)
        #expect(printed.code == 0 && printed.out.count == 1)
        #expect(printed.err.first?.hasPrefix("state.redis is embedded: that server takes nobody but its host") == true)
    }

    @Test func behindSentinelThereAreTwoUsers() async throws {
        let words = ["plugins", "--acl", "--config", Repository.path(Self.overlay)]
        let text = await command(words: words, plugins: .standard)
        #expect(text.code == 0 && text.err.isEmpty && text.out.count == 2, "\(text)")
        #expect(text.out.first?.contains(" +wait ") == true && text.out.first?.contains("+config|get") == false)
        #expect(text.out.last?.hasPrefix("ACL SETUSER portcullis-sentinel on >PASSWORD ") == true)
        let json = await command(words: words + ["--output", "json"], plugins: .standard)
        let document = try JSONDocument.parse(Array(json.out.joined().utf8)).root
        #expect([document["redis"]?.string, document["sentinel"]?.string] == text.out)
    }

    @Test func aConfigurationThatCannotBeReadIsA2AndOneWithoutTheFlagIsWrongUsage() async throws {
        #expect(try await printed(fineFile.replacing("refuse", with: "never")).code == 2)
        #expect(await command("plugins", "--config", directory.file("portcullis.yaml")).code == 2)
    }

    @Test func theDocumentShowsWhatIsPrinted() async throws {
        let document = try Repository.text("docs/operations.md").split(whereSeparator: \.isNewline)
        let plain = await command("plugins", "--acl", "--config", Repository.path(Self.base), plugins: .standard)
        let watched = await command("plugins", "--acl", "--config", Repository.path(Self.overlay), plugins: .standard)
        for line in try [#require(plain.out.first), #require(watched.out.last)] {
            let isShown = document.contains(Substring(line))
            #expect(isShown, "docs/operations.md should hold\n\n\(line)\n")
        }
        let shown = document.filter { $0.hasPrefix("ACL SETUSER ") }
        #expect(shown.count == 2)
    }

    /// What deploy/redis-ha lets the host do.
    @Test func theFilesOfTheProductionRedisHoldWhatIsPrinted() async throws {
        let printed = await command("plugins", "--acl", "--config", Repository.path(Self.overlay), plugins: .standard)
        for (line, file) in zip(printed.out, ["redis-users.acl", "sentinel-users.acl"]) {
            let name = try #require(line.split(separator: " ").dropFirst(2).first)
            let expected = line.replacing("ACL SETUSER ", with: "user ").replacing(
                ">PASSWORD", with: ">\(name)-password")
            let lines = try Repository.text("deploy/redis-ha/\(file)").split(separator: "\n")
            let isThere = lines.contains(Substring(expected))
            #expect(isThere, "deploy/redis-ha/\(file) should hold\n\n\(expected)\n")
            #expect(lines.contains { $0.hasPrefix("user default off ") })
        }
    }
}
