import JSON
import SignalKit
import Testing

@testable import Sinks

/// What the arbiter decides about clusters that no order of deliveries alone makes: a store that was emptied or set back,
/// hands and hosts that came in between.
struct ArbiterTests {
    private func object(
        _ number: Int, _ episode: Int64, _ version: Int64, resolved: Bool = false, completed: Bool = false,
        startsAt: Int64? = 1_000, lastSeen: Int64 = 2_000, resolvedAt: Int64? = nil, byItself: Bool = false
    ) -> SeenObject {
        SeenObject(
            name: "sig-abababababababab-\(number)", uid: "u", resourceVersion: "1", fingerprint: ObjectRig.fingerprint,
            episode: episode, version: version, startsAt: startsAt.map(Timestamp.init(milliseconds:)),
            lastSeen: Timestamp(milliseconds: lastSeen), resolvedAt: resolvedAt.map(Timestamp.init(milliseconds:)),
            isResolved: resolved, endedByItself: byItself, isCompleted: completed, written: [:])
    }

    private func decide(
        _ delivery: Delivery, _ seen: [SeenObject], reopenAfter: Duration? = nil
    ) -> Arbiter.Decision {
        Arbiter(reopenAfter: reopenAfter).decide(delivery, seen: seen)
    }

    @Test func aStoreThatWasSetBackSpeaksOfTheProblemThatTheClusterHasNow() throws {
        let (old, new) = (object(1, 5, 7, resolved: true), object(2, 9, 9))
        // The record says: episode 5, still firing. It is not brought back to life beside the later one.
        let repeated = try ObjectRig.delivery(.firing, 5, 20, isUpdate: true)
        #expect(decide(repeated, [old, new]) == .steps([.update(new)]))
        let over = try ObjectRig.delivery(.resolved, 5, 21, isUpdate: true)
        #expect(decide(over, [old, new]) == .steps([.update(new)]))
        #expect(decide(over, [object(1, 5, 7), new]) == .steps([.resolve(object(1, 5, 7)), .update(new)]))
    }

    @Test func whatIsLaterThanTheStoreKnowsIsNeverSilentlyTakenForDone() throws {
        let there = object(1, 900, 950)
        // Redis was emptied, and its clock had run ahead of the time of day.
        #expect(decide(try ObjectRig.delivery(.firing, 50, 50), [there]) == .behind)
        #expect(decide(try ObjectRig.delivery(.resolved, 50, 51), [there]) == .behind)
        // A late delivery of an episode that has an object is old news.
        let both = [object(1, 5, 6), object(2, 9, 9)]
        #expect(decide(try ObjectRig.delivery(.firing, 5, 7), both) == .steps([.resolve(both[0])]))
    }

    @Test(arguments: [(500, true), (2_000, true), (2_001, false)])
    func anotherReplicaOfTheSenderSpeaksOfTheSameEnd(_ startsAt: Int64, _ isDone: Bool) throws {
        let delivery = try ObjectRig.delivery(.firing, 50, 50, startsAt: startsAt)
        for there in [
            object(1, 5, 7, completed: true), object(1, 5, 7, resolved: true, lastSeen: 0, resolvedAt: 2_000),
        ] {
            #expect(decide(delivery, [there]) == .steps(isDone ? [] : [.create(number: 2)]))
        }
        let forgotten = object(1, 5, 7, resolved: true, resolvedAt: 2_000, byItself: true)
        #expect(decide(delivery, [forgotten]) == .steps([.create(number: 2)]))
    }

    @Test func anEndFarAheadEndsNothingThatComesBeforeIt() throws {
        let there = object(1, 5, 7, resolved: true, lastSeen: 2_000, resolvedAt: 253_402_300_799_000)
        #expect(
            decide(try ObjectRig.delivery(.firing, 50, 50, startsAt: 62_001), [there]) == .steps([.create(number: 2)]))
        #expect(decide(try ObjectRig.delivery(.firing, 50, 50, startsAt: 62_000), [there]) == .steps([]))
    }

    @Test func whatTheStoreHasKnownItselfAndForgottenIsOver() throws {
        let there = object(1, 5, 7, completed: true)
        let again = { (since: Int64) in try ObjectRig.delivery(.firing, 50, 50, knownSince: since) }
        #expect(decide(try again(8), [there]) == .steps([]))
        #expect(decide(try again(7), [there]) == .steps([.create(number: 2)]))
    }

    @Test func anObjectWithoutItsStateIsNoOlderThanItsEpisode() throws {
        // Another host has made the object of episode 9 and not yet written its state, when a late delivery of 5 comes.
        let fresh = object(2, 9, 0)
        #expect(
            decide(try ObjectRig.delivery(.resolved, 5, 7), [object(1, 5, 6), fresh])
                == .steps([.resolve(object(1, 5, 6))]))
        #expect(decide(try ObjectRig.delivery(.resolved, 5, 7), [fresh]) == .behind)
        #expect(decide(try ObjectRig.delivery(.resolved, 0, 8), [fresh]) == .steps([]))
    }

    @Test func ofSeveralObjectsOfAnEpisodeOneGoesOn() throws {
        let twins = [object(1, 5, 0), object(2, 5, 0)]
        let delivery = try ObjectRig.delivery(.firing, 5, 5)
        #expect(decide(delivery, twins) == .steps([.resolve(twins[0]), .update(twins[1])]))
    }

    @Test func aNumberThatNobodyHereGaveDoesNotCount() throws {
        let foreign = SeenObject(
            name: "x-9223372036854775807", uid: "u", resourceVersion: "1", fingerprint: ObjectRig.fingerprint,
            episode: 5,
            version: 5, startsAt: nil, lastSeen: nil, resolvedAt: nil, isResolved: true, endedByItself: false,
            isCompleted: false, written: [:])
        let delivery = try ObjectRig.delivery(.firing, 9, 9, follows: 5)
        #expect(decide(delivery, [foreign]) == .steps([.create(number: 1)]))
    }

    @Test func whatWasCompletedOrDeletedComesBackOnlyWhenThatIsAskedFor() throws {
        let completed = object(1, 5, 6, completed: true, lastSeen: 10_000)
        let still = try ObjectRig.delivery(.firing, 5, 70_000, isUpdate: true)
        #expect(decide(still, [completed]) == .steps([.update(completed)]))
        #expect(decide(still, [completed], reopenAfter: .seconds(60)) == .steps([.create(number: 2)]))
        // Not touched meanwhile, or the pause would begin again with each repeat.
        #expect(decide(still, [completed], reopenAfter: .seconds(61)) == .steps([]))
        #expect(decide(still, []) == .steps([]))
        #expect(decide(still, [], reopenAfter: .seconds(60)) == .steps([.create(number: 1)]))
        let over = try ObjectRig.delivery(.resolved, 5, 70_000, isUpdate: true)
        #expect(decide(over, [], reopenAfter: .seconds(60)) == .steps([]))
    }
}
