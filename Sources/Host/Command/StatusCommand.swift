import ArgumentParser
import JSON
import SignalKit

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show how the running host is: its store, queues, storms and dead letters.")

    @OptionGroup var config: ConfigurationOption
    @OptionGroup var form: OutputOption

    func run() async throws {
        let document = try await config.client().document(.get, "/api/v1/status")
        let console = CommandContext.current.console
        guard !form.isJSON else { return console.out(json: document.string) }
        for line in Self.lines(document.root, columns: console.columns) { console.out(line) }
    }

    static func lines(_ status: JSONValue, columns: Int?) -> [String] {
        let uptime = ConfigReader.text(.seconds(status["uptime_seconds"]?.integer ?? 0))
        let store = status["store"]
        let reason = store?["reason"]?.string.map { ": \($0)" } ?? ""
        var lines = [
            "portcullis \(status["version"]?.string ?? "?"), up \(uptime)".printable,
            "store   \(store?["state"]?.string ?? "?")\(reason) (\(store?["where"]?.string ?? "?"))".printable,
            "storms  \(status["storms_open"]?.integer ?? 0) open",
        ]
        if let counters = status["counters"]?.object {
            let told = counters.map { "\($0.key.replacing("_", with: " ")) \($0.value.integer ?? 0)" }
            lines.append("so far  \(told.joined(separator: ", "))".printable)
        }
        var queues = Table(["SINK", "WAITING", "OLDEST"], numbers: [1, 2])
        for queue in status["queues"]?.array.map(Array.init) ?? [] {
            let age = Duration.seconds(queue["oldest_age_seconds"]?.integer ?? 0)
            queues.add(
                queue["sink"]?.string ?? "?", "\(queue["depth"]?.integer ?? 0)", ConfigReader.text(age))
        }
        lines += [""] + queues.lines(columns: columns)
        var letters = Table(["DEAD LETTERS OF", "COUNT"], numbers: [1])
        for origin in status["dead_letters"]?.array.map(Array.init) ?? [] {
            letters.add(origin["origin"]?.string ?? "?", "\(origin["count"]?.integer ?? 0)")
        }
        lines += letters.rows.isEmpty ? ["", "no dead letters"] : [""] + letters.lines(columns: columns)
        return lines
    }
}

struct StormsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "storms", abstract: "List the storms that the running host knows, or one with its members.")

    @Argument(help: "A storm's id, as the list shows it.")
    var id: String?

    @Option(help: "How many to list at most.")
    var limit: Int?

    @OptionGroup var config: ConfigurationOption
    @OptionGroup var form: OutputOption

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit: expected a number above 0.") }
    }

    func run() async throws {
        let place = id.map { "/\(AdminClient.encoded($0))" } ?? ""
        let path = "/api/v1/storms\(place)?limit=\(limit ?? (id == nil ? 100 : 500))"
        let document = try await config.client().document(.get, path)
        let console = CommandContext.current.console
        guard !form.isJSON else { return console.out(json: document.string) }
        let lines = id == nil ? Self.list(document.root) : Self.one(document.root)
        for line in lines { console.out(line.cut(to: console.columns)) }
    }

    static func list(_ answer: JSONValue) -> [String] {
        let storms = answer["storms"]?.array.map(Array.init) ?? []
        guard !storms.isEmpty else { return ["no storms"] }
        var table = Table(["ID", "STATE", "FIRING", "MEMBERS"], numbers: [2, 3])
        for storm in storms {
            table.add(
                storm["id"]?.string ?? "?", storm["state"]?.string ?? "?", "\(storm["firing"]?.integer ?? 0)",
                "\(storm["members"]?.integer ?? 0)")
        }
        let lines = table.lines()
        // Ids are 46 characters and more: what else there is to say stands below.
        return [lines[0]] + zip(lines.dropFirst(), storms).flatMap { [$0, "    \(summary($1))"] }
    }

    static func one(_ storm: JSONValue) -> [String] {
        var lines = [
            "storm \(storm["id"]?.string ?? "?"), \(storm["state"]?.string ?? "?")".printable,
            summary(storm),
            "\(storm["firing"]?.integer ?? 0) of \(storm["members"]?.integer ?? 0) members fire",
        ]
        var table = Table(["NAME", "TARGET", "FIRING", "FINGERPRINT"])
        for member in storm["listed"]?.array.map(Array.init) ?? [] {
            let target = member["target"].map { target in
                let namespace = target["namespace"]?.string.map { "\($0)/" } ?? ""
                return "\(target["kind"]?.string ?? "") \(namespace)\(target["name"]?.string ?? "")"
            }
            table.add(
                member["name"]?.string ?? "?", target ?? "", member["firing"]?.boolean == true ? "yes" : "no",
                member["fingerprint"]?.string ?? "?")
        }
        if !table.rows.isEmpty { lines += [""] + table.lines() }
        return lines
    }

    private static func summary(_ storm: JSONValue) -> String {
        let group = storm["group"]?.object?.map { "\($0.key)=\"\($0.value.string ?? "")\"" }.joined(separator: " ")
        let (opened, last) = (storm["opened"]?.string ?? "?", storm["last"]?.string ?? "?")
        return "\(group ?? "") opened \(opened), last \(last)".printable
    }
}
