import SignalKit
import Testing

@testable import Host

@Suite struct PolicyChainTests {
    static let signal = try? Signal(
        identity: Identity(family: "alert", fields: [.init("alertname", "Disk")]), name: "Disk", status: .firing,
        labels: Labels([.init("alertname", "Disk")]))
    static let context = PolicyContext(adapter: "test", receivedAt: Timestamp(milliseconds: 0))

    private func chain(_ policies: (any Policy, FailureMode)...) -> PolicyChain {
        PolicyChain(policies: policies.map { .init(id: type(of: $0.0).id, mode: $0.1, plugin: $0.0) })
    }

    @Test func theFirstPolicyThatFiltersEndsTheChain() async throws {
        let signal = try #require(Self.signal)
        let result = await chain((Fixed(.filter(reason: "no")), .closed), (Failing(), .closed))
            .decide(signal, Self.context)
        #expect(result == .filtered(by: "fixed", reason: "no"))
    }

    @Test func aClosedPolicysErrorRefusesTheSignal() async throws {
        let signal = try #require(Self.signal)
        let result = await chain((Failing(), .closed)).decide(signal, Self.context)
        #expect(result == .unavailable(policy: "failing", message: "down"))
    }

    @Test func anOpenPolicysErrorIsSkippedAndTheSignalSaysSo() async throws {
        let signal = try #require(Self.signal)
        let result = await chain((Failing(), .open(because: "only adds a label"))).decide(signal, Self.context)
        guard case .pass(let passed) = result else {
            Issue.record("not passed: \(result)")
            return
        }
        #expect(passed.labels["degraded"] == "failing")
        #expect(passed.identity == signal.identity)
    }

    @Test func aPolicyThatChangesTheIdentityIsAFailure() async throws {
        let signal = try #require(Self.signal)
        let other = try Signal(
            identity: Identity(family: "alert", fields: [.init("alertname", "Other")]), name: "Other", status: .firing)
        let result = await chain((Fixed(.replace(other)), .closed)).decide(signal, Self.context)
        #expect(result == .unavailable(policy: "fixed", message: "it changed the identity of a signal"))
    }
}

private struct Fixed: Policy {
    static let id: PluginID = "fixed"
    static let failureMode = FailureMode.closed
    let decision: PolicyDecision
    init(_ decision: PolicyDecision) { self.decision = decision }
    init(_ config: inout ConfigReader, _ services: Services) { decision = .pass }
    func evaluate(_ signal: Signal, _ context: PolicyContext) -> PolicyDecision { decision }
}

private struct Failing: Policy {
    static let id: PluginID = "failing"
    static let failureMode = FailureMode.closed
    init() {}
    init(_ config: inout ConfigReader, _ services: Services) {}
    func evaluate(_ signal: Signal, _ context: PolicyContext) throws(PolicyError) -> PolicyDecision {
        throw PolicyError(.unavailable, "down")
    }
}
