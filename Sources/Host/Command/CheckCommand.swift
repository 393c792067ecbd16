import ArgumentParser
import JSON
import SignalKit

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Read a configuration and say everything that is wrong with it.",
        discussion: "Needs no network and opens no port. Exits with 2 when there is an error; warnings are none.")

    @OptionGroup var config: ConfigurationOption
    @OptionGroup var form: OutputOption

    func run() throws {
        let context = CommandContext.current
        let errors: [ConfigError]
        let warnings: [ConfigError]
        switch HostConfiguration.load(file: config.file, plugins: context.plugins) {
        case .success(let configuration):
            (errors, warnings) = ([], (configuration.warnings + configuration.fileWarnings).byPlace)
        case .failure(let failure): (errors, warnings) = (failure.errors, failure.warnings)
        }
        if form.isJSON {
            let document: JSONTree = [
                "errors": .array(errors.map(Self.document)), "warnings": .array(warnings.map(Self.document)),
            ]
            context.console.out(json: String(decoding: try document.text(pretty: true), as: UTF8.self))
        } else {
            for error in errors { context.console.err(error.line(in: config.file).printable) }
            for warning in warnings { context.console.err("warning: \(warning.line(in: config.file))".printable) }
            if errors.isEmpty { context.console.out("\(config.file): fine") }
        }
        if !errors.isEmpty { throw CommandFailure(code: CommandFailure.usage) }
    }

    private static func document(_ error: ConfigError) -> JSONTree {
        [
            "path": .string(error.path), "message": .string(error.message),
            "line": error.mark.map { .integer(Int64($0.line)) } ?? .null,
            "column": error.mark.map { .integer(Int64($0.column)) } ?? .null,
        ]
    }
}
