import SignalKit

/// The policies that decide in this process, in file order.
struct PolicyChain: Sendable {
    enum Result: Sendable, Equatable {
        case pass(Signal)
        case filtered(by: PluginID, reason: String)
        /// A closed policy failed: the sender must try again.
        case unavailable(policy: PluginID, message: String)
    }

    let policies: [HostConfiguration.InProcessPolicy]

    /// The label that says which open policies were skipped for a signal.
    static let degradedLabel = "degraded"

    func decide(_ signal: Signal, _ context: PolicyContext) async -> Result {
        var signal = signal
        for policy in policies {
            do throws(PolicyError) {
                switch try await policy.plugin.evaluate(signal, context) {
                case .pass: continue
                case .replace(let other):
                    guard other.identity == signal.identity else {
                        throw PolicyError(.bug, "it changed the identity of a signal")
                    }
                    signal = other
                case .filter(let reason): return .filtered(by: policy.id, reason: reason)
                }
            } catch {
                guard case .open = policy.mode, let marked = Self.degraded(signal, by: policy.id) else {
                    return .unavailable(policy: policy.id, message: error.message)
                }
                signal = marked
            }
        }
        return .pass(signal)
    }

    /// Nil when the signal has no room for the label: then the policy's failure counts as closed.
    private static func degraded(_ signal: Signal, by policy: PluginID) -> Signal? {
        let skipped = [signal.labels[degradedLabel], policy.description].compactMap(\.self).joined(separator: ",")
        return try? signal.labelled(degradedLabel, skipped)
    }
}
