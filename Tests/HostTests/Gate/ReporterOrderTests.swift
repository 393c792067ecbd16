import SignalKit
import Synchronization
import TestSupport
import Testing

@testable import Host

/// Two reporters of one problem see it fire, end and fire again, and either may repeat a message late. An oracle that knows no more than
/// each reporter's latest word says when the problem fires.
@Suite(.serialized) struct ReporterOrderTests {
    private enum Word: Int, CaseIterable {
        case fires, ends, firesAgain, endsAgain
        var isFiring: Bool { self == .fires || self == .firesAgain }
    }

    private struct Said: CustomStringConvertible {
        let reporter: Int
        let word: Word
        var description: String { "\(reporter == 0 ? "A" : "B") \(word)" }
    }

    /// The latest word of each reporter, by its own order.
    private struct Oracle {
        var latest: [Int: Word] = [:]
        var fires: Bool { latest.values.contains(where: \.isFiring) }

        mutating func hear(_ said: Said) {
            guard let known = latest[said.reporter], known.rawValue >= said.word.rawValue else {
                latest[said.reporter] = said.word
                return
            }
        }

        /// Whether some reporter fires before, during and after these: then no end may be told.
        func firesThroughout(_ request: [Said]) -> Bool {
            [0, 1].contains { reporter in
                let own = request.filter {
                    $0.reporter == reporter && $0.word.rawValue > (latest[reporter]?.rawValue ?? -1)
                }
                let fired = latest[reporter]?.isFiring ?? false
                return own.isEmpty ? fired : own.allSatisfy(\.word.isFiring)
            }
        }
    }

    /// Every order of both reporters' words that keeps each one's own; and with any one word of it repeated at any later place.
    private static let sequences: [[Said]] = {
        let words = [Word.fires, .ends, .firesAgain, .endsAgain]
        func merge(_ left: ArraySlice<Said>, _ right: ArraySlice<Said>) -> [[Said]] {
            guard let first = left.first else { return [Array(right)] }
            guard let other = right.first else { return [Array(left)] }
            return merge(left.dropFirst(), right).map { [first] + $0 }
                + merge(left, right.dropFirst()).map { [other] + $0 }
        }
        let orders = merge(
            words.map { Said(reporter: 0, word: $0) }[...], words.map { Said(reporter: 1, word: $0) }[...])
        return orders.flatMap { order in
            [order]
                + order.indices.flatMap { place in
                    ((place + 1)...order.count).map { later in
                        var copy = order
                        copy.insert(order[place], at: later)
                        return copy
                    }
                }
        }
    }()

    private func signal(_ said: Said, _ name: String) throws -> GateSignal {
        let shift = Duration.seconds(said.reporter * 5)
        let from = "\(said.reporter)"
        return switch said.word {
        case .fires: try GateRig.signal(name, starts: .minutes(-60) + shift, from: from)
        case .ends:
            try GateRig.signal(
                name, .resolved, starts: .minutes(-60) + shift, ends: .minutes(-40) + shift, from: from)
        case .firesAgain: try GateRig.signal(name, starts: .minutes(-20) + shift, from: from)
        case .endsAgain:
            try GateRig.signal(
                name, .resolved, starts: .minutes(-20) + shift, ends: .minutes(-1) + shift, from: from)
        }
    }

    private func rig() async throws -> GateRig {
        try await GateRig(
            backlog: 1_000_000,
            storm: [
                GateRig.section("rate", GateRig.entry("count", "1000")),
                GateRig.section("spread", GateRig.entry("targets", "1000")),
            ])
    }

    @Test func everyOrderOverRequestsOfTheirOwnOpensAndEndsAsTheOracleSays() async throws {
        let rig = try await rig()
        var oracles = Self.sequences.map { _ in Oracle() }
        #expect(oracles.count > 2_000)
        // Each sequence is a problem; the first words of all, then the second ones, and so on.
        for step in 0..<9 {
            let going = Self.sequences.indices.filter { step < Self.sequences[$0].count }
            let signals = try going.map { try signal(Self.sequences[$0][step], "P\($0)") }
            let outcomes = await rig.gate.decide(signals, [], in: rig.store, on: nil).outcomes
            for (place, outcome) in zip(going, outcomes) {
                let before = oracles[place].fires
                oracles[place].hear(Self.sequences[place][step])
                let after = oracles[place].fires
                let expected: Verdict = before == after ? .duplicate : after ? .accepted : .resolved
                #expect(outcome.verdict == expected, "\(Self.sequences[place]) at \(step)")
            }
        }
    }

    /// In one request, in two calls of one request, and in two requests.
    @Test(arguments: ["one request", "two calls", "two requests"])
    func noRequestTellsAnEndWhileAReporterFires(_ way: String) async throws {
        let rig = try await rig()
        let fillers = try (0..<64).map { try GateRig.signal("Filler\($0)") }
        for (number, sequence) in Self.sequences.enumerated() where number % 7 == 0 {
            let cut = 1 + number / 7 % (sequence.count - 1)
            let parts = way == "two requests" ? [Array(sequence[..<cut]), Array(sequence[cut...])] : [sequence]
            var oracle = Oracle()
            for part in parts {
                var signals = try part.map { try signal($0, "\(way) \(number)") }
                if way == "two calls" { signals.insert(contentsOf: fillers, at: cut) }
                let fired = oracle.fires
                let kept = oracle.firesThroughout(part)
                for said in part { oracle.hear(said) }
                let outcomes = await rig.gate.decide(signals, [], in: rig.store, on: nil).outcomes
                let changes = zip(signals, outcomes).filter { !$0.0.signal.name.hasPrefix("Filler") }.map(\.1.verdict)
                if kept { #expect(!changes.contains(.resolved), "\(part) of \(sequence): \(changes)") }
                let opened = changes.count { $0 == .accepted } - changes.count { $0 == .resolved }
                #expect((fired ? 1 : 0) + opened == (oracle.fires ? 1 : 0), "\(part) of \(sequence): \(changes)")
            }
        }
    }

    /// Counts how often it is compared.
    private struct Key: Hashable {
        final class Comparisons: Sendable {
            let count = Mutex(0)
        }
        let number: Int
        let comparisons: Comparisons

        static func == (one: Key, other: Key) -> Bool {
            one.comparisons.count.withLock { $0 += 1 }
            return one.number == other.number
        }
        func hash(into hasher: inout Hasher) { hasher.combine(number) }
    }

    /// Of 16 000 reporters in one request, each with an end in front of a firing and another end.
    @Test func theWorkGrowsWithTheSignalsAndNotWithTheirSquare() {
        func work(reporters: Int) -> (comparisons: Int, looks: Int, order: [Int]) {
            let comparisons = Key.Comparisons()
            var looks = 0
            let order = ReporterOrder.merged(Array(0..<(3 * reporters))) {
                Key(number: $0 % reporters, comparisons: comparisons)
            } fires: {
                looks += 1
                return $0 / reporters == 1
            }
            return (comparisons.count.withLock { $0 }, looks, order)
        }
        for reporters in [2, 16_000] {
            let (comparisons, looks, order) = work(reporters: reporters)
            #expect(looks <= 6 * reporters && comparisons <= 60 * reporters)
            #expect(order.sorted() == Array(0..<(3 * reporters)))
            // Each reporter's end and firing, and behind them all the last ends.
            #expect(order.prefix(2) == [0, reporters] && order.last == 3 * reporters - 1)
        }
    }
}
