import Logging
import NIOConcurrencyHelpers
import Testing

@testable import Host

/// Parts in a `ServiceGroup`, without signals: the last part ends them, or one that fails.
@Suite struct HostPartTests {
    /// Each part notes its start and its end.
    private final class Diary: Sendable {
        private let kept = NIOLockedValueBox<[String]>([])
        var lines: [String] { kept.withLockedValue { $0 } }
        func note(_ line: String) { kept.withLockedValue { $0.append(line) } }

        /// Works until it is cancelled.
        func part(_ name: String) -> HostPart {
            HostPart(name) { started in
                self.note("+\(name)")
                started()
                await untilCancelled()
                self.note("-\(name)")
            }
        }
    }

    private struct Failed: Error {}

    private func run(_ parts: [HostPart], log: Logger = RecordedLog().logger) async throws {
        try await HostPart.run(parts, endedBy: [], log: log)
    }

    @Test func partsStartInTheirOrderAndStopInReverse() async throws {
        let diary = Diary()
        let names = ["a", "b", "c"]
        try await run(names.map { diary.part($0) } + [HostPart("last", endsAll: true) { diary.note("work") }])
        #expect(diary.lines == ["+a", "+b", "+c", "work", "-c", "-b", "-a"])
    }

    @Test func aPartThatFailsStopsTheOthersAndGivesItsError() async throws {
        let diary = Diary()
        let failing = HostPart("failing") {
            diary.note("fails")
            throw Failed()
        }
        await #expect(throws: Failed.self) { try await run([diary.part("a"), diary.part("b"), failing]) }
        #expect(diary.lines == ["+a", "+b", "fails", "-b", "-a"])
    }

    @Test func aPartThatFailsAtItsStartKeepsTheNextOneFromStarting() async throws {
        let diary = Diary()
        let failing = HostPart("failing") { _ in throw Failed() }
        await #expect(throws: Failed.self) { try await run([diary.part("a"), failing, diary.part("b")]) }
        #expect(diary.lines == ["+a", "-a"])
    }

    @Test func aPartThatIsDoneEarlyWaitsForItsTurn() async throws {
        let diary = Diary()
        let early = HostPart("early", stop: { diary.note("-early") }) { diary.note("+early") }
        try await run([diary.part("a"), early, diary.part("b"), HostPart("last", endsAll: true) {}])
        #expect(diary.lines == ["+a", "+early", "+b", "-b", "-early", "-a"])
    }

    @Test func aPartThatHangsIsLeftAfterItsPatience() async throws {
        let diary = Diary()
        let (never, held) = AsyncStream<Void>.makeStream()
        let log = RecordedLog()
        let hanging = HostPart("hanging", patience: .milliseconds(20), stop: {}) { for await _ in never {} }
        try await run([diary.part("a"), hanging, HostPart("last", endsAll: true) {}], log: log.logger)
        #expect(diary.lines == ["+a", "-a"])
        #expect(log.messages == ["a part of the host did not end in time"])
        held.finish()
    }
}

private func untilCancelled() async {
    let (never, end) = AsyncStream<Void>.makeStream()
    await withTaskCancellationHandler {
        for await _ in never {}
    } onCancel: {
        end.finish()
    }
}
