import SignalKit
import TestSupport
import Testing

@testable import Host

/// What storm remembers of a group between two calls: its window, in a hash for each stretch of time, and its storm.
@Suite(.serialized) struct StormWindowTests {
    private typealias Rig = GateRig

    /// Three in a minute pass; the windows are two minutes long at most, and so are the stretches.
    private static let small = [Rig.section("rate", Rig.entry("count", "3"), Rig.entry("per", "1m"))]
    private static let stretch: Int64 = 120_000
    /// From the epoch to where a stretch begins.
    private static let border = Duration.milliseconds((Rig.epoch / stretch + 1) * stretch - Rig.epoch)

    private func member(_ place: Int, of group: String = "NodeDown") throws -> GateSignal {
        try Rig.signal(group, target: "pod-\(place)", namespace: "shop")
    }

    private func keys(_ rig: Rig) async throws -> [String] {
        try await rig.redis.command("KEYS", "{test}:g:*").list.compactMap(\.string).sorted()
    }

    private func key(_ time: Duration) -> String { "{test}:g:\((Rig.epoch + time.milliseconds) / Self.stretch)" }

    @Test func aWindowGoesOnInTheNextStretch() async throws {
        let rig = try await Rig(storm: Self.small)
        try await rig.at(Self.border - .seconds(20))
        for place in 0..<2 { #expect(await rig.verdict(try member(place)) == .accepted) }
        try await rig.at(Self.border + .seconds(10))
        #expect(await rig.verdict(try member(2)) == .accepted)
        #expect(try await keys(rig) == [key(Self.border - .seconds(20)), key(Self.border)])
        try await rig.at(Self.border + .seconds(20))
        #expect(await rig.verdict(try member(3)) == .aggregated)
    }

    @Test func whatNoWindowNeedsGoesAsAWhole() async throws {
        let rig = try await Rig(storm: Self.small)
        try await rig.at(.zero)
        for place in 0..<3 { #expect(await rig.verdict(try member(0, of: "Group\(place)")) == .accepted) }
        let life = try #require(try await rig.number("PTTL", key(.zero)))
        #expect(life > Self.stretch && life <= 2 * Self.stretch)
        try await rig.at(Self.border + .seconds(1))
        #expect(await rig.verdict(try member(0, of: "Later")) == .accepted)
        #expect(try await keys(rig).count == 2)
        try await rig.at(Self.border + .milliseconds(Self.stretch))
        #expect(await rig.verdict(try member(0, of: "Latest")) == .accepted)
        #expect(try await keys(rig) == [key(Self.border), key(Self.border + .milliseconds(Self.stretch))])
    }

    @Test func allOfOneCallCountTogether() async throws {
        let rig = try await Rig(storm: Self.small)
        try await rig.at(.zero)
        let outcomes = await rig.decide(
            try member(0), try member(0, of: "Else"), try member(1), try member(2), try member(3), try member(4),
            try member(1, of: "Else"))
        #expect(
            outcomes.map(\.verdict) == [
                .accepted, .accepted, .accepted, .accepted, .aggregated, .aggregated, .accepted,
            ])
        // One storm, and a window that holds what came before. Who comes behind a member is none.
        let delivered = try await rig.deliver()
        #expect(delivered.filter { $0.kind == .storm }.map(\.storm?.members) == [2])
        #expect(delivered.filter { $0.kind == .signal }.count == 5)
        #expect(await rig.verdict(try member(2, of: "Else")) == .accepted)
        #expect(await rig.verdict(try member(3, of: "Else")) == .aggregated)
    }

    /// What made the last storm makes no other one.
    @Test(arguments: [false, true]) func afterItsStormAGroupCountsAnew(_ swept: Bool) async throws {
        let rig = try await Rig(storm: [
            Rig.section("rate", Rig.entry("count", "3"), Rig.entry("per", "10m")), Rig.entry("quiet", "1m"),
        ])
        try await rig.at(.zero)
        for place in 0..<3 { #expect(await rig.verdict(try member(place)) == .accepted) }
        #expect(await rig.verdict(try member(3)) == .aggregated)
        try await rig.at(.seconds(62))
        if swept { _ = try await rig.delivery.sweep(most: 100) }
        #expect(try await rig.redis.command("HGETALL", "{test}:open").list.isEmpty == swept)
        for place in 10..<13 { #expect(await rig.verdict(try member(place)) == .accepted) }
        #expect(await rig.verdict(try member(13)) == .aggregated)
        #expect(await rig.verdict(try member(14)) == .aggregated)
        let later = try await rig.redis.command("HGETALL", "{test}:open").list.count
        #expect(later == 2)
        // The end of the first takes nothing from the second.
        _ = try await rig.delivery.sweep(most: 100)
        #expect(await rig.verdict(try member(15)) == .aggregated)
    }

    /// As when a sweeper of before closed it: what names a storm that is over goes with the next signal of its group.
    @Test func whatNamesAStormThatIsOverDoesNotStay() async throws {
        let rig = try await Rig(storm: Self.small)
        try await rig.at(.zero)
        for place in 0..<4 { _ = await rig.decide(try member(place)) }
        try await rig.redis.command("COPY", "{test}:open", "{test}:kept")
        try await rig.at(.seconds(90))
        _ = try await rig.delivery.sweep(most: 100)
        #expect(try await rig.number("EXISTS", "{test}:open") == 0)
        try await rig.redis.command("COPY", "{test}:kept", "{test}:open")
        #expect(await rig.verdict(try member(10)) == .accepted)
        #expect(try await rig.redis.command("HGETALL", "{test}:open").list.isEmpty)
    }
}
