import ArgumentParser
import JSON
import NIOHTTP1
import SignalKit

/// What every command that asks a running host has.
protocol AskingCommand: AsyncParsableCommand {
    var options: ConfigOption { get }
    var format: OutputOption { get }
}

extension AskingCommand {
    func client() throws -> AdminClient { try AdminClient(try options.configuration()) }

    /// Prints the document as it came in JSON, or by `text`.
    func show(_ answer: AdminClient.Answer, _ text: (JSONValue) -> Void) throws {
        guard let document = answer.document else { throw Failure.failed("the host's answer is no JSON") }
        if format.output == .json {
            Output.line(String(decoding: answer.body, as: UTF8.self))
        } else {
            text(document)
        }
    }
}

private func items(_ value: JSONValue?) -> [JSONValue] { value?.array.map { Array($0) } ?? [] }
private func text(_ value: JSONValue?) -> String { value?.string ?? value?.integer.map(String.init) ?? "" }

struct StatusCommand: AskingCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows a running host's store, queues, storms and dead letters.")
    @OptionGroup var options: ConfigOption
    @OptionGroup var format: OutputOption

    func run() async throws {
        try show(try await client().document(.GET, "/api/v1/status")) { status in
            let store = status["store"]
            Output.line("version       \(text(status["version"])), up \(text(status["uptime_seconds"])) s")
            Output.line(
                "store         \(text(store?["state"]))" + (store?["reason"]?.string.map { " (\($0))" } ?? "")
                    + ", \(text(store?["where"]))")
            guard status["queues"] != nil else { return }
            for queue in items(status["queues"]) {
                Output.line(
                    "queue         \(text(queue["sink"])): \(text(queue["depth"])) waiting, the oldest for \(text(queue["oldest_age_seconds"])) s"
                )
            }
            Output.line("storms open   \(text(status["storms_open"]))")
            let dead = items(status["dead_letters"])
            if dead.isEmpty { Output.line("dead letters  none") }
            for origin in dead { Output.line("dead letters  \(text(origin["origin"])): \(text(origin["count"]))") }
            let counters = status["counters"]
            Output.line(
                "ended         \(text(counters?["expired"])) expired, \(text(counters?["forgotten"])) forgotten; \(text(counters?["missed_firing"])) whose firing was never seen"
            )
        }
    }
}

struct StormsCommand: AskingCommand {
    static let configuration = CommandConfiguration(
        commandName: "storms", abstract: "Lists storms, or shows one with its members.")
    @Argument(help: "A storm's id.") var id: String?
    @Option(name: .long, help: ArgumentHelp("Storms or members at most.", valueName: "count")) var limit = 100
    @OptionGroup var options: ConfigOption
    @OptionGroup var format: OutputOption

    func run() async throws {
        let path = "/api/v1/storms" + (id.map { "/\(AdminClient.encoded($0))" } ?? "") + "?limit=\(limit)"
        try show(try await client().document(.GET, path)) { document in
            let storms = id == nil ? items(document["storms"]) : [document]
            if storms.isEmpty { return Output.line("no storm") }
            Output.table(
                ["ID", "STATE", "MEMBERS", "FIRING", "OPENED", "GROUP"],
                storms.map { storm in
                    let group = storm["group"]?.object?.map { "\($0.key)=\($0.value.string ?? "")" } ?? []
                    return [
                        text(storm["id"]), text(storm["state"]), text(storm["members"]), text(storm["firing"]),
                        text(storm["opened"]),
                        group.joined(separator: " "),
                    ]
                })
            guard id != nil else { return }
            Output.line("")
            Output.table(
                ["STATE", "NAME", "TARGET", "FINGERPRINT"],
                items(document["listed"]).map { member in
                    let target = member["target"]
                    let name = [target?["namespace"]?.string, target?["name"]?.string].compactMap(\.self).joined(
                        separator: "/")
                    return [
                        member["firing"]?.boolean == true ? "firing" : "resolved", text(member["name"]), name,
                        text(member["fingerprint"]),
                    ]
                })
        }
    }
}

