import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// Requests of one event loop that come together are decided together, and each is told its own.
@Suite struct GateBatchesTests {
    private typealias Rig = GateRig

    private func calls(_ rig: Rig) async throws -> Int {
        let stats = try await rig.redis.command("INFO", "commandstats").string ?? ""
        let line = stats.split(whereSeparator: \.isNewline).first { $0.hasPrefix("cmdstat_evalsha:calls=") }
        return line.flatMap { Int($0.dropFirst("cmdstat_evalsha:calls=".count).prefix { $0.isNumber }) } ?? 0
    }

    @Test func manyRequestsShareACallAndEachHasItsOwnAnswer() async throws {
        let rig = try await Rig(backlog: 10_000)
        let loop = NIOSingletons.posixEventLoopGroup.any()
        let before = try await calls(rig)
        let answers = try await withThrowingTaskGroup(of: (Int, [GateOutcome]).self) { tasks in
            for number in 0..<400 {
                let signals = try (0...(number % 3)).map { try Rig.signal("N\(number)", target: "t\($0)") }
                tasks.addTask { (number, await rig.gate.decide(signals, [], in: rig.store, on: loop).outcomes) }
            }
            return try await tasks.reduce(into: [Int: [GateOutcome]]()) { $0[$1.0] = $1.1 }
        }
        let spent = try await calls(rig) - before
        #expect(spent < 200, "\(spent) calls for 400 requests")
        #expect(answers.count == 400)
        for (number, outcomes) in answers {
            #expect(outcomes.map(\.verdict) == Array(repeating: .accepted, count: number % 3 + 1), "\(number)")
        }
        // Each is told of its own again.
        for number in 0..<400 {
            let signals = try (0...(number % 3)).map { try Rig.signal("N\(number)", target: "t\($0)") }
            let again = await rig.gate.decide(signals, [], in: rig.store, on: nil).outcomes
            #expect(again.allSatisfy { $0.verdict == .duplicate })
            #expect(again.map(\.episode) == answers[number]?.map(\.episode))
        }
    }

    /// Answers nothing until it is told to.
    private final class Held: Sendable {
        private struct State {
            var calls: [(size: Int, reply: CheckedContinuation<Void, Never>)] = []
            var most = 0
            var sizes: [Int] = []
            var isOpen = false
        }
        private let state = NIOLockedValueBox(State())

        var out: Int { state.withLockedValue { $0.calls.count } }
        /// The most that were out at once.
        var most: Int { state.withLockedValue { $0.most } }
        var sizes: [Int] { state.withLockedValue { $0.sizes } }

        func decide(_ signals: [GateSignal]) async -> GateAnswer {
            await withCheckedContinuation { reply in
                let isOpen = state.withLockedValue { state in
                    state.sizes.append(signals.count)
                    guard !state.isOpen else { return true }
                    state.calls.append((signals.count, reply))
                    state.most = max(state.most, state.calls.count)
                    return false
                }
                if isOpen { reply.resume() }
            }
            let outcome = GateOutcome(verdict: .accepted, episode: 1, count: 1, policy: nil, detail: "")
            return GateAnswer(outcomes: signals.map { _ in outcome })
        }

        func answerFirst() { state.withLockedValue { $0.calls.removeFirst() }.reply.resume() }

        func open() {
            let calls = state.withLockedValue { state in
                defer { state.calls = [] }
                state.isOpen = true
                return state.calls
            }
            for call in calls { call.reply.resume() }
        }
    }

    @Test func twoCallsAreOutAndTheRestWaitsForOneOfThem() async throws {
        let (batches, held) = (GateBatches(most: 64), Held())
        let loop = NIOSingletons.posixEventLoopGroup.any()
        try await withThrowingTaskGroup(of: Int?.self) { tasks in
            func ask(_ count: Int, _ name: String) throws {
                for number in 0..<count {
                    let signal = try Rig.signal("\(name)\(number)")
                    tasks.addTask {
                        await batches.decide([signal], on: loop, until: nil) { signals, _ in await held.decide(signals)
                        }?
                        .outcomes.count
                    }
                }
            }
            // Whatever is not seen, nobody waits for ever.
            defer { held.open() }
            try ask(1, "A")
            try await eventually("a call") { held.out == 1 }
            // Too few to be worth a call.
            try ask(7, "B")
            try await eventually("they wait") { batches.waiting == 7 }
            #expect(held.out == 1)
            try ask(1, "C")
            try await eventually("another call") { held.out == 2 }
            try ask(40, "D")
            try await eventually("all others wait") { batches.waiting == 40 }
            #expect(held.sizes == [1, 8])
            held.answerFirst()
            try await eventually("they go with the other still out") { held.sizes == [1, 8, 40] }
            // What fills a call waits for nobody.
            try ask(64, "E")
            try await eventually("a full call") { held.out == 3 }
            #expect(held.sizes == [1, 8, 40, 64])
            try ask(10, "F")
            try await eventually("they wait again") { batches.waiting == 10 }
            held.open()
            let counts = try await tasks.reduce(into: []) { $0.append($1) }
            #expect(counts == Array(repeating: 1, count: 123))
        }
        #expect(held.sizes == [1, 8, 40, 64, 10])
        #expect(held.most == 3)
        #expect(batches.waiting == 0)
    }

