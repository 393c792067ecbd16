import ArgumentParser
import CoreMetrics
import Logging
import SignalKit

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run the host until SIGTERM or Ctrl-C.",
        discussion: """
            Takes signals on server.listen, answers operators on server.admin, logs JSON to the standard error. \
            A stop finishes what is in flight and answers the rest 503.
            """)

    @OptionGroup var config: ConfigurationOption

    @Option(
        help: ArgumentHelp("The least level to log: \(levels).", valueName: "level"),
        transform: { word in
            guard let level = Logger.Level(rawValue: word) else { throw ValidationError("Expected one of \(levels).") }
            return level
        })
    var logLevel = Logger.Level.info

    private static let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")

    func run() async throws {
        LoggingSystem.bootstrap { [logLevel] label in
            var handler = JSONLogHandler(label: label)
            handler.logLevel = logLevel
            return handler
        }
        let log = Logger(label: "portcullis")
        let plugins = Logger(label: "plugin")
        let configuration = try config.load(
            services: Services(log: { plugins.log($0, $1) }))
        let metrics = HostMetrics()
        MetricsSystem.bootstrap(metrics.registry)
        LogWriter.standardError.whenDropped { metrics.logLinesDropped($0) }
        do {
            try await Serve(configuration: configuration, metrics: metrics, log: log).run()
        } catch {
            throw CommandFailure("\(error)")
        }
    }
}

extension Logger {
    fileprivate func log(_ level: Services.Level, _ text: String) {
        switch level {
        case .debug: debug("\(text)")
        case .info: info("\(text)")
        case .warning: warning("\(text)")
        case .error: error("\(text)")
        }
    }
}
