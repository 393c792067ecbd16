import ArgumentParser
import JSON

struct DeadLettersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead-letters", abstract: "List, show, replay or drop what could not be read or delivered.",
        discussion: """
            A dead letter is kept until it is replayed or dropped. Its origin is the adapter that could not read it \
            (adapter/ID) or the sink that refused it (sink/NAME).
            """,
        subcommands: [List.self, Show.self, Replay.self, Drop.self])

    static func place(_ id: String) -> String { "/api/v1/dead-letters/\(AdminClient.encoded(id))" }
}

extension DeadLettersCommand {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List them, with their reasons.")

        @Option(help: ArgumentHelp("Only those of one origin: adapter/ID or sink/NAME.", valueName: "origin"))
        var origin: String?

        @Option(help: "How many to list at most.")
        var limit = 100

        @OptionGroup var config: ConfigurationOption
        @OptionGroup var form: OutputOption

        func validate() throws {
            guard limit > 0 else { throw ValidationError("--limit: expected a number above 0.") }
        }

        func run() async throws {
            let filter = origin.map { "&origin=\(AdminClient.encoded($0))" } ?? ""
            let document = try await config.client().document(.get, "/api/v1/dead-letters?limit=\(limit)\(filter)")
            let console = CommandContext.current.console
            guard !form.isJSON else { return console.out(json: document.string) }
            for line in DeadLetterList.lines(document.root) { console.out(line.cut(to: console.columns)) }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show one, with the item as it was sent.")

        @Argument(help: "Its id, as `dead-letters list` shows it.")
        var id: String

        @OptionGroup var config: ConfigurationOption
        @OptionGroup var form: OutputOption

        func run() async throws {
            let document = try await config.client().document(.get, DeadLettersCommand.place(id))
            let console = CommandContext.current.console
            guard !form.isJSON else { return console.out(json: document.string) }
            for line in DeadLetterList.one(document.root) { console.out(line) }
        }
    }

    struct Replay: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Send again what was set aside.",
            discussion: """
                An item goes through its adapter and the gate as of the time when it was last received; a delivery goes \
                back into its sink's queue. Of an item over 256 KiB only the beginning is kept: it can't be replayed. What succeeds is a dead letter no more. Exits with 1 when one is refused again.
                """)

        @OptionGroup var choice: LetterChoice
        @OptionGroup var config: ConfigurationOption
        @OptionGroup var form: OutputOption

        func run() async throws {
            let client = try config.client()
            let console = CommandContext.current.console
            if let id = choice.id {
                let document = try await client.document(.post, DeadLettersCommand.place(id) + "/replay")
                let status = document.root["status"]?.integer.map { " (\($0))" } ?? ""
                if form.isJSON { return console.out(json: document.string) }
                return console.out("replayed \(id)\(status)".printable)
            }
            let origin = AdminClient.encoded(choice.origin ?? "")
            let document = try await client.document(.post, "/api/v1/dead-letters/replay?origin=\(origin)")
            let failed = document.root["failed"]?.integer ?? 0
            if form.isJSON {
                console.out(json: document.string)
            } else {
                console.out("replayed \(document.root["replayed"]?.integer ?? 0), refused again \(failed)")
                for reason in document.root["reasons"]?.array.map(Array.init) ?? [] {
                    console.out("    \(reason.string ?? "")".printable)
                }
            }
            if failed > 0 { throw CommandFailure(code: 1) }
        }
    }

    struct Drop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Forget one, or all of one origin, for good.")

        @OptionGroup var choice: LetterChoice
        @OptionGroup var config: ConfigurationOption
        @OptionGroup var form: OutputOption

        func run() async throws {
            let path =
                choice.id.map(DeadLettersCommand.place)
                ?? "/api/v1/dead-letters?origin=\(AdminClient.encoded(choice.origin ?? ""))"
            let document = try await config.client().document(.delete, path)
            let console = CommandContext.current.console
            if form.isJSON { return console.out(json: document.string) }
            console.out("dropped \(document.root["dropped"]?.integer ?? 0)")
        }
    }
}

enum DeadLetterList {
    static func lines(_ answer: JSONValue) -> [String] {
        let letters = answer["dead_letters"]?.array.map(Array.init) ?? []
        guard !letters.isEmpty else { return ["no dead letters"] }
        var table = Table(["ID", "ORIGIN", "COUNT"], numbers: [2])
        for letter in letters {
            table.add(
                letter["id"]?.string ?? "?", letter["origin"]?.string ?? "?", "\(letter["count"]?.integer ?? 0)")
        }
        let rows = table.lines()
        // Ids are 40 characters: the reason stands below, where a terminal has room for it.
        var lines = [rows[0]]
        for (row, letter) in zip(rows.dropFirst(), letters) {
            let reason = letter["reason"]?.string ?? "?"
            lines += [row, "    last \(letter["last"]?.string ?? "?"): \(reason)".printable]
        }
        let total = answer["total"]?.integer ?? Int64(letters.count)
        if total > letters.count { lines.append("\(letters.count) of \(total); --limit shows more") }
        return lines
    }

    /// Says that an item is not whole.
    private static func cut(_ cut: JSONValue?) -> String? {
        guard let cut, let size = cut["size"]?.integer, let kept = cut["kept"]?.integer else { return nil }
        return
            "item    the first \(kept) of \(size) bytes (FNV-1a \(cut["fnv1a"]?.string ?? "?")): it can't be replayed"
            .printable
    }

    static func one(_ letter: JSONValue) -> [String] {
        let lines: [String?] = [
            "id      \(letter["id"]?.string ?? "?")".printable,
            "origin  \(letter["origin"]?.string ?? "?")".printable,
            "reason  \(letter["reason"]?.string ?? "?")".printable,
            "count   \(letter["count"]?.integer ?? 0)",
            "first   \(letter["first"]?.string ?? "?")".printable,
            "last    \(letter["last"]?.string ?? "?")".printable,
            cut(letter["cut"]),
            "",
            (letter["item"]?.string ?? "").printable,
        ]
        return lines.compactMap(\.self)
    }
}
