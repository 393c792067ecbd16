import Crypto
import Policies
import SignalKit

/// Who says that a problem fires or is over: the road by which the signal came, and the labels that its identity leaves out.
/// A record keeps the words of each reporter apart (DESIGN.md section 4).
struct Reporter: Hashable, Sendable {
    /// Four bytes, as records keep it; not 1, which is the place that several share.
    let hash: UInt32

    /// A sender that reports no ends is no reporter: its problems end by time.
    static let none = Reporter(hash: 0)

    private init(hash: UInt32) { self.hash = hash }

    /// - Parameters:
    ///   - road: the adapter. Alertmanager's webhook and a Prometheus server are two reporters of one problem.
    ///   - fields: the labels that the identity leaves out.
    init(_ road: PluginID, _ fields: [Identity.Field]) {
        var digest = TextDigest()
        digest.add(road.description)
        for field in fields {
            digest.add(field.name)
            digest.add(field.value)
        }
        // SAFETY: the pointer does not leave the closure, and a digest has more than four bytes.
        let hash = digest.finalize().withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
        self.hash = hash > 1 ? hash : hash + 2
    }
}
