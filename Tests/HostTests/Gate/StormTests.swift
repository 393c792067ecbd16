import SignalKit
import TestSupport
import Testing

@testable import Host

/// Every rule of storm.
@Suite(.serialized) struct StormTests {
    private typealias Rig = GateRig

    /// Three in a minute pass, two targets in two minutes pass.
    private static let small = [
        Rig.section("rate", Rig.entry("count", "3"), Rig.entry("per", "1m")),
        Rig.section("spread", Rig.entry("targets", "50"), Rig.entry("per", "2m")),
    ]

    private func member(_ place: Int, _ status: Signal.Status = .firing, ends: Duration? = nil) throws -> GateSignal {
        // A label beside the name: one group, many problems.
        try Rig.signal("NodeDown", status, ends: ends, target: "pod-\(place)", namespace: "shop")
    }

    /// A storm of three members, which four new problems have made: the first three have objects of their own.
    private func rigWithStorm(_ settings: [ConfigNode.Entry] = small) async throws -> Rig {
        let rig = try await Rig(storm: settings)
        try await rig.at(.zero)
        for place in 0..<3 { #expect(await rig.verdict(try member(place)) == .accepted) }
        _ = try await rig.deliver()
        for place in 3..<6 { #expect(await rig.verdict(try member(place)) == .aggregated) }
        return rig
    }

    @Test func theSignalThatCrossesTheRateOpensTheStormAndIsItsFirstMember() async throws {
        let rig = try await rigWithStorm()
        let delivered = try await rig.deliver()
        #expect(delivered.map(\.kind) == [.storm])
        #expect(delivered[0].state == .open)
        let storm = try #require(delivered[0].storm)
        #expect(storm.members == 3)
        #expect(storm.firing == 3)
        #expect(storm.group == [.init("name", "NodeDown"), .init("namespace", "shop")])
        #expect(storm.listed.map { $0.target?.name } == ["pod-3", "pod-4", "pod-5"])
        #expect(storm.id == delivered[0].fingerprint)
    }

    @Test func oldEpisodesLeaveTheWindow() async throws {
        let rig = try await Rig(storm: Self.small)
        for place in 0..<9 {
            try await rig.at(.seconds(21 * place))
            #expect(await rig.verdict(try member(place)) == .accepted)
        }
    }

    @Test func repeatsDoNotCount() async throws {
        let rig = try await Rig(storm: Self.small)
        for place in 0..<3 { #expect(await rig.verdict(try member(place)) == .accepted) }
        for place in 0..<3 { #expect(await rig.verdict(try member(place)) == .duplicate) }
        #expect(await rig.verdict(try member(3)) == .aggregated)
    }

    @Test func aSpreadOverTargetsOpensAStormBelowTheRate() async throws {
        let rig = try await Rig(storm: [
            Rig.section("rate", Rig.entry("count", "100"), Rig.entry("per", "1m")),
            Rig.section("spread", Rig.entry("targets", "2"), Rig.entry("per", "2m")),
        ])
        func on(_ target: String, _ note: String) throws -> GateSignal {
            let base = try Rig.signal("NodeDown", target: target, namespace: "shop").signal
            let signal = try Signal(
                identity: Identity(family: "alert", fields: [.init("x", target + note)]), name: "NodeDown",
                status: .firing,
                labels: base.labels, target: base.target)
            return GateSignal(Fingerprint(signal.identity), signal, from: .none)
        }
        try await rig.at(.zero)
        #expect(await rig.verdict(try on("a", "1")) == .accepted)
        #expect(await rig.verdict(try on("a", "2")) == .accepted)
        #expect(await rig.verdict(try on("b", "1")) == .accepted)
        #expect(await rig.verdict(try on("b", "2")) == .accepted)
        // The first target is too old to count.
        try await rig.at(.minutes(2) + .seconds(1))
        #expect(await rig.verdict(try on("b", "3")) == .accepted)
        #expect(await rig.verdict(try on("c", "1")) == .accepted)
        #expect(await rig.verdict(try on("d", "1")) == .aggregated)
    }

    @Test func anotherGroupIsNotTouched() async throws {
        let rig = try await rigWithStorm()
        #expect(await rig.verdict(try Rig.signal("NodeDown", target: "x", namespace: "other")) == .accepted)
        #expect(await rig.verdict(try Rig.signal("Else", target: "x", namespace: "shop")) == .accepted)
    }

    @Test func aMemberIsDeduplicatedAndItsEndUpdatesTheStormAlone() async throws {
        let rig = try await rigWithStorm()
        _ = try await rig.deliver()
        #expect(await rig.verdict(try member(3)) == .duplicate)
        try await rig.at(.seconds(10))
        #expect(await rig.verdict(try member(3, .resolved, ends: .seconds(9))) == .resolved)
        let delivered = try await rig.deliver()
        #expect(delivered.map(\.kind) == [.storm])
        #expect(delivered[0].storm?.firing == 2)
        #expect(delivered[0].storm?.members == 3)
        #expect(delivered[0].storm?.listed.map(\.firing) == [false, true, true])
    }

    @Test func aStormIsDeliveredAtMostOncePerFlush() async throws {
        let rig = try await rigWithStorm()
        #expect(try await rig.deliver().count == 1)
        _ = await rig.decide(try member(6))
        #expect(try await rig.deliver().isEmpty)
        try await rig.at(.seconds(6))
        #expect(try await rig.deliver().map { $0.storm?.members } == [4])
    }

    @Test func aMemberThatFiresAgainIsCountedOnce() async throws {
        let rig = try await rigWithStorm()
        #expect(await rig.verdict(try member(3, .resolved, ends: .seconds(1))) == .resolved)
        try await rig.at(.seconds(10))
        #expect(await rig.verdict(try member(3)) == .aggregated)
        let storm = try await rig.deliver().first?.storm
        #expect(storm?.members == 3)
        #expect(storm?.firing == 3)
    }

    @Test func aQuietStormClosesAndIsResolvedWithItsLastMember() async throws {
        let rig = try await rigWithStorm()
        _ = try await rig.deliver()
        try await rig.at(.seconds(59))
        #expect(try await rig.delivery.sweep(most: 100).queued == false)
        try await rig.at(.seconds(61))
        #expect(try await rig.delivery.sweep(most: 100).queued)
        #expect(try await rig.deliver().map(\.state) == [.closed])
        for place in 3..<5 { _ = await rig.decide(try member(place, .resolved, ends: .seconds(62))) }
        try await rig.at(.minutes(2))
        #expect(try await rig.deliver().map(\.state) == [.closed])
        #expect(await rig.verdict(try member(5, .resolved, ends: .seconds(63))) == .resolved)
        try await rig.at(.minutes(3))
        let last = try await rig.deliver()
        #expect(last.map(\.state) == [.resolved])
        #expect(last[0].storm?.firing == 0)
        // Kept for an hour for whoever asks, then gone without a trace.
        try await rig.at(.minutes(64))
        _ = try await rig.delivery.sweep(most: 100)
        for key in ["s", "m", "n"] { #expect(try await rig.redis.command("KEYS", "{test}:\(key):*").list.isEmpty) }
        #expect(try await rig.number("ZCARD", "{test}:ended") == 0)
        #expect(try await rig.number("ZCARD", "{test}:storms") == 0)
    }

    @Test func membersKeepAStormOpenUntilItsLongest() async throws {
        let rig = try await Rig(storm: Self.small + [Rig.entry("longest", "2m")])
        for place in 0..<12 {
            try await rig.at(.seconds(15 * place))
            _ = await rig.decide(try member(place))
        }
        // It opened at 45 s; 165 s is past its longest, so the problems of then are counted anew.
        try await rig.at(.seconds(168))
        #expect(await rig.verdict(try member(20)) == .accepted)
        _ = try await rig.delivery.sweep(most: 100)
        #expect(try await rig.deliver().contains { $0.state == .closed })
    }

    @Test func aClosedStormThatNobodySweptTakesNoMembers() async throws {
        let rig = try await rigWithStorm()
        try await rig.at(.minutes(2))
        #expect(await rig.verdict(try member(9)) == .accepted)
    }

    @Test func membersExpireLikeAnythingElse() async throws {
        let rig = try await Rig(storm: Self.small)
        try await rig.at(.zero)
        for place in 0..<5 { _ = await rig.decide(try member(place, .firing, ends: .minutes(4))) }
        try await rig.at(.minutes(6))
        while try await rig.delivery.sweep(most: 2).more {}
        try await rig.at(.minutes(7))
        _ = try await rig.delivery.sweep(most: 100)
        let storms = try await rig.deliver().filter { $0.kind == .storm }
        #expect(storms.map(\.state) == [.resolved])
    }

    @Test func anEpisodeBeforeTheStormIsStillEndedAtItsSink() async throws {
        let rig = try await Rig(storm: Self.small)
        try await rig.at(.zero)
        let first = await rig.decide(try member(0))[0]
        _ = try await rig.deliver()
        _ = await rig.decide(try member(0, .resolved, ends: .seconds(1)))
        for place in 1..<3 { _ = await rig.decide(try member(place)) }
        // Fires again as a member of the storm before the sink has heard of the first end.
        #expect(await rig.verdict(try member(0)) == .aggregated)
        let delivered = try await rig.deliver()
        let ended = try #require(delivered.first { $0.fingerprint == "\((try? member(0).fingerprint)!)" })
        #expect(ended.state == .resolved)
        #expect(ended.episode == first.episode)
        #expect(try await rig.deliver().isEmpty)
    }

    @Test func everyMemberIsInTheStoreHoweverManyAreListed() async throws {
        let rig = try await Rig(storm: Self.small + [Rig.entry("list_members", "2")])
        for place in 0..<13 { _ = await rig.decide(try member(place)) }
        let storm = try #require(try await rig.deliver().first { $0.kind == .storm }?.storm)
        #expect(storm.members == 10)
        #expect(storm.listed.count == 2)
        let listed = try await rig.delivery.storms(storm.id, most: 100)
        #expect(listed.first?.listed.count == 10)
    }
}
