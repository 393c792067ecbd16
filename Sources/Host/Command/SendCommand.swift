import ArgumentParser
import JSON
import SignalKit

struct SendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send", abstract: "Send a marked test signal through the running host and wait for every sink.",
        discussion: """
            Exits with 0 once every sink has it, and with 1 when the host refuses it, a sink refuses it for good, or \
            the time is over; what is queued then is still delivered later.
            """)

    @OptionGroup var config: ConfigurationOption

    @Option(help: ArgumentHelp("How long to wait for the sinks: 30s, 2m.", valueName: "duration"))
    var timeout = "30s"

    @OptionGroup var form: OutputOption

    func validate() throws {
        guard let bound = ConfigReader.duration(timeout), bound > .zero, bound <= .hours(1) else {
            throw ValidationError("--timeout: expected a duration such as 30s, at most 1h.")
        }
    }

    func run() async throws {
        let client = try config.client()
        let console = CommandContext.current.console
        let bound = ConfigReader.duration(timeout) ?? .seconds(30)
        let end = ContinuousClock.now.advanced(by: bound)
        func say(_ text: String) { if !form.isJSON { console.out(text.printable) } }

        let sent = try await client.document(.post, "/api/v1/send")
        guard let fingerprint = sent.root["fingerprint"]?.string else {
            throw CommandFailure("the host at \(client.address) did not say what it took")
        }
        let episode = sent.root["episode"]?.string ?? "unknown"
        say("\(sent.root["verdict"]?.string ?? "taken"): fingerprint \(fingerprint), episode \(episode)")

        var told: [String: String] = [:]
        while true {
            let answer = try await client.ask(.get, "/api/v1/send/\(AdminClient.encoded(fingerprint))")
            // 404: its way through the store is not to be seen yet.
            guard answer.isFine || answer.status == 404 else { throw client.refusal(answer) }
            let progress = SendProgress(answer)
            for sink in progress.sinks where told[sink.name] != sink.state {
                told[sink.name] = sink.state
                say("\(sink.name): \(sink.state)")
            }
            if form.isJSON, progress.isOver { console.out(json: String(decoding: answer.body, as: UTF8.self)) }
            if let lost = progress.deadLettered {
                throw CommandFailure("\(lost) refused it: see `portcullis dead-letters list --origin sink/\(lost)`")
            }
            if progress.isOver { return }
            guard ContinuousClock.now < end else {
                let waiting = progress.sinks.filter { $0.state != "delivered" }.map(\.name).joined(separator: ", ")
                throw CommandFailure(
                    "not delivered within \(timeout), still queued: \(waiting.isEmpty ? "no sink has it" : waiting)"
                )
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }
}

/// How far the test signal has come.
struct SendProgress {
    let sinks: [(name: String, state: String)]

    init(_ answer: AdminAnswer) {
        let document = answer.isFine ? try? JSONDocument.parse(answer.body) : nil
        sinks =
            (document?.root["sinks"]?.array).map { list in
                list.map { ($0["name"]?.string ?? "", $0["state"]?.string ?? "") }
            } ?? []
    }

    var deadLettered: String? { sinks.first { $0.state == "dead-lettered" }?.name }
    /// Nothing more is to come.
    var isOver: Bool { !sinks.isEmpty && sinks.allSatisfy { $0.state != "queued" } }
}
