import ArgumentParser
import JSON
import Logging
import NIOConcurrencyHelpers
import Redis
import SignalKit

/// Works on the store itself, with the host stopped: a host does not start while a queue has no sink.
struct QueuesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queues", abstract: "Moves or drops the queue of a sink that is no longer configured.",
        discussion: """
            A host refuses to start while its store holds deliveries for a sink that the configuration does not name. These commands \
            open the store themselves; stop hosts that use an embedded one first.
            """,
        subcommands: [Move.self, Drop.self])

    private static func withStore(
        _ options: ConfigurationOption, _ name: String, _ body: @escaping @Sendable (DeliveryStore) async throws -> Void
    ) async throws {
        let configuration = try options.load()
        if configuration.sinks.contains(where: { $0.name.description == name }) {
            throw CommandFailure("\(name) is a configured sink: its queue is in use", code: CommandFailure.usage)
        }
        let log = Logger(label: "portcullis") { _ in SwiftLogNoOpLogHandler() }
        let gate = Gate(configuration, log: log, witness: StoreWitness(metrics: HostMetrics(), log: log))
        let scripts = DeliveryScripts(configuration)
        let inner = StoreParts(
            configuration, gate: gate, scripts: gate.scripts + scripts.all,
            observer: StoreObserver(metrics: HostMetrics()), patience: configuration.state.timeout * 3, log: log
        ) { reason in
            throw StartError("the store \(configuration.state.store) can't be used: \(reason.message)")
        }
        let isDone = NIOLockedValueBox(false)
        let command = HostPart("command", endsAll: true) {
            try await body(DeliveryStore(store: inner.store, scripts: scripts))
            isDone.withLockedValue { $0 = true }
        }
        // A Ctrl-C must not leave an embedded store's server behind.
        try await ProcessSignals.run(inner.parts + [command], log: log)
        guard isDone.withLockedValue({ $0 }) else {
            throw CommandFailure("stopped by a signal before the queue of \(name) was empty")
        }
    }

    struct Drop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Forgets everything in a queue.")
        @Argument(help: "The sink that is no longer configured.") var name: String
        @OptionGroup var options: ConfigurationOption

        func run() async throws {
            let name = name
            try await QueuesCommand.withStore(options, name) { store in
                CommandContext.current.console.out("\(try await store.dropQueue(name)) dropped")
            }
        }
    }

    struct Move: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Gives everything in a queue to another sink.")
        @Argument(help: "The sink that is no longer configured.") var name: String
        @Option(name: .long, help: ArgumentHelp("A configured sink.", valueName: "sink")) var to: String
        @OptionGroup var options: ConfigurationOption

        func run() async throws {
            guard try options.load().sinks.contains(where: { $0.name.description == to }) else {
                throw CommandFailure(
                    "no sink is called \(to): give a configured one with --to", code: CommandFailure.usage)
            }
            let (name, other) = (name, to)
            try await QueuesCommand.withStore(options, name) { store in
                CommandContext.current.console.out("\(try await store.moveQueue(name, to: other)) moved to \(other)")
            }
        }
    }
}
