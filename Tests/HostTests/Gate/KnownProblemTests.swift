import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// Problems that the store is taken to know: the gate is told who they are, and asks for the rest when that is not enough.
@Suite(.serialized) struct KnownProblemTests {
    private typealias Rig = GateRig

    private func known(_ name: String = "A", ends: Duration? = nil, note: String? = nil) throws -> GateSignal {
        let signal = try Rig.signal(name, ends: ends, note: note, isKnown: true)
        #expect(signal.document == nil)
        return signal
    }

    @Test func aRepeatIsDecidedWithoutItsDocument() async throws {
        let rig = try await Rig()
        let first = await rig.decide(try Rig.signal())[0]
        try await rig.redis.command("CONFIG", "RESETSTAT")
        let outcome = await rig.decide(try known())[0]
        #expect(outcome.verdict == .duplicate)
        #expect(outcome.count == 2)
        #expect(outcome.episode == first.episode)
        #expect(try await rig.calls() == 1)
        #expect(try await rig.deliver().map(\.count) == [2])
    }

    @Test func whoIsKnownFollowsWhatTheStoreSays() async throws {
        let rig = try await Rig()
        let signal = try Rig.signal()
        #expect(!rig.gate.knows(signal.fingerprint))
        _ = await rig.decide(signal)
        #expect(rig.gate.knows(signal.fingerprint))
        #expect(!rig.gate.knows(try Rig.signal("B").fingerprint))
        _ = await rig.decide(try Rig.signal("A", .resolved))
        #expect(!rig.gate.knows(signal.fingerprint))
        // An end is always told whole.
        #expect(try Rig.signal("A", .resolved, isKnown: true).document != nil)
    }

    @Test func whatTheStoreDoesNotKnowIsAskedForAndStoredOnce() async throws {
        let rig = try await Rig()
        try await rig.redis.command("CONFIG", "RESETSTAT")
        let outcome = await rig.decide(try known(note: "all of it"))[0]
        #expect(outcome.verdict == .accepted)
        #expect(outcome.count == 1)
        #expect(try await rig.calls() == 2)
        let deliveries = try await rig.deliver()
        #expect(deliveries.map { $0.signal?.annotations["note"] } == ["all of it"])
        #expect(deliveries.map(\.episode) == [outcome.episode])
    }

    /// Its turn comes behind what was there before it, in the second call as in the first.
    @Test func theOrderOfOneProblemsSignalsStays() async throws {
        let rig = try await Rig()
        let unseen = await rig.decide(try known(), try Rig.signal("A", .resolved), try Rig.signal("B"))
        #expect(unseen.map(\.verdict) == [.accepted, .resolved, .accepted])
        let again = await rig.decide(try known("B"), try Rig.signal("B", .resolved), try known("B"))
        #expect(again.map(\.verdict) == [.duplicate, .resolved, .accepted])
        let (first, second) = (try #require(again[0].episode), try #require(again[2].episode))
        #expect(second > first)
    }

    /// What is asked for again comes behind all calls of the request.
    @Test func theOrderStaysOverSeveralCalls() async throws {
        let rig = try await Rig()
        var signals = try (0..<130).map { try known("N\($0)") }
        signals[5] = try known()
        signals[100] = try Rig.signal("A", .resolved)
        let outcomes = await rig.gate.decide(signals, [], in: rig.store, on: nil).outcomes
        #expect(outcomes[5].verdict == .accepted)
        #expect(outcomes[100].verdict == .resolved)
        #expect(outcomes.filter { $0.verdict == .accepted }.count == 129)
    }

    @Test func anUpdateThatSinksGetHasItsDocument() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal(note: "old"))
        _ = try await rig.deliver()
        try await rig.at(.minutes(9))
        #expect(await rig.verdict(try known(note: "new")) == .duplicate)
        #expect(try await rig.deliver().isEmpty)
        try await rig.at(.minutes(11))
        let outcome = await rig.decide(try known(note: "new"))[0]
        #expect(outcome.verdict == .duplicate)
        #expect(outcome.count == 3)
        let deliveries = try await rig.deliver()
        #expect(deliveries.map { $0.signal?.annotations["note"] } == ["new"])
        #expect(deliveries.map(\.count) == [3])
    }

    @Test func knownAndNewOnesShareACall() async throws {
        let rig = try await Rig()
        let names = (0..<150).map { "N\($0)" }
        for name in names where name.hasSuffix("3") { _ = await rig.decide(try Rig.signal(name)) }
        let signals = try names.map { $0.hasSuffix("7") ? try Rig.signal($0) : try known($0) }
        let outcomes = await rig.gate.decide(signals, [], in: rig.store, on: nil).outcomes
        #expect(outcomes.map(\.verdict) == names.map { $0.hasSuffix("3") ? .duplicate : .accepted })
        #expect(outcomes.compactMap(\.episode).count == 150)
        let deliveries = try await (rig.deliver(), rig.deliver())
        #expect(deliveries.0.count + deliveries.1.count == 150)
    }

    @Test func aStepInFrontIsToldAll() async throws {
        let rig = try await Rig(first: [AllPass()])
        _ = await rig.decide(try Rig.signal())
        #expect(!rig.gate.knows(try Rig.signal().fingerprint))
    }

    private struct AllPass: GatePolicy {
        static let id: PluginID = "all-pass"
        static let argumentCount = 0
        static let step = GateStep(
            service: "all pass", commands: [], source: "return function() return function() return 'pass' end end")
        init() {}
        init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {}
        var settings: [GateSetting] { [] }
        func arguments(for signal: Signal) -> [GateArgument] { [] }
    }

    @Test func wordsThatAreNoHeadersAreRefused() async throws {
        let rig = try await Rig()
        let sha1 = rig.gate.scripts[0].sha1
        // Too short; and one with a document to follow, which does not.
        for word in ["x", String(repeating: "x", count: 45)] {
            let error = await #expect(throws: TestFailure.self) {
                try await rig.redis.command("EVALSHA", sha1, "1", "{test}:clock", "0", word)
            }
            #expect(error.map { "\($0)".contains("arguments do not fit the script") } == true)
        }
    }
}

extension GateRig {
    /// Scripts that the server has run since its statistics were reset.
    fileprivate func calls() async throws -> Int {
        let text = try await redis.command("INFO", "commandstats").string ?? ""
        let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("cmdstat_evalsha:calls=") }
        return line.flatMap { Int($0.drop { $0 != "=" }.dropFirst().prefix { $0 != "," }) } ?? 0
    }
}
