import TestSupport

/// What came of one cell.
struct CellReport: Sendable {
    let cell: Cell
    let seed: UInt64
    var judgement = Judgement()
    var totals = Ledger.Totals()
    /// Empty when the step was reached and the fault bit.
    var unexercised = ""
    /// Why it could not be run to its end.
    var broken = ""
    var took = Duration.zero

    /// Everything that should not be.
    var failures: [String] {
        let expected = ExpectedLoss.of(cell.fault)
        var found = judgement.foreign.map { "never sent: \($0)" }
        if expected.lost {
            // The one cell where a loss is certain shows that one is seen.
            if judgement.lost.isEmpty { found.append("nothing was lost, where nobody could know of it") }
        } else {
            found += judgement.lost.map { "lost: \($0)" }
        }
        if !expected.doubled { found += judgement.doubled.map { "doubled: \($0)" } }
        if !expected.doubledAfterRefusal {
            found += judgement.doubledAfterRefusal.map { "doubled after a refusal: \($0)" }
        }
        if !expected.repeated { found += judgement.repeated.map { "repeated: \($0)" } }
        found += totals.odd.map { "a sender was answered \($0)" }
        if !unexercised.isEmpty { found.append("not exercised: \(unexercised)") }
        if !broken.isEmpty { found.append("broken: \(broken)") }
        return found
    }

    private static func seconds(_ time: Duration) -> Double {
        ((Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18) * 10).rounded() / 10
    }

    var line: String {
        "\(failures.isEmpty ? "ok  " : "FAIL") \(cell) seed \(seed): exercised \(unexercised.isEmpty ? 1 : 0), "
            + "firings \(judgement.firings), delivered \(judgement.delivered), lost \(judgement.lost.count), "
            + "doubled \(judgement.doubled.count), after a refusal \(judgement.doubledAfterRefusal.count), repeated \(judgement.repeated.count); 2xx \(totals.acknowledged), "
            + "503 \(totals.refused), the slowest after \(Self.seconds(totals.slowest)) s, "
            + "unanswered \(totals.unanswered); \(Self.seconds(took)) s"
    }
}

/// Runs one cell: life before the fault, life around it, life after it, and the judgement.
enum MatrixRun {
    /// A fault may end a session, which takes half a minute with its recovery; a busy machine takes longer.
    static let patience = Duration.seconds(110)
    /// Firings of an identity while the fault is awaited.
    static let most = 14

    static func run(_ cell: Cell, seed: UInt64) async -> CellReport {
        var report = CellReport(cell: cell, seed: seed)
        let (start, ledger) = (ContinuousClock.now, Ledger())
        do {
            let rig = try await prepared(cell, seed)
            do {
                report.unexercised = try await live(rig, ledger, seed)
                try await settle(rig, ledger)
            } catch {
                report.broken = "\(error)"
            }
            report.judgement = Oracle.judge(
                ledger.entries, sent: ledger.sent, try await rig.shown(fresh: true), letters: await rig.letters(),
                cell.sink)
            if !report.broken.isEmpty { report.broken += "\n" + rig.logs }
        } catch {
            report.broken = "\(error)"
        }
        report.totals = ledger.totals
        report.took = start.duration(to: .now)
        return report
    }

    /// A port may be another process's by the time a server takes it: that is tried once more.
    private static func prepared(_ cell: Cell, _ seed: UInt64) async throws -> MatrixRig {
        do { return try await MatrixRig(cell, seed: seed) } catch { return try await MatrixRig(cell, seed: seed) }
    }

    /// - Returns: why the fault was not there, empty when it was.
    private static func live(_ rig: MatrixRig, _ ledger: Ledger, _ seed: UInt64) async throws -> String {
        var random = SeededRandom(seed)
        let injection = Injection(rig, ledger, &random)
        let senders = MatrixSenders(
            hosts: rig.hosts, count: rig.cell.senders, ledger: ledger, deadline: .now + patience)
        try await each(rig) { try await live($0, 1, rig, senders) }
        if let point = Ambush.failPoint(rig.cell) {
            try await rig.hosts[0].stop()
            try await rig.hosts[0].start(["PORTCULLIS_FAILPOINT": point])
            try await rig.hosts[0].awaitOpen()
        }
        let struck = Task { () -> String in
            do {
                try await injection.run()
                return ""
            } catch { return "\(error)" }
        }
        let over = Flag()
        let watch = Task {
            _ = await struck.value
            over.raise()
        }
        let most = rig.cell.sink == .kubernetes ? 100 : 300
        async let stream: Void = senders.stream(rig.prefix, most: most, until: over)
        try await each(rig) { name in
            var number = 2
            repeat {
                try await live(name, number, rig, senders)
                number += 1
            } while !over.isRaised && number <= Self.most
        }
        try await stream
        await watch.value
        try await each(rig) { try await live($0, Self.most + 1, rig, senders) }
        return await struck.value
    }

    private static func each(_ rig: MatrixRig, _ body: @escaping @Sendable (String) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for name in rig.identities { tasks.addTask { try await body(name) } }
            try await tasks.waitForAll()
        }
    }

    /// An identity fires, repeats and ends. It does not fire again before its end is at the sink: an episode that has a
    /// successor is delivered no more.
    private static func live(_ name: String, _ number: Int, _ rig: MatrixRig, _ senders: MatrixSenders) async throws {
        let firing = Firing(name, number)
        try await senders.tell(firing, resolved: false)
        try await senders.tell(firing, resolved: false)
        try await senders.tell(firing, resolved: true)
        let bound: Duration = ExpectedLoss.of(rig.cell.fault).lost ? .seconds(5) : .seconds(90)
        // What does not come is for the oracle to find.
        try? await eventually("the end of \(firing)", within: bound, every: .milliseconds(50)) {
            try await rig.shown().contains { $0.firing == firing && $0.isResolved }
        }
    }

    /// Waits until everything has arrived and nothing waits any more, or until it never will.
    private static func settle(_ rig: MatrixRig, _ ledger: Ledger) async throws {
        let bound: Duration = ExpectedLoss.of(rig.cell.fault).lost ? .seconds(5) : patience
        try? await eventually("empty queues", within: bound, every: .milliseconds(200)) {
            let shown = try await rig.shown()
            guard Oracle.isSettled(ledger.entries, shown) else { return false }
            return await rig.store.waiting(for: rig.sink.name) == 0
        }
    }
}
