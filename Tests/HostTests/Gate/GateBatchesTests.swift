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
