import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// Claims, their fence, and what an acknowledgement may settle.
@Suite(.serialized) struct DeliveryStoreTests {
    private typealias Rig = GateRig

    @Test func twoHostsNeverHoldOneClaim() async throws {
        let rig = try await Rig()
        for place in 0..<10 { _ = await rig.decide(try Rig.signal("A\(place)")) }
        let first = try await rig.claims("file", 6)
        let second = try await rig.claims("file", 6)
        #expect(first.count == 6)
        #expect(second.count == 4)
        #expect(Set(first.map(\.member)).isDisjoint(with: second.map(\.member)))
        #expect(try await rig.claims().isEmpty)
    }

    @Test func whenASessionEndsItsClaimsAreAnothers_AndTheSlowHostChangesNothing() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal())
        let slow = try await rig.claims()
        try await rig.dies()
        let other = try await rig.claims()
        #expect(other.map(\.member) == slow.map(\.member))
        #expect(other.map(\.attempt) == [2])
        #expect(try await rig.delivery.acknowledge("file", slow) == nil)
        #expect(try await rig.retry(slow[0], after: .seconds(1)) == false)
        #expect(try await rig.delivery.bury("file", slow[0], because: "no", after: .seconds(1)) == .absent)
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 1)
        #expect(try await rig.delivery.acknowledge("file", other) == [.settled])
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 0)
        #expect(try await rig.delivery.letters(origin: nil, most: 1).total == 0)
    }

    @Test func whatChangedWhileItWasDeliveredIsDeliveredAgainInItsLatestState() async throws {
        let rig = try await Rig()
        _ = await rig.decide(try Rig.signal())
        let claims = try await rig.claims()
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .minutes(1)))
        #expect(try await rig.delivery.acknowledge("file", claims) == [.changed])
        let again = try await rig.claims()
        #expect(again.map(\.delivery.state) == [.resolved])
        #expect(again.map(\.attempt) == [1])
        #expect(again[0].delivery.signal?.status == .resolved)
        #expect(try await rig.delivery.acknowledge("file", again) == [.settled])
    }

    @Test func aSinkThatAsksIsToldWhatItHasHad() async throws {
        let rig = try await Rig(deduplicate: [Rig.entry("cooldown", "15m")], plugin: Remembering())
        try await rig.at(.zero)
        let signal = try Rig.signal()
        _ = await rig.decide(signal)
        let lost = try await rig.claims()
        #expect(lost.map(\.delivery.isUpdate) == [false])
        try await rig.dies()
        // Delivered, but never acknowledged: as if it had never been.
        #expect(try await rig.deliver().map(\.isUpdate) == [false])
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .minutes(2)))
        #expect(try await rig.deliver().map(\.isUpdate) == [true])
        try await rig.at(.minutes(10))
        _ = await rig.decide(try Rig.signal("A", starts: .minutes(9)))
        let next = try await rig.deliver()
        #expect(next.map(\.isUpdate) == [false] && next.map(\.follows) == [lost[0].delivery.episode])
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .minutes(11)))
        #expect(try await rig.deliver().map(\.isUpdate) == [true])
        #expect(try await rig.number("HLEN", "{test}:t:file") == 1)
        try await rig.at(.minutes(60))
        _ = try await rig.delivery.sweep(most: 10)
        #expect(try await rig.number("HLEN", "{test}:t:file") == 0)
        let plain = try await Rig()
        _ = await plain.decide(signal)
        _ = try await plain.deliver()
        #expect(try await plain.number("EXISTS", "{test}:t:file") == 0)
    }

    @Test func aGrownCountIsNoChange() async throws {
        let rig = try await Rig()
        _ = await rig.decide(try Rig.signal())
        let claims = try await rig.claims()
        _ = await rig.decide(try Rig.signal())
        #expect(try await rig.delivery.acknowledge("file", claims) == [.settled])
    }

    @Test func theDocumentStaysUntilTheLastSinkHasIt() async throws {
        let rig = try await Rig(sinks: [("one", .refuse), ("two", .refuse)])
        _ = await rig.decide(try Rig.signal())
        #expect(try await rig.deliver("one").first?.signal != nil)
        #expect(try await rig.redis.command("KEYS", "{test}:d:*").list.count == 1)
        #expect(try await rig.deliver("two").first?.signal != nil)
        #expect(try await rig.redis.command("KEYS", "{test}:d:*").list.isEmpty)
        #expect(try await rig.redis.command("KEYS", "{test}:a:*").list.isEmpty)
    }

    @Test func aRetryComesBackAfterItsBackOffWithItsAttempt() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal())
        let claims = try await rig.claims()
        #expect(try await rig.retry(claims[0], after: .seconds(10)))
        try await rig.at(.seconds(9))
        #expect(try await rig.claims().isEmpty)
        try await rig.at(.seconds(11))
        #expect(try await rig.claims().map(\.attempt) == [2])
    }

    @Test func whatCannotBeDeliveredIsADeadLetterThatCanBeReplayed() async throws {
        let rig = try await Rig()
        let opened = await rig.decide(try Rig.signal())[0]
        let claims = try await rig.claims()
        #expect(
            try await rig.delivery.bury("file", claims[0], because: "no such place", after: .seconds(300)) == .buried)
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 0)
        let letter = try #require(try await rig.delivery.letters(origin: "sink/file", most: 10).letters.first)
        #expect(letter.reason == "no such place")
        #expect(
            String(decoding: try #require(try await rig.delivery.letter(letter.id)).item, as: UTF8.self).contains(
                "\"A\""))
        // Its record is long gone when somebody replays it.
        try await rig.redis.command(
            "EVAL", "for _, k in ipairs(redis.call('KEYS', '{test}:r:*')) do redis.call('DEL', k) end return 1", "0")
        #expect(try await rig.delivery.replay(letter.id) == .queued)
        let replayed = try await rig.deliver()
        #expect(replayed.map(\.episode) == [opened.episode])
        #expect(replayed.map(\.reason) == [.forgotten])
        #expect(replayed[0].signal?.name == "A")
        #expect(try await rig.delivery.replay(letter.id) == .missing)
    }

    @Test func whatMovedOnIsNotBuried() async throws {
        let rig = try await Rig()
        _ = await rig.decide(try Rig.signal())
        let claims = try await rig.claims()
        _ = await rig.decide(try Rig.signal("A", .resolved, ends: .minutes(1)))
        #expect(try await rig.delivery.bury("file", claims[0], because: "no", after: .seconds(1)) == .changed)
        #expect(try await rig.deliver().map(\.state) == [.resolved])
    }

    @Test func fullDeadLettersKeepADeliveryQueued() async throws {
        let rig = try await Rig(letters: 1)
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("A"), try Rig.signal("B"))
        let claims = try await rig.claims()
        #expect(try await rig.delivery.bury("file", claims[0], because: "no", after: .seconds(300)) == .buried)
        #expect(try await rig.delivery.bury("file", claims[1], because: "no", after: .seconds(300)) == .full)
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 1)
        try await rig.at(.seconds(301))
        #expect(try await rig.claims().count == 1)
    }

    @Test func aStormWithADeadLetterIsKeptUntilTheLetterIsGone() async throws {
        let rig = try await Rig(storm: [Rig.section("rate", Rig.entry("count", "1"))])
        try await rig.at(.zero)
        for place in 0..<3 { _ = await rig.decide(try Rig.signal("A", target: "t\(place)", namespace: "n")) }
        // The same letter twice: it is one, and one replay is the end of it.
        for place in 3..<5 {
            let storm = try #require(try await rig.claims().first { $0.delivery.kind == .storm })
            #expect(try await rig.delivery.bury("file", storm, because: "no", after: .seconds(1)) == .buried)
            _ = await rig.decide(try Rig.signal("A", target: "t\(place)", namespace: "n"))
            try await rig.at(.seconds(10 * place))
        }
        #expect(try await rig.delivery.letters(origin: nil, most: 2).letters.map(\.count) == [2])
        for place in 0..<5 {
            _ = await rig.decide(
                try Rig.signal("A", .resolved, ends: .seconds(10), target: "t\(place)", namespace: "n"))
        }
        try await rig.at(.minutes(2))
        _ = try await rig.delivery.sweep(most: 100)
        _ = try await rig.deliver()
        try await rig.at(.hours(3))
        _ = try await rig.deliver()
        _ = try await rig.delivery.sweep(most: 100)
        #expect(try await rig.redis.command("KEYS", "{test}:s:*").list.count == 1)
        let letter = try #require(try await rig.delivery.letters(origin: nil, most: 1).letters.first)
        #expect(try await rig.delivery.replay(letter.id) == .queued)
        #expect(try await rig.deliver().map(\.state) == [.resolved])
        try await rig.at(.hours(5))
        _ = try await rig.delivery.sweep(most: 100)
        #expect(try await rig.redis.command("KEYS", "{test}:s:*").list.isEmpty)
    }

    @Test func aQueuedRecordThatCannotBeReadIsToldAndKept() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("A"), try Rig.signal("B"))
        try await rig.redis.command(
            "EVAL", "return redis.call('SET', redis.call('KEYS', '{test}:r:*')[1], 'nonsense')", "0")
        let found = try await rig.delivery.claim("file", by: rig.call(), most: 10)
        #expect(found.claims.count == 1)
        #expect(found.faults == ["a record is unreadable"])
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 2)
    }

    @Test func statsSayWhatThereIs() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("A"), try Rig.signal("B"))
        try await rig.at(.seconds(90))
        let stats = try await rig.delivery.stats()
        #expect(stats.queues.map(\.depth) == [2])
        #expect(stats.queues[0].oldest >= .seconds(89))
        #expect(stats.queues[0].oldest < .seconds(91))
    }

    @Test func whatWaitsForItsNextAttemptIsTheOldest() async throws {
        let rig = try await Rig()
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal("Old"))
        let claims = try await rig.claims()
        #expect(try await rig.retry(claims[0], after: .seconds(300)))
        try await rig.at(.seconds(90))
        for place in 0..<20 { _ = await rig.decide(try Rig.signal("New\(place)")) }
        #expect(try await rig.delivery.stats().queues[0].oldest >= .seconds(89))
    }

    @Test func whatHasNoRecordAnyMoreIsDroppedWithItsDocument() async throws {
        let rig = try await Rig(sinks: [("one", .refuse), ("two", .refuse)])
        _ = await rig.decide(try Rig.signal())
        try await rig.redis.command(
            "EVAL", "return redis.call('DEL', redis.call('KEYS', '{test}:r:*')[1])", "0")
        #expect(try await rig.claims("one").isEmpty)
        #expect(try await rig.redis.command("KEYS", "{test}:d:*").list.count == 1)
        #expect(try await rig.claims("two").isEmpty)
        #expect(try await rig.redis.command("KEYS", "{test}:d:*").list.isEmpty)
    }

    @Test func aQueueWithoutASinkIsFoundMovedAndDropped() async throws {
        let rig = try await Rig(sinks: [("old", .refuse), ("file", .refuse)])
        _ = await rig.decide(try Rig.signal("A"), try Rig.signal("B"))
        #expect(try await rig.delivery.orphans(besides: ["file"]).map(\.name) == ["old"])
        #expect(try await rig.delivery.moveQueue("old", to: "file") == 2)
        #expect(try await rig.delivery.orphans(besides: ["file"]).isEmpty)
        #expect(try await rig.deliver("file").count == 2)
        #expect(try await rig.delivery.dropQueue("old") == 0)
        #expect(try await rig.redis.command("SMEMBERS", "{test}:queues").list.map(\.string) == ["file"])
    }

    @Test func aMoveLosesNothingThatIsQueuedMeanwhile() async throws {
        let rig = try await Rig()
        async let queueing: Void = {
            for place in 0..<500 { try await rig.redis.command("ZADD", "{test}:q:old", "1", "member \(place)") }
        }()
        var moved = 0
        while try await rig.number("ZCARD", "{test}:q:file") ?? 0 < 400, moved < 1_000 {
            _ = try await rig.delivery.moveQueue("old", to: "file")
            moved += 1
        }
        try await queueing
        _ = try await rig.delivery.moveQueue("old", to: "file")
        #expect(try await rig.number("ZCARD", "{test}:q:file") == 500)
    }

    @Test func whatIsMovedWasPerhapsDelivered() async throws {
        let rig = try await Rig(sinks: [("old", .refuse), ("file", .refuse)])
        try await rig.at(.zero)
        _ = await rig.decide(try Rig.signal())
        let claims = try await rig.claims("old")
        let slow = try await rig.claims("file")
        #expect(try await rig.delivery.acknowledge("file", slow) == [.settled])
        #expect(try await rig.delivery.moveQueue("old", to: "file") == 1)
        #expect(try await rig.delivery.acknowledge("old", claims) == [.lost])
        // A renamed sink may write to the same file: it looks there first.
        #expect(try await rig.claims("file").map(\.attempt) == [2])
    }

    @Test func aRereadReplyOfAnotherShapeShutsTheStore() async throws {
        let rig = try await Rig()
        _ = rig.delivery.garbage("claim")
        #expect(rig.store.state != .open)
        #expect(await rig.verdict(try Rig.signal()) == .unavailable)
        try await eventually("open again by verification") { rig.store.state == .open }
        #expect(await rig.verdict(try Rig.signal()) == .accepted)
    }

    @Test func backOffGrowsToItsBoundWithJitter() {
        let backOff = BackOff.standard
        #expect(backOff.delay(after: 1, random: 1) == .seconds(1))
        #expect(backOff.delay(after: 1, random: 0) == .milliseconds(500))
        #expect(backOff.delay(after: 5, random: 1) == .seconds(16))
        #expect(backOff.delay(after: 9, random: 1) == .seconds(256))
        #expect(backOff.delay(after: 10, random: 1) == .seconds(300))
        #expect(backOff.delay(after: 1_000_000, random: 1) == .seconds(300))
    }
}
