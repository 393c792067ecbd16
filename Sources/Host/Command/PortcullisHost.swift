import ArgumentParser
import Glibc
import NIOConcurrencyHelpers
import SignalKit

/// The executable: `await PortcullisHost.main(plugins: .standard + Plugins(adapters: [AcmePager.self]))`.
public enum PortcullisHost {
    private static let registered = NIOLockedValueBox<Plugins?>(nil)

    /// What this executable was built with: argument-parser makes commands by itself, so they can't be handed anything.
    static var plugins: Plugins { registered.withLockedValue { $0 } ?? Plugins() }

    /// Runs the command that the arguments name, and ends the process with its code: 0 fine, 1 the thing asked for failed,
    /// 2 wrong usage or configuration.
    /// - Parameter arguments: without the program's name; those of the process by default.
    public static func main(plugins: Plugins, arguments: [String]? = nil) async -> Never {
        registered.withLockedValue { $0 = plugins }
        let code: Int32
        do {
            var command = try Portcullis.parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            code = 0
        } catch let failure as Failure {
            if !failure.message.isEmpty { Output.error("portcullis: \(failure.message)") }
            code = failure.code
        } catch let error as StartError {
            Output.error("portcullis: \(error.description)")
            code = 1
        } catch {
            code = end(with: error)
        }
        exit(code)
    }

    /// Help is no error; wrong usage is 2, not argument-parser's 64.
    private static func end(with error: any Error) -> Int32 {
        let text = Portcullis.fullMessage(for: error)
        if Portcullis.exitCode(for: error).isSuccess {
            Output.line(text)
            return 0
        }
        Output.error(text)
        return 2
    }
}

/// Ends a command with a message for the operator.
struct Failure: Error {
    let code: Int32
    let message: String

    /// The thing asked for failed.
    static func failed(_ message: String) -> Failure { Failure(code: 1, message: message) }
    /// Wrong usage or configuration.
    static func usage(_ message: String) -> Failure { Failure(code: 2, message: message) }
}

enum Output {
    static func line(_ text: String) { write(text + "\n", STDOUT_FILENO) }
    static func error(_ text: String) { write(text + "\n", STDERR_FILENO) }

    private static func write(_ text: String, _ file: Int32) {
        let bytes = Array(text.utf8)
        var done = 0
        while done < bytes.count {
            // SAFETY: writes at most what is left of `bytes`.
            let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + done, $0.count - done) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return }
            done += count
        }
    }

    /// Columns as wide as their widest cell, two blanks between; the last is not padded.
    static func table(_ head: [String], _ rows: [[String]]) {
        let all = [head] + rows
        let widths = head.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        for row in all {
            let cells = row.enumerated().map { column, text in
                column == row.count - 1 ? text : text + String(repeating: " ", count: widths[column] - text.count)
            }
            line(cells.joined(separator: "  "))
        }
    }
}

struct Portcullis: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "portcullis",
        abstract: "Takes in alerts and events, lets each problem through once, and fails closed.",
        discussion: """
            One YAML file says where signals come from (adapters), what becomes of them (policies) and where they go \
            (sinks). Start with `portcullis check --config FILE`, then `portcullis serve --config FILE`.

            Exit codes: 0 fine, 1 the thing asked for failed, 2 wrong usage or configuration.
            """,
        version: Version.current,
        subcommands: [
            ServeCommand.self, CheckCommand.self, PluginsCommand.self, TryCommand.self, SendCommand.self,
            StatusCommand.self, StormsCommand.self, DeadLettersCommand.self, QueuesCommand.self,
        ])
}

enum OutputFormat: String, ExpressibleByArgument, CaseIterable { case text, json }

struct ConfigOption: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("The configuration file.", valueName: "file"))
    var config = "portcullis.yaml"

    /// - Throws: `Failure` 2 when the file can't be read.
    func reading() throws(Failure) -> ConfigurationReading {
        let text = try InputFile.text(config, most: 1 << 20)
        return HostConfiguration.read(
            text, file: config, plugins: PortcullisHost.plugins,
            services: Services(log: { _, _ in }, failPoint: FailPoint.hit(named:)))
    }

    /// - Throws: `Failure` 2 with every error of the file.
    func configuration() throws(Failure) -> HostConfiguration {
        let reading = try reading()
        guard let configuration = reading.configuration else {
            for error in reading.errors { Output.error(ConfigurationReading.line(error, file: config)) }
            let count = reading.errors.count
            throw .usage("\(config) has \(count) error\(count == 1 ? "" : "s")")
        }
        return configuration
    }
}

struct OutputOption: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("text, or json for machines.", valueName: "format"))
    var output = OutputFormat.text
}

enum InputFile {
    /// - Parameter path: `-` for standard input.
    static func bytes(_ path: String, most: Int) throws(Failure) -> [UInt8] {
        let file = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw .usage("can't open \(path): \(String(cString: strerror(errno)))") }
        defer { if file != STDIN_FILENO { close(file) } }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(file, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw .usage("can't read \(path): \(String(cString: strerror(errno)))") }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= most else { throw .usage("\(path) is over \(most) bytes") }
        }
    }

    static func text(_ path: String, most: Int) throws(Failure) -> String {
        guard let text = String(validating: try bytes(path, most: most), as: UTF8.self) else {
            throw .usage("\(path) is not UTF-8")
        }
        return text
    }
}
