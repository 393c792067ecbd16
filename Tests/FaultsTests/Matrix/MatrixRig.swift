import Synchronization
import TestSupport

/// Everything that one cell runs on, started for it alone, so that a seed is the same whoever ran before.
final class MatrixRig: Sendable {
    static let identities = 4

    let cell: Cell
    let store: MatrixStore
    let sink: MatrixSink
    let hosts: [HostProcess]
    /// What all identities of this run begin with.
    let prefix: String
    let marks: TemporaryDirectory

    init(_ cell: Cell, seed: UInt64) async throws {
        self.cell = cell
        prefix = "Matrix\(seed)x"
        marks = try TemporaryDirectory()
        let (store, sink) = (
            try await MatrixStore(cell.store, hosts: cell.hosts, seed: seed),
            try await MatrixSink(cell.sink, seed: seed)
        )
        (self.store, self.sink) = (store, sink)
        hosts = try await withThrowingTaskGroup(of: (Int, HostProcess).self) { tasks in
            for place in 0..<cell.hosts {
                tasks.addTask {
                    var plan = HostPlan(state: store.state(ofHost: place))
                    // An identity fires more often here than ten problems a minute, and is no storm.
                    plan.policies = """
                          - {use: deduplicate}
                          - {use: storm, rate: {count: 1000, per: 1m}}
                          - {use: persist, durability: \(store.durability)}
                        """
                    plan.sinks = sink.configuration
                    return (place, try await HostProcess(plan))
                }
            }
            return try await tasks.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    var identities: [String] { (0..<Self.identities).map { "\(prefix)\($0)" } }

    private let last = Mutex<(at: ContinuousClock.Instant, shown: [Shown])?>(nil)

    /// What the sink shows; by many at once it is asked ten times a second at most.
    func shown(fresh: Bool = false) async throws -> [Shown] {
        let known = last.withLock { last in
            last.flatMap { !fresh && $0.at + .milliseconds(100) > .now ? $0.shown : nil }
        }
        if let known { return known }
        let now = ContinuousClock.now
        let shown = try await sink.shown(hosts)
        last.withLock { $0 = (now, shown) }
        return shown
    }

    /// All dead letters that a host lists, as text.
    func letters() async -> String {
        for host in hosts where host.isRunning {
            guard let list = try? await host.command("dead-letters", "list"), list.end == .exited(0) else { continue }
            var text = list.output
            for line in list.output.split(separator: "\n").dropFirst() {
                guard let id = line.split(separator: " ").first else { continue }
                text += (try? await host.command("dead-letters", "show", String(id)))?.output ?? ""
            }
            return text
        }
        return ""
    }

    /// The last lines of every host's log.
    var logs: String {
        hosts.enumerated().map { "host \($0): \($1.log.suffix(3_000))" }.joined(separator: "\n")
    }
}
