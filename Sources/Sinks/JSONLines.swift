import Dispatch
public import SignalKit
import Synchronization

/// One line of JSON per delivery, in a file of this host alone, synced before the delivery counts as done.
///
/// Deliveries that come together share one write and one fsync. A delivery that may have been written by an earlier
/// attempt is looked for in the current and the previous file before it is written again.
public final class JSONLines: BatchSink {
    public static let id: PluginID = "jsonl"
    /// They share an fsync: the more there are, the less each costs.
    public static let concurrency = 4_096

    private struct Waiting: Sendable {
        let deliveries: [(delivery: Delivery, context: DeliveryContext)]
        let done: CheckedContinuation<Result<Void, SinkError>, Never>
    }

    private let file: Mutex<LineFile>
    private let waiting = Mutex<[Waiting]>([])
    /// When the next write may begin: at once when there was none lately.
    private let next = Mutex(DispatchTime.now())
    /// From one write to the next: what comes meanwhile shares an fsync, which holds up the store's on the same disk.
    private static let gathering = DispatchTimeInterval.milliseconds(5)
    /// The only thread that touches the file.
    private let queue = DispatchQueue(label: "portcullis.sink.jsonl")

    public init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        let path = try config.text("path", longest: 4_096)
        let size = try config.bytes("max_size", default: 64 << 20, in: (4 << 10)...(64 << 30))
        let keep = try config.integer("keep", default: 5, in: 1...1_000)
        file = Mutex(LineFile(path: path, maxSize: size, keep: keep))
    }

    public func deliver(_ deliveries: [(delivery: Delivery, context: DeliveryContext)]) async throws(SinkError) {
        let result = await withCheckedContinuation { done in
            let first = waiting.withLock { waiting in
                waiting.append(Waiting(deliveries: deliveries, done: done))
                return waiting.count == 1
            }
            if first { queue.asyncAfter(deadline: next.withLock { $0 }) { self.write() } }
        }
        try result.get()
    }

    public func close() async {
        await withCheckedContinuation { done in
            queue.async {
                self.file.withLock { $0.close() }
                done.resume()
            }
        }
    }

    /// Whoever is waiting now shares this write; who comes meanwhile has the next one.
    private func write() {
        // Before the next one can come.
        next.withLock { $0 = .now() + Self.gathering }
        let batch = waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        let result: Result<Void, SinkError> = file.withLock { file in
            Result { () throws(SinkError) in
                try file.append(batch.flatMap { $0.deliveries.map { ($0.delivery, $0.context.attempt > 1) } })
            }
        }
        for item in batch { item.done.resume(returning: result) }
    }
}
