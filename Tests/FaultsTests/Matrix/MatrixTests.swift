import Glibc
import Synchronization
import TestSupport
import Testing

/// Something that happens once.
final class Flag: Sendable {
    private let raised = Mutex(false)
    var isRaised: Bool { raised.withLock { $0 } }
    func raise() { raised.withLock { $0 = true } }
}

/// The fault matrix: docs/fault-matrix.md says how to read it and how to run a seed again.
@Suite struct MatrixTests {
    private static func setting(_ name: String) -> String? {
        getenv("PORTCULLIS_MATRIX_" + name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    private static let seed = setting("SEED").flatMap { UInt64($0) } ?? 1
    /// Cells at once. Most of a cell is waiting.
    private static let lanes = setting("LANES").flatMap { Int($0) } ?? 10

    /// `PORTCULLIS_MATRIX_CELL` names one cell to run, and `PORTCULLIS_MATRIX_RUNS` how often, each time with the next seed;
    /// `PORTCULLIS_MATRIX_MINUTES` says how long to run cells at random. Without them it is the slice.
    @Test func nothingIsLostAndNothingIsThereTwice() async throws {
        var random = SeededRandom(Self.seed)
        if let text = Self.setting("CELL") {
            let cell = try #require(Cell(text), "\(text) is no cell: step/fault/1x1/plain/jsonl")
            #expect(CellTable.exists(cell), "\(CellTable.absent.first { $0.isSo(cell) }?.why ?? "")")
            let runs = Self.setting("RUNS").flatMap { UInt64($0) } ?? 1
            return await Self.run((0..<runs).map { (cell, Self.seed &+ $0) }.makeIterator())
        }
        if let minutes = Self.setting("MINUTES").flatMap({ Double($0) }) {
            let deadline = ContinuousClock.now + .seconds(minutes * 60)
            await Self.run(
                AnyIterator {
                    ContinuousClock.now < deadline ? (CellTable.random(&random), random.next() % 1_000_000) : nil
                })
            return
        }
        await Self.run(CellTable.slice.map { ($0, random.next() % 1_000_000) }.makeIterator())
    }

    private static func run(_ cells: some IteratorProtocol<(Cell, UInt64)>) async {
        say("matrix: seed \(seed)")
        var cells = cells
        var reports: [CellReport] = []
        await withTaskGroup(of: CellReport.self) { tasks in
            func begin() {
                guard let (cell, seed) = cells.next() else { return }
                tasks.addTask { await MatrixRun.run(cell, seed: seed) }
            }
            for _ in 0..<lanes { begin() }
            for await report in tasks {
                say("matrix: \(report.line)")
                reports.append(report)
                begin()
            }
        }
        for report in reports where !report.failures.isEmpty {
            Issue.record(
                """
                \(report.cell): \(report.failures.joined(separator: "\n"))
                \(report.judgement.evidence.prefix(40).joined(separator: "\n"))
                again: PORTCULLIS_MATRIX_SEED=\(report.seed) PORTCULLIS_MATRIX_CELL=\(report.cell) \
                swift test --skip-build --filter MatrixTests/nothingIsLost
                """)
        }
        say(summary(reports))
    }

    /// At once, also where the output goes to a file.
    private static func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = write(STDOUT_FILENO, bytes, bytes.count)
    }

    /// How often each step and fault was exercised, and the line that sums it up.
    private static func summary(_ reports: [CellReport]) -> String {
        func table<Key: Hashable>(_ title: String, _ keys: [Key], _ name: (Key) -> String, _ of: (Cell) -> Key)
            -> String
        {
            let counts = keys.map { key in
                "\(name(key)) \(reports.filter { of($0.cell) == key && $0.unexercised.isEmpty && $0.broken.isEmpty }.count)"
            }
            return "matrix: \(title): \(counts.joined(separator: ", "))"
        }
        func sum(_ value: (CellReport) -> Int) -> Int { reports.reduce(0) { $0 + value($1) } }
        return """
            \(table("steps", Cell.Step.allCases, { $0.rawValue }, { $0.step }))
            \(table("faults", Cell.Fault.allCases, { $0.rawValue }, { $0.fault }))
            matrix: runs \(reports.count), faults injected \(sum { $0.unexercised.isEmpty ? 1 : 0 }), \
            acknowledged \(sum { $0.totals.acknowledged }), refused \(sum { $0.totals.refused }), \
            firings \(sum { $0.judgement.firings }), delivered \(sum { $0.judgement.delivered }), \
            lost \(sum { $0.judgement.lost.count }), \
            duplicated \(sum { $0.judgement.doubled.count + $0.judgement.doubledAfterRefusal.count }); expected of these: \
            lost \(sum { ExpectedLoss.of($0.cell.fault).lost ? $0.judgement.lost.count : 0 }), duplicated \
            \(sum { ExpectedLoss.of($0.cell.fault).doubledAfterRefusal ? $0.judgement.doubledAfterRefusal.count : 0 })
            """
    }

    @Test func theSliceHasEveryStepAndEveryFault() {
        let slice = CellTable.slice
        #expect(Set(slice.map(\.step)) == Set(Cell.Step.allCases))
        #expect(Set(slice.map(\.fault)) == Set(Cell.Fault.allCases))
        for store in Cell.Store.allCases { #expect(slice.filter { $0.store == store }.count >= 8) }
        for sink in Cell.SinkKind.allCases { #expect(slice.filter { $0.sink == sink }.count >= 6) }
        for count in [1, 3] { #expect(slice.filter { $0.senders == count }.count >= 8) }
        for count in [1, 2] { #expect(slice.filter { $0.hosts == count }.count >= 8) }
        #expect(slice.allSatisfy(CellTable.exists))
        for cell in CellTable.all { #expect(Cell(cell.description) == cell) }
        // Each reason is one for some cell that would be there without it.
        for absence in CellTable.absent { #expect(!absence.why.isEmpty) }
    }
}
