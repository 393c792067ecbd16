import ArgumentParser
import SignalKit

/// `--config FILE`
struct ConfigurationOption: ParsableArguments {
    static let usual = "./portcullis.yaml"

    @Option(
        name: [.customShort("c"), .customLong("config")],
        help: ArgumentHelp("The configuration to read.", discussion: "Default: \(usual)", valueName: "file"))
    var given: String?

    var file: String { given ?? Self.usual }

    /// - Throws: every error of the file.
    func load(services: Services = .silent) throws(CommandFailure) -> HostConfiguration {
        switch HostConfiguration.load(file: file, plugins: CommandContext.current.plugins, services: services) {
        case .success(let configuration): return configuration
        case .failure(let failure): throw CommandFailure(failure)
        }
    }

    /// Speaks to the host that runs with this configuration.
    func client() throws(CommandFailure) -> AdminClient {
        let server = try load().server
        guard let admin = server.admin else {
            throw CommandFailure(
                "\(file) has no server.admin, through which a running host is asked: add it, such as 127.0.0.1:9090",
                code: CommandFailure.usage)
        }
        return AdminClient(address: admin.reachable, tokenFile: server.adminTokenFile)
    }
}

/// `--output text|json`
struct OutputOption: ParsableArguments {
    enum Form: String, ExpressibleByArgument, CaseIterable { case text, json }

    @Option(name: .shortAndLong, help: "How to print: for people, or one JSON document.")
    var output = Form.text

    var isJSON: Bool { output == .json }
}

/// One id, or everything of one origin.
struct LetterChoice: ParsableArguments {
    @Argument(help: "A dead letter's id, as `dead-letters list` shows it.")
    var id: String?

    @Option(help: ArgumentHelp("All of one origin: adapter/ID or sink/NAME.", valueName: "origin"))
    var origin: String?

    func validate() throws {
        guard (id == nil) != (origin == nil) else { throw ValidationError("Give either an id or --origin.") }
    }
}