    /// Half of what is here goes while the store has the other half.
    @Test func whatIsLessThanHalfWaits() async throws {
        let (batches, held) = (GateBatches(most: 64), Held())
        let loop = NIOSingletons.posixEventLoopGroup.any()
        await withTaskGroup(of: Void.self) { tasks in
            do {
                let many = try (0..<40).map { try Rig.signal("M\($0)") }
                tasks.addTask {
                    _ = await batches.decide(many, on: loop, until: nil) { signals, _ in await held.decide(signals) }
                }
                try await eventually("a call") { held.out == 1 }
                for number in 0..<40 {
                    let signal = try Rig.signal("N\(number)")
                    tasks.addTask {
                        _ = await batches.decide([signal], on: loop, until: nil) { signals, _ in
                            await held.decide(signals)
                        }
                    }
                    if number < 39 {
                        try await eventually("it waits") { batches.waiting == number + 1 }
                        #expect(held.out == 1)
                    }
                }
                try await eventually("the other half") { held.out == 2 }
            } catch {
                Issue.record(error)
            }
            held.open()
        }
        #expect(held.sizes == [40, 40])
    }

    @Test func whoseTimeHasPassedIsNotAskedForAndHoldsNobodyUp() async throws {
        let rig = try await Rig()
        let loop = NIOSingletons.posixEventLoopGroup.any()
        let (old, new) = (try Rig.signal("Old"), try Rig.signal("New"))
        async let late = rig.gate.decide([old], [], in: rig.store, on: loop, until: .now)
        async let intime = rig.gate.decide([new], [], in: rig.store, on: loop, until: .now + .seconds(20))
        let (first, second) = (await late.outcomes, await intime.outcomes)
        #expect(first.map(\.verdict) == [.unavailable])
        #expect(first[0].detail == "deduplication service unavailable: the request's deadline has passed")
        #expect(second.map(\.verdict) == [.accepted])
        #expect(await rig.verdict(old) == .accepted)
    }

    @Test func aStoreThatIsGoneRefusesAllOfThem() async throws {
        let rig = try await Rig()
        let loop = NIOSingletons.posixEventLoopGroup.any()
        rig.redis.kill()
        let signals = try (0..<20).map { try Rig.signal("N\($0)") }
        let verdicts = await withTaskGroup(of: [Verdict].self) { tasks in
            for signal in signals {
                tasks.addTask { await rig.gate.decide([signal], [], in: rig.store, on: loop).outcomes.map(\.verdict) }
            }
            return await tasks.reduce(into: []) { $0 += $1 }
        }
        #expect(verdicts == Array(repeating: .unavailable, count: 20))
    }

    /// A claim that took all of a backlog of large documents would be an answer that nobody can read in time.
    @Test func aClaimOfLargeDocumentsTakesSomeAndLeavesTheRest() async throws {
        let rig = try await Rig()
        let note = String(repeating: "x", count: 16_000)
        let signals = try (0..<700).map { try Rig.signal("Large\($0)", note: note) }
        for start in stride(from: 0, to: 700, by: 50) {
            let part = Array(signals[start..<(start + 50)])
            let outcomes = await rig.gate.decide(part, [], in: rig.store, on: nil).outcomes
            #expect(outcomes.allSatisfy { $0.verdict == .accepted })
        }
        var taken: [Int] = []
        while true {
            let claims = try await rig.claims("file", 1_000)
            if claims.isEmpty { break }
            taken.append(claims.count)
            #expect(claims.allSatisfy { $0.attempt == 1 })
        }
        #expect(taken.count == 2 && taken.reduce(0, +) == 700, "\(taken)")
    }
}