struct DeadLettersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead-letters", abstract: "Lists, shows, replays and drops what could not be read or delivered.",
        subcommands: [List.self, Show.self, Replay.self, Drop.self])

    struct List: AskingCommand {
        static let configuration = CommandConfiguration(abstract: "Lists dead letters, the newest first.")
        @Option(name: .long, help: ArgumentHelp("adapter/<id> or sink/<name>.", valueName: "origin")) var origin:
            String?
        @Option(name: .long, help: ArgumentHelp("Dead letters at most.", valueName: "count")) var limit = 100
        @OptionGroup var options: ConfigOption
        @OptionGroup var format: OutputOption

        func run() async throws {
            let path =
                "/api/v1/dead-letters?limit=\(limit)" + (origin.map { "&origin=\(AdminClient.encoded($0))" } ?? "")
            try show(try await client().document(.GET, path)) { document in
                let letters = items(document["dead_letters"])
                if letters.isEmpty { return Output.line("no dead letters") }
                Output.table(
                    ["ID", "ORIGIN", "COUNT", "LAST", "REASON"],
                    letters.map {
                        [text($0["id"]), text($0["origin"]), text($0["count"]), text($0["last"]), text($0["reason"])]
                    })
                let total = document["total"]?.integer ?? 0
                if total > letters.count { Output.line("\(letters.count) of \(total); --limit shows more") }
            }
        }
    }

    struct Show: AskingCommand {
        static let configuration = CommandConfiguration(abstract: "Shows one dead letter with what it holds.")
        @Argument(help: "The dead letter's id.") var id: String
        @OptionGroup var options: ConfigOption
        @OptionGroup var format: OutputOption

        func run() async throws {
            try show(try await client().document(.GET, "/api/v1/dead-letters/\(AdminClient.encoded(id))")) { letter in
                for key in ["id", "origin", "reason", "count", "first", "last"] {
                    Output.line(key + String(repeating: " ", count: 8 - key.count) + text(letter[key]))
                }
                Output.line("")
                Output.line(text(letter["item"]))
            }
        }
    }

    struct Replay: AskingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sends a dead letter on its road again, or all of one origin.",
            discussion:
                "An item of an adapter goes through the intake; a delivery goes back into its sink's queue. What is taken is dropped here."
        )
        @Argument(help: "The dead letter's id.") var id: String?
        @Option(name: .long, help: ArgumentHelp("adapter/<id> or sink/<name>: all of them.", valueName: "origin"))
        var origin: String?
        @OptionGroup var options: ConfigOption
        @OptionGroup var format: OutputOption

        func validate() throws {
            guard (id == nil) != (origin == nil) else { throw ValidationError("give an id, or --origin") }
        }

        func run() async throws {
            if let id {
                let answer = try await client().document(
                    .POST, "/api/v1/dead-letters/\(AdminClient.encoded(id))/replay")
                return try show(answer) { _ in Output.line("replayed") }
            }
            let answer = try await client().document(
                .POST, "/api/v1/dead-letters/replay?origin=\(AdminClient.encoded(origin ?? ""))")
            try show(answer) { document in
                Output.line("\(text(document["replayed"])) replayed, \(text(document["failed"])) not taken")
                for reason in items(document["reasons"]) { Output.line("    \(text(reason))") }
            }
            if answer.document?["failed"]?.integer ?? 0 > 0 { throw Failure.failed("") }
        }
    }

    struct Drop: AskingCommand {
        static let configuration = CommandConfiguration(abstract: "Drops a dead letter for good, or all of one origin.")
        @Argument(help: "The dead letter's id.") var id: String?
        @Option(name: .long, help: ArgumentHelp("adapter/<id> or sink/<name>: all of them.", valueName: "origin"))
        var origin: String?
        @OptionGroup var options: ConfigOption
        @OptionGroup var format: OutputOption

        func validate() throws {
            guard (id == nil) != (origin == nil) else { throw ValidationError("give an id, or --origin") }
        }

        func run() async throws {
            let path = id.map { "/\(AdminClient.encoded($0))" } ?? "?origin=\(AdminClient.encoded(origin ?? ""))"
            try show(try await client().document(.DELETE, "/api/v1/dead-letters\(path)")) {
                Output.line("\(text($0["dropped"])) dropped")
            }
        }
    }
}

struct SendCommand: AskingCommand {
    static let configuration = CommandConfiguration(
        commandName: "send",
        abstract: "Sends a marked test signal through a running host and waits until every sink has it.")
    @Option(name: .long, help: ArgumentHelp("How long to wait.", valueName: "duration")) var timeout = "30s"
    @OptionGroup var options: ConfigOption
    @OptionGroup var format: OutputOption

    func run() async throws {
        guard let limit = ConfigReader.duration(timeout) else {
            throw Failure.usage("--timeout: expected a duration such as 30s")
        }
        let client = try client()
        let sent = try await client.document(.POST, "/api/v1/send")
        guard let fingerprint = sent.document?["fingerprint"]?.string else {
            throw Failure.failed("the host's answer names no signal")
        }
        let verdict = text(sent.document?["verdict"])
        if format.output == .text { Output.line("\(verdict)  \(fingerprint)") }
        guard ["accepted", "aggregated"].contains(verdict) else {
            throw Failure.failed("the test signal was \(verdict): it goes to no sink")
        }
        let deadline = ContinuousClock.now + limit
        while true {
            let answer = try await client.document(.GET, "/api/v1/send/\(fingerprint)")
            let sinks = items(answer.document?["sinks"])
            let states = sinks.map { text($0["state"]) }
            if states.contains("dead-lettered") || !states.contains("queued") || ContinuousClock.now > deadline {
                try show(answer) { _ in
                    for sink in sinks { Output.line("\(text(sink["name"]))  \(text(sink["state"]))") }
                }
                if states.allSatisfy({ $0 == "delivered" }) { return }
                throw Failure.failed(
                    states.contains("dead-lettered")
                        ? "a sink would not take it: see `portcullis dead-letters list`"
                        : "not delivered within \(timeout)")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}
