import JSON
import SignalKit
import Synchronization
import TestSupport
import Testing

@testable import Host

/// What a command printed, and how it ended.
struct Printed: Sendable {
    var out: [String] = []
    var err: [String] = []
    var code: Int32 = 0
}

/// Runs a command as the executable would.
func command(_ words: String..., plugins: Plugins = .standIns, columns: Int? = nil) async -> Printed {
    await command(words: words, plugins: plugins, columns: columns)
}

func command(words: [String], plugins: Plugins = .standIns, columns: Int? = nil) async -> Printed {
    let (out, err) = (Lines(), Lines())
    let console = Console(out: out.add, err: err.add, columns: columns)
    let code = await PortcullisHost.run(words, plugins: plugins, console: console)
    return Printed(out: out.all, err: err.all, code: code)
}

private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    func add(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
}

@Suite struct CommandTests {
    private let directory: TemporaryDirectory
    private let file: String

    init() throws {
        directory = try TemporaryDirectory()
        file = directory.file("portcullis.yaml")
        try Files.write(fineFile, to: file)
    }

    @Test func wrongUsageIsA2() async {
        #expect(await command("bogus").code == 2)
        #expect(await command("try", "alertmanager").code == 2)
        #expect(await command("status", "--output", "xml").code == 2)
        #expect(await command("dead-letters", "drop").code == 2)
        #expect(await command("dead-letters", "replay", "x", "--origin", "y").code == 2)
        #expect(await command("send", "--timeout", "soon").code == 2)
        #expect(await command("serve", "--log-level", "loud").code == 2)
        #expect(await command("status", "-c", directory.file("absent")).code == 2)
    }

    @Test func helpAndVersionAreFine() async {
        let version = await command("--version")
        #expect(version.code == 0 && version.out == ["0.1.0"])
        for words in [[], ["serve"], ["check"], ["plugins"], ["try"], ["send"], ["status"], ["storms"], ["queues"]] {
            let help = await PortcullisHost.run(
                words + ["--help"], plugins: .standIns, console: Console(out: { _ in }, err: { _ in }, columns: nil))
            #expect(help == 0)
        }
    }

