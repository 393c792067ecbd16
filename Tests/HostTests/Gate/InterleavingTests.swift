import SignalKit
import TestSupport
import Testing

@testable import Host

/// Two senders see the same problem fire, end, fire again and end again, at times that differ by some seconds, and each may
/// repeat anything late. Whatever the order in which it all arrives, the episodes are those that really happened.
/// docs/decisions/0004 has the argument on paper.
@Suite(.serialized) struct InterleavingTests {
    private enum Word: String, CaseIterable { case fires, ends, firesAgain, endsAgain }

    private struct Said: Hashable, CustomStringConvertible {
        let sender: Int
        let word: Word
        var description: String { "\(sender == 0 ? "A" : "B") \(word.rawValue)" }
    }

    /// Every order of both senders' words that keeps each sender's own.
    private func orders(_ words: [Word]) -> [[Said]] {
        func merge(_ left: ArraySlice<Said>, _ right: ArraySlice<Said>) -> [[Said]] {
            guard let first = left.first else { return [Array(right)] }
            guard let other = right.first else { return [Array(left)] }
            return merge(left.dropFirst(), right).map { [first] + $0 }
                + merge(left, right.dropFirst()).map { [other] + $0 }
        }
        return merge(words.map { Said(sender: 0, word: $0) }[...], words.map { Said(sender: 1, word: $0) }[...])
    }

    /// The order itself, and with any one word of it repeated at any later place.
    private func withStaleRetries(_ order: [Said]) -> [[Said]] {
        var all = [order]
        for place in order.indices {
            for later in (place + 1)...order.count {
                var copy = order
                copy.insert(order[place], at: later)
                all.append(copy)
            }
        }
        return all
    }

    /// - Parameter ahead: which sender's times are some seconds later.
    private func signal(_ said: Said, _ name: String, ahead: Int) throws -> GateSignal {
        let shift = Duration.seconds(said.sender == ahead ? 5 : 0)
        switch said.word {
        case .fires: return try GateRig.signal(name, starts: .minutes(-60) + shift)
        case .ends:
            return try GateRig.signal(name, .resolved, starts: .minutes(-60) + shift, ends: .minutes(-40) + shift)
        case .firesAgain: return try GateRig.signal(name, starts: .minutes(-20) + shift)
        case .endsAgain:
            return try GateRig.signal(name, .resolved, starts: .minutes(-20) + shift, ends: .minutes(-1) + shift)
        }
    }

    private func check(_ words: [Word], _ expected: [Verdict]) async throws {
        let rig = try await GateRig(
            backlog: 100_000,
            storm: [
                GateRig.section("rate", GateRig.entry("count", "1000")),
                GateRig.section("spread", GateRig.entry("targets", "1000")),
            ])
        var number = 0
        for order in orders(words) {
            for ahead in [0, 1] {
                for sequence in withStaleRetries(order) {
                    number += 1
                    // One request decides its signals one after the other, as many requests would.
                    let signals = try sequence.map { try signal($0, "Problem\(number)", ahead: ahead) }
                    let outcomes = await rig.gate.decide(signals, [], in: rig.store, on: nil).outcomes
                    let changes = outcomes.map(\.verdict).filter { $0 != .duplicate }
                    #expect(changes == expected, "\(sequence): \(outcomes.map(\.verdict))")
                    let episodes = Set(outcomes.compactMap(\.episode))
                    #expect(episodes.count == expected.filter { $0 == .accepted }.count, "\(sequence)")
                }
            }
        }
        #expect(number > 500)
    }

    @Test func twoSendersOfTwoWholeEpisodes() async throws {
        try await check([.fires, .ends, .firesAgain, .endsAgain], [.accepted, .resolved, .accepted, .resolved])
    }

    @Test func twoSendersOfAnEpisodeAndOneThatGoesOn() async throws {
        try await check([.fires, .ends, .firesAgain], [.accepted, .resolved, .accepted])
    }
}
