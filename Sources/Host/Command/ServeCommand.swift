import ArgumentParser
import CoreMetrics
import JSON
import Logging
import SignalKit

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Runs the host until SIGTERM or Ctrl-C.",
        discussion: """
            Logs are JSON lines on standard error. A stop is graceful: what is in flight is answered within the deadline, \
            deliveries under way end, and the embedded Redis goes last.
            """)

    @OptionGroup var options: ConfigOption
    @Option(name: .long, help: ArgumentHelp("debug, info, notice, warning or error.", valueName: "level"))
    var logLevel = "info"

    func validate() throws {
        guard Logger.Level(rawValue: logLevel) != nil else {
            throw ValidationError("no log level \(logLevel): debug, info, notice, warning or error")
        }
    }

    func run() async throws {
        let level = Logger.Level(rawValue: logLevel) ?? .info
        LoggingSystem.bootstrap { label in
            var handler = JSONLogHandler(label: label)
            handler.logLevel = level
            return handler
        }
        let log = Logger(label: "portcullis")
        let text = try InputFile.text(options.config, most: 1 << 20)
        let plugins = Logger(label: "plugin")
        let services = Services(
            log: { level, message in
                switch level {
                case .debug: plugins.debug("\(message)")
                case .info: plugins.info("\(message)")
                case .warning: plugins.warning("\(message)")
                case .error: plugins.error("\(message)")
                }
            }, failPoint: FailPoint.hit(named:))
        let reading = HostConfiguration.read(
            text, file: options.config, plugins: PortcullisHost.plugins, services: services)
        guard let configuration = reading.configuration else {
            for error in reading.errors { Output.error(ConfigurationReading.line(error, file: options.config)) }
            throw Failure.usage("\(options.config) has errors; nothing was started")
        }
        let metrics = HostMetrics()
        MetricsSystem.bootstrap(metrics.registry)
        try await Serve(configuration: configuration, metrics: metrics, log: log).run()
    }
}

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Reads a configuration and reports everything that is wrong with it.",
        discussion: "Opens no port and asks nobody: it runs anywhere. Exit code 2 when there is an error.")

    @OptionGroup var options: ConfigOption
    @OptionGroup var format: OutputOption

    func run() throws {
        let reading = try options.reading()
        switch format.output {
        case .json:
            var out = JSONWriter()
            out.beginObject()
            for (name, list) in [
                ("errors", reading.errors), ("warnings", reading.warnings + (reading.configuration?.warnings ?? [])),
            ] {
                out.key(name)
                out.beginArray()
                for item in list {
                    out.beginObject()
                    out.member("path", item.path)
                    out.member("line", item.mark.map { Int64($0.line) })
                    out.member("column", item.mark.map { Int64($0.column) })
                    out.member("message", item.message)
                    out.endObject()
                }
                out.endArray()
            }
            out.endObject()
            Output.line(String(decoding: out.bytes, as: UTF8.self))
        case .text:
            for error in reading.errors { Output.error(ConfigurationReading.line(error, file: options.config)) }
            for warning in reading.warnings {
                Output.error("warning: " + ConfigurationReading.line(warning, file: options.config))
            }
            if reading.errors.isEmpty { Output.line("\(options.config): fine") }
        }
        if !reading.errors.isEmpty {
            let count = reading.errors.count
            throw Failure.usage(
                format.output == .json ? "" : "\(options.config) has \(count) error\(count == 1 ? "" : "s")")
        }
    }
}

struct PluginsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plugins", abstract: "Lists the plugins of this build, how each fails, and its keys.")

    @OptionGroup var format: OutputOption

    func run() throws {
        let declarations = PortcullisHost.plugins.declarations
        guard format.output == .json else {
            for plugin in declarations {
                Output.line("\(plugin.kind) \(plugin.id)" + (plugin.failure.map { "  (\($0))" } ?? ""))
                for key in plugin.keys {
                    let fallback = key.fallback.map { "default \($0)" } ?? "required"
                    Output.line(
                        "    \(key.path): \(key.kind), \(fallback)" + (key.bounds.isEmpty ? "" : ", \(key.bounds)"))
                }
            }
            return
        }
        var out = JSONWriter()
        out.beginObject()
        out.key("plugins")
        out.beginArray()
        for plugin in declarations {
            out.beginObject()
            out.member("kind", plugin.kind)
            out.member("id", plugin.id.description)
            out.member("failure", plugin.failure)
            out.key("keys")
            out.beginArray()
            for key in plugin.keys {
                out.beginObject()
                out.member("key", key.path)
                out.member("kind", key.kind)
                out.member("default", key.fallback)
                out.member("bounds", key.bounds)
                out.endObject()
            }
            out.endArray()
            out.endObject()
        }
        out.endArray()
        out.endObject()
        Output.line(String(decoding: out.bytes, as: UTF8.self))
    }
}