    @Test func checkSaysFineOrEverythingThatIsWrong() async throws {
        let good = await command("check", "--config", file)
        #expect(good.code == 0 && good.out == ["\(file): fine"] && good.err.isEmpty)
        try Files.write(fineFile.replacing("when_full: refuse", with: "when_fool: refuse"), to: file)
        let bad = await command("check", "--config", file)
        #expect(bad.code == 2 && bad.out.isEmpty)
        #expect(
            bad.err == [
                "\(file):12:5: sinks[0].when_full: when_full is required: choice, refuse, dead-letter",
                "\(file):12:43: sinks[0].when_fool: unknown key when_fool; did you mean when_full?",
            ])
        let json = await command("check", "--config", file, "--output", "json")
        let document = try JSONDocument.parse(Array(json.out.joined().utf8)).root
        #expect(json.code == 2 && json.err.isEmpty)
        #expect(document["errors"]?.array?.map { $0["line"]?.integer } == [12, 12])
        #expect(document["errors"]?.array?.map { $0["path"]?.string } == ["sinks[0].when_full", "sinks[0].when_fool"])
        #expect(document["warnings"]?.array?.count == 0)
    }

    @Test func aWarningIsNoError() async throws {
        try Files.write(fineFile.replacing("listen: 127.0.0.1:", with: "listen: 0.0.0.0:"), to: file)
        let checked = await command("check", "--config", file)
        #expect(checked.code == 0 && checked.out == ["\(file): fine"])
        #expect(
            checked.err == [
                "warning: \(file):7:52: adapters[0].authenticate: anybody who reaches 0.0.0.0:8080 may post here"
            ])
    }

    @Test func pluginsAreListedWithTheirKeysAndFailureModes() async throws {
        let printed = await command("plugins")
        #expect(printed.code == 0)
        #expect(printed.out.contains("policy filter (on error closed)"))
        #expect(printed.out.contains("policy enrich (on error open: it only adds a label)"))
        #expect(printed.out.contains("gate policy persist (on error closed by construction)"))
        #expect(printed.out.contains { $0.hasPrefix("  rate.count") && $0.hasSuffix("1 to 1000  10") })
        #expect(
            printed.out.contains {
                $0.hasPrefix("  durability") && $0.hasSuffix("fsync         required")
            })
        let narrow = await command("plugins", columns: 60)
        #expect(narrow.out.allSatisfy { $0.count <= 60 })
        let json = try JSONDocument.parse(Array(await command("plugins", "-o", "json").out.joined().utf8)).root
        #expect(json["plugins"]?.array?.count == 8)
    }

    @Test func tryShowsWhatAnAdapterAndThePoliciesSay() async throws {
        let body = directory.file("body.json")
        try Files.write(
            """
            {"version":"4","alerts":[
            {"status":"firing","labels":{"alertname":"Disk","pod":"p\\u001b[2J"},"startsAt":"2026-08-01T12:00:00Z"},
            {"status":"firing","labels":{"alertname":"Watchdog"},"startsAt":"2026-08-01T12:00:00Z"},
            {"status":"firing","labels":{"alertname":"Bad"},"startsAt":"soon"}]}
            """, to: body)
        let before = "  - {use: deduplicate}"
        try Files.write(
            fineFile.replacing(before, with: "  - {use: filter, drop: [Watchdog]}\n  - {use: enrich}\n" + before),
            to: file)
        let tried = await command("try", "alertmanager", body, "--config", file)
        #expect(tried.code == 0, "\(tried.err)")
        #expect(tried.out.first == "alertmanager at /hook: signals: 2, items that can't be read: 1")
        #expect(tried.out.contains("Disk, firing") && tried.out.contains("  target       pod p\\u{1b}[2J"))
        #expect(tried.out.contains("  filter       filter: drop") && tried.out.contains("  enrich       replace"))
        #expect(tried.out.filter { $0 == "  then         to the gate" }.count == 1)
        #expect(tried.out.last?.hasPrefix("item 2 would be a dead letter: startsAt") == true)

        let json = await command("try", "alertmanager", body, "--config", file, "-o", "json")
        let document = try JSONDocument.parse(Array(json.out.joined().utf8)).root
        #expect(document["signals"]?.array?.map { $0["passes"]?.boolean } == [true, false])
        #expect(document["rejected"]?.array?.map { $0["index"]?.integer } == [2])
        #expect(await command("try", "alertmanager", body, "--config", file, "--path", "/other").code == 2)
    }

    @Test func tryFailsOnWhatCannotBeRead() async throws {
        let body = directory.file("body.json")
        try Files.write("{\"version\":", to: body)
        let tried = await command("try", "alertmanager", body, "--config", file)
        #expect(tried.code == 1 && tried.err.count == 1 && tried.err[0].contains("byte 11"), "\(tried.err)")
        #expect(await command("try", "alertmanager", directory.file("absent"), "--config", file).code == 1)
        let unknown = await command("try", "alertmangr", body, "--config", file)
        #expect(unknown.code == 2 && unknown.err[0].contains("did you mean alertmanager?"))
    }

    @Test func aTableStandsInColumnsAndObeysNobody() {
        var table = Table(["NAME", "COUNT"], numbers: [1])
        table.add("a\u{1b}[31m\n", "5")
        table.add("b", "1234567")
        #expect(
            table.lines() == [
                "NAME                COUNT", "a\\u{1b}[31m\\u{a}        5", "b                 1234567",
            ])
        #expect(table.lines(columns: 6)[0] == "NAME …")
    }

    @Test func aPathsPieceIsEncoded() {
        #expect(AdminClient.encoded("adapter/a b-c.9_~é") == "adapter%2Fa%20b-c.9_~%C3%A9")
    }
}
