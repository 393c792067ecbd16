import Kubernetes
public import SignalKit

/// Watches a cluster's events and feeds them to `kubernetes-events`.
///
/// A list, then a watch from where it ended; how far it has come is kept in the store, and moved only after the intake has
/// taken what lies before. Whoever runs it next goes on from there.
public struct KubernetesEventsWatch: SignalSource {
    public static let id: PluginID = "kubernetes-events-watch"
    public static let feeds: Set<PluginID> = [KubernetesEventsAdapter.id]

    private let client: KubernetesClient
    private let namespaces: [ShellPattern]
    private let log: @Sendable (Services.Level, String) -> Void

    public init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        let kubeconfig = try config.optionalText("kubeconfig", longest: 4_096)
        namespaces = try config.patterns("namespaces", default: ["*"], count: 1...256, longest: 63)
        client = KubernetesClient(kubeconfig.map(Credentials.kubeconfig) ?? .inCluster)
        log = services.log
    }

    /// Never returns but with an error: the store's, which ends a run. Those of the API server are waited out.
    public func run(_ intake: any SignalIntake) async throws {
        let isPattern = namespaces.contains { $0.text.contains { "*?[".contains($0) } }
        // One watch over the whole cluster for patterns, for which a ClusterRole is needed; else a Role each is enough.
        let parts = isPattern ? [nil] : Set(namespaces.map(\.text)).sorted().map(Optional.some)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for part in parts {
                let patterns = part == nil ? namespaces : [ShellPattern(text: "*")]
                let feed = EventFeed(intake: intake, part: part ?? "", log: log) { namespace in
                    patterns.contains { $0.fits(namespace) }
                }
                let watch = EventWatch(client: client, namespace: part, feed: feed, log: log)
                tasks.addTask { try await watch.run() }
            }
            try await tasks.next()
            tasks.cancelAll()
        }
    }
}
