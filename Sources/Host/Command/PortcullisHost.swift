import ArgumentParser
import Glibc

/// The command line. An executable is this and a list of plugins.
public enum PortcullisHost {
    static let version = "0.1.0"

    /// Runs the command that the arguments name and ends the process: with 0 when all is fine, 1 when what was
    /// asked for failed, 2 for wrong usage or configuration.
    /// - Parameter arguments: without the executable's own name; nil for the process's.
    public static func main(plugins: Plugins, arguments: [String]? = nil) async {
        let arguments = arguments ?? Array(CommandLine.arguments.dropFirst())
        let code = await run(arguments, plugins: plugins, console: .process)
        LogWriter.standardError.flush()
        exit(code)
    }

    static func run(_ arguments: [String], plugins: Plugins, console: Console) async -> Int32 {
        await CommandContext.$current.withValue(CommandContext(plugins: plugins, console: console)) {
            do {
                var command = try RootCommand.parseAsRoot(arguments)
                if var waiting = command as? any AsyncParsableCommand {
                    try await waiting.run()
                } else {
                    try command.run()
                }
                return 0
            } catch {
                return ended(by: error, console)
            }
        }
    }

    private static func ended(by error: any Error, _ console: Console) -> Int32 {
        if let failure = error as? CommandFailure {
            for line in failure.lines { console.err(line.printable) }
            return failure.code
        }
        let code = RootCommand.exitCode(for: error)
        let message = RootCommand.fullMessage(for: error, columns: console.columns)
        if code == .success {
            console.out(message)
            return 0
        }
        if !message.isEmpty { console.err(message) }
        return code == .validationFailure ? CommandFailure.usage : 1
    }
}

/// What a command finds around it: which plugins this build has, and where to print.
struct CommandContext: Sendable {
    let plugins: Plugins
    let console: Console

    @TaskLocal static var current = CommandContext(plugins: .standard, console: .process)
}

/// Where a command prints. Each text is written with a line break after it, and without a character that a terminal obeys: what a
/// sender, a file or a host wrote is shown.
struct Console: Sendable {
    private let writeOut: @Sendable (String) -> Void
    private let writeErr: @Sendable (String) -> Void
    /// Of the terminal; nil when the output is none.
    let columns: Int?

    init(out: @escaping @Sendable (String) -> Void, err: @escaping @Sendable (String) -> Void, columns: Int?) {
        (writeOut, writeErr, self.columns) = (out, err, columns)
    }

    /// Line breaks in the text are kept.
    func out(_ text: String) { writeOut(text.printableLines) }
    func err(_ text: String) { writeErr(text.printableLines) }
    /// A document: what JSON allows raw and a terminal obeys is written as JSON's own escapes.
    func out(json text: String) { writeOut(text.printableJSON) }

    static var process: Console {
        Console(
            out: { write($0, to: STDOUT_FILENO) },
            err: {
                // In order with the log; and a standard error without a reader must not keep a host from ending.
                LogWriter.standardError.add(Array(($0 + "\n").utf8))
                LogWriter.standardError.flush()
            },
            columns: width(STDOUT_FILENO))
    }

    private static func write(_ text: String, to file: Int32) {
        var rest = Array((text + "\n").utf8)[...]
        while !rest.isEmpty {
            // SAFETY: reads at most what is left of the array.
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    private static func width(_ file: Int32) -> Int? {
        var size = winsize()
        guard isatty(file) == 1, ioctl(file, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }
}

/// Ends a command: what to say on the standard error, and the process's exit code.
struct CommandFailure: Error {
    static let usage: Int32 = 2

    let lines: [String]
    let code: Int32

    init(_ message: String, code: Int32 = 1) { (lines, self.code) = (["portcullis: \(message)"], code) }
    init(_ failure: ConfigFailure) { (lines, code) = (failure.lines, Self.usage) }
    /// What is wrong has been said already.
    init(code: Int32) { (lines, self.code) = ([], code) }
}

struct RootCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "portcullis",
        abstract: "A gate for alerts: lets each problem through once, and says 503 when it can't be sure.",
        discussion: """
            Everything is configured by one YAML file; docs/configuration.md has its keys, and `portcullis plugins` \
            those of this build. Exit codes: 0 fine, 1 what was asked for failed, 2 wrong usage or configuration.
            """,
        version: PortcullisHost.version,
        groupedSubcommands: [
            CommandGroup(
                name: "Run and configure",
                subcommands: [ServeCommand.self, CheckCommand.self, PluginsCommand.self, TryCommand.self]),
            CommandGroup(
                name: "Ask the running host",
                subcommands: [
                    SendCommand.self, StatusCommand.self, StormsCommand.self, DeadLettersCommand.self,
                    QueuesCommand.self,
                ]),
        ])
}
