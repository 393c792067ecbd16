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
        // FNV-1a of 64 bits, folded: it tells the few reporters of one problem apart, the same on every host. Two that share a hash are
        // one reporter. A cryptographic hash would cost as much as the fingerprint.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func add(_ text: String) {
            for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            // No byte of UTF-8: the end of a text.
            hash = (hash ^ 0xff) &* 0x100_0000_01b3
        }
        add(road.description)
        for field in fields {
            add(field.name)
            add(field.value)
        }
        let folded = UInt32(truncatingIfNeeded: hash ^ hash >> 32)
        self.hash = folded > 1 ? folded : folded + 2
    }
}
