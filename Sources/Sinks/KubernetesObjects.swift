import JSON
import Kubernetes
public import SignalKit

/// One object in a cluster for each episode and each storm. The API server is the arbiter: the sink looks before it makes
/// anything, and makes it under a name that only one maker can have.
public final class KubernetesObjects: Sink {
    public static let id: PluginID = "kubernetes"
    public static let needsHistory = true

    /// Times that one delivery looks again, because something changed between its look and its step.
    static let looks = 8

    private let objects: ObjectClient
    private let shape: any ObjectShape
    private let arbiter: Arbiter
    private let members = StormMembers()
    private let finished: FinishedSignals?
    private let log: @Sendable (Services.Level, String) -> Void

    public init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        let kubeconfig = try config.optionalText("kubeconfig", longest: 4_096)
        let namespace = try config.optionalText("namespace", longest: 63)
        let timeout = try config.duration("timeout", default: .seconds(10), in: .milliseconds(100)...(.seconds(30)))
        let reopen = try config.duration("reopen_after", default: .zero, in: .zero...(.hours(24 * 30)))
        let owner = try config.optionalText("owner", longest: 63)
        let ttl = try config.duration("ttl", default: .zero, in: .zero...(.hours(24 * 365)))
        arbiter = Arbiter(reopenAfter: reopen == .zero ? nil : reopen)
        log = services.log
        let mapped = try MappedObject.read(&config)
        if ttl > .zero, ttl < .minutes(1) { config.report("ttl", "expected 0s for never, or 1m to 365d") }
        if ttl > .zero, mapped != nil {
            config.report("ttl", "ttl deletes Signals: objects of another kind belong to the controller of that kind")
        }
        if let owner, !Self.isLabelValue(owner) {
            config.report("owner", "expected a label's value: letters, digits, and - _ . between them")
        }
        shape = mapped ?? SignalObject()
        objects = ObjectClient(
            client: KubernetesClient(kubeconfig.map(Credentials.kubeconfig) ?? .inCluster), shape: shape,
            namespace: namespace, owner: owner, timeout: timeout,
            warnings: WarningLog { services.log(.warning, $0) })
        finished = ttl > .zero ? FinishedSignals(objects: objects, ttl: ttl, log: services.log) : nil
    }

    private static func isLabelValue(_ text: String) -> Bool {
        func isInside(_ byte: UInt8) -> Bool { isEnd(byte) || "-_.".utf8.contains(byte) }
        func isEnd(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        guard let first = text.utf8.first, let last = text.utf8.last else { return false }
        return isEnd(first) && isEnd(last) && text.utf8.allSatisfy(isInside)
    }

    public func maintain() async { await finished?.run() }

    public func deliver(_ delivery: Delivery, _ context: DeliveryContext) async throws(SinkError) {
        do throws(KubernetesError) {
            try await bring(delivery, until: context.deadline)
            if let storm = delivery.storm { try await end(storm, by: delivery, until: context.deadline) }
        } catch {
            throw SinkError(error)
        }
    }

    private func bring(_ delivery: Delivery, until deadline: ContinuousClock.Instant) async throws(KubernetesError) {
        var lengths = ObjectNames.lengths[...]
        for _ in 0..<Self.looks {
            let seen = try await objects.look(for: delivery, until: deadline)
            guard case .steps(let steps) = arbiter.decide(delivery, seen: seen) else {
                log(
                    .warning,
                    "\(delivery.id): the cluster has a later episode, so this one is left out: a late delivery, or the store "
                        + "was set back")
                return
            }
            do throws(KubernetesError) {
                for step in steps { try await take(step, delivery, nameLength: lengths.first ?? 64, until: deadline) }
                return
            } catch {
                switch error.code {
                case .alreadyExists:
                    guard case .create(let number)? = steps.last else { throw error }
                    let name = ObjectNames.name(of: delivery, number: number, length: lengths.first ?? 64)
                    if try await isAnothers(name, delivery, until: deadline) { lengths = lengths.dropFirst() }
                case .conflict: continue
                case .notFound where !seen.isEmpty: continue
                default: throw error
                }
            }
        }
        throw KubernetesError(.conflict, "the objects of a problem keep changing: looked \(Self.looks) times")
    }

    /// A member of a storm has no object of its own. One that has is from before the store was emptied, and its problem goes on
    /// as a part of the storm.
    private func end(
        _ storm: Storm, by delivery: Delivery, until deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) {
        var rest = members.unknown(of: storm)[...]
        while !rest.isEmpty {
            let some = rest.prefix(StormMembers.atOnce)
            let episodes = Dictionary(some.map { ($0.fingerprint, $0.episode) }) { first, _ in first }
            for object in try await objects.look(for: episodes.keys, until: deadline) {
                guard object.isActive, let episode = episodes[object.fingerprint], object.episode < episode else {
                    continue
                }
                do throws(KubernetesError) {
                    try await objects.apply(shape.end(by: delivery, of: object), to: object, until: deadline)
                } catch  where error.code == .notFound {
                    continue
                }
            }
            members.know(some, of: storm)
            rest = rest.dropFirst(some.count)
        }
        if delivery.state == .resolved { members.forget(storm) }
    }

    /// Whether a name is taken by another problem; else somebody has made this one's object since the look.
    /// - Throws: `conflict` for an object that is this problem's, and that its label does not find, or that says nothing.
    private func isAnothers(
        _ name: String, _ delivery: Delivery, until deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) -> Bool {
        let label = ObjectNames.label(of: delivery)
        guard let there = try await objects.read(name, label: label.name, until: deadline) else { return false }
        guard let object = there.object else {
            throw KubernetesError(.conflict, "\(name) is there, and is not of this sink's making: rename or delete it")
        }
        guard object.fingerprint == delivery.fingerprint else { return true }
        guard there.label == label.value else {
            throw KubernetesError(.conflict, "\(name) has lost its label: set \(label.name)=\(label.value)")
        }
        return false
    }

    private func take(
        _ step: Arbiter.Step, _ delivery: Delivery, nameLength: Int, until deadline: ContinuousClock.Instant
    ) async throws(KubernetesError) {
        switch step {
        case .update(let object):
            for change in shape.changes(by: delivery, of: object) {
                try await objects.apply(change, to: object, until: deadline)
            }
        case .resolve(let object):
            try await objects.apply(shape.end(by: delivery, of: object), to: object, until: deadline)
        case .create(let number):
            let name = ObjectNames.name(of: delivery, number: number, length: nameLength)
            let object = try await objects.create(delivery, name, until: deadline)
            try await take(.update(object), delivery, nameLength: nameLength, until: deadline)
        }
    }
}
