import Logging
import Redis
import SignalKit

/// Everything of this host that runs behind the gate: a worker for each sink, the sweeper, and the sampling of what is
/// queued.
final class DeliveryService: DirectDispatch {
    /// How often queues are looked at for what other hosts left, and records for what is due.
    static let poll = Duration.seconds(1)
    static let sampling = Duration.seconds(5)
    /// Records, storms and ended storms that one sweep looks at.
    static let swept = 200

    private let store: DeliveryStore
    private let workers: [SinkWorker]
    private let metrics: HostMetrics
    private let log: Logger

    init(
        _ configuration: HostConfiguration, store: DeliveryStore, metrics: HostMetrics, log: Logger
    ) {
        self.store = store
        self.metrics = metrics
        self.log = log
        workers = configuration.sinks.map {
            SinkWorker($0, store: store, metrics: metrics, log: log)
        }
    }

    /// The gate of this host queued something.
    @Sendable func wake() { for worker in workers { worker.wake() } }

    var keepsUp: Bool { workers.allSatisfy(\.keepsUp) }

    func offer(_ capacity: Int) -> DispatchOffer? {
        guard let call = store.session?.nextCall() else { return nil }
        let sinks = workers.indices.prefix(64).filter { workers[$0].keep(capacity, for: call) }
        return sinks.isEmpty ? nil : DispatchOffer(call: call, sinks: sinks, capacity: capacity)
    }

    func dispatch(_ episodes: [DispatchedEpisode], isKnown: Bool, of offer: DispatchOffer, born: Int64) {
        var claims = [[Claim]](repeating: [], count: offer.sinks.count)
        var isKnown = isKnown
        for item in episodes {
            let member = QueueMember(item.fingerprint.bytes)
            // A first telling, of a problem that was not known as firing.
            guard
                let delivery = DeliveryDocument.signal(
                    member, item.record, item.document, isUpdate: false, born: born)
            else {
                isKnown = false
                continue
            }
            for place in claims.indices where item.sinks & 1 << UInt64(place) != 0 {
                claims[place].append(Claim(member: member, call: offer.call, failed: 0, ended: 0, delivery: delivery))
            }
        }
        for (claims, place) in zip(claims, offer.sinks) {
            workers[place].dispatch(claims, isKnown: isKnown, of: offer)
        }
    }

    func held(at session: SessionID) -> [HeldDelivery] { workers.flatMap { $0.held(at: session) } }

    /// Runs until `stop`; then what is in flight ends and is acknowledged.
    func run() async {
        await withTaskGroup(of: Void.self) { background in
            background.addTask {
                await self.every(Self.poll) { for worker in self.workers { worker.tick() } }
            }
            background.addTask { await self.every(Self.poll) { await self.sweep() } }
            background.addTask { await self.every(Self.sampling) { await self.sample() } }
            await withTaskGroup(of: Void.self) { tasks in
                for worker in workers { tasks.addTask { await worker.run() } }
            }
            background.cancelAll()
        }
    }

    func stop() { for worker in workers { worker.stop() } }

    private func every(_ interval: Duration, _ body: () async -> Void) async {
        while !Task.isCancelled {
            await body()
            // Jitter, so that hosts on one store do not sweep in step.
            try? await Task.sleep(for: interval * Double.random(in: 0.8...1))
        }
    }

    private func sweep() async {
        while !Task.isCancelled {
            do throws(RedisError) {
                let swept = try await store.sweep(most: Self.swept)
                if swept.queued { wake() }
                if let fault = swept.fault { log.warning("the sweeper met a fault", metadata: ["reason": "\(fault)"]) }
                // A fault would be met again at once; its turn comes with the next tick.
                guard swept.more, swept.fault == nil else { return }
            } catch {
                if error.code != .shut { log.warning("can't sweep", metadata: ["reason": "\(error)"]) }
                return
            }
        }
    }

    private func sample() async {
        if let sentinels = store.store.sentinels {
            metrics.sentinels(answering: sentinels.answering, of: sentinels.known)
        }
        guard let stats = try? await store.stats() else { return }
        metrics.sampled(stats)
    }
}
