import TestSupport
import Testing

/// The oracle sees each thing that may be wrong, and nothing where all is well.
@Suite struct OracleTests {
    private let first = Firing("A", 1)
    private let second = Firing("A", 2)

    private func shown(_ firing: Firing, _ episode: Int, _ version: Int, resolved: Bool = false, file: Int? = 0)
        -> Shown
    {
        Shown(
            firing: firing, isResolved: resolved, episode: "\(episode)", version: version,
            id: "\(firing)-\(episode)-\(version)", file: file)
    }

    private func acknowledged(ended: Bool = true, accepted: Int = 1) -> Ledger.Entry {
        Ledger.Entry(isAcknowledged: true, isEndAcknowledged: ended, accepted: accepted)
    }

    private func judge(
        _ entries: [Firing: Ledger.Entry], _ shown: [Shown], _ letters: String = "", _ sink: Cell.SinkKind = .jsonl
    )
        -> Judgement
    {
        Oracle.judge(entries, sent: Set(entries.keys).union([second]), shown, letters: letters, sink)
    }

    @Test func whatArrivedOnceIsWell() {
        let judgement = judge([first: acknowledged()], [shown(first, 1, 1), shown(first, 1, 2, resolved: true)])
        #expect(judgement.lost.isEmpty && judgement.doubled.isEmpty && judgement.repeated.isEmpty)
        #expect(judgement.firings == 1 && judgement.delivered == 1 && judgement.foreign.isEmpty)
    }

    @Test func whatIsNowhereIsLostUnlessItIsADeadLetter() {
        #expect(judge([first: acknowledged()], []).lost == ["A firing 1"])
        #expect(judge([first: acknowledged()], [], "description: A firing 1\n").lost.isEmpty)
        for other in ["A firing 12", "BA firing 1", "A firing"] {
            #expect(judge([first: acknowledged()], [], "description: \(other)\n").lost == ["A firing 1"])
        }
        // That of another firing is not this one's.
        #expect(judge([first: acknowledged()], [shown(second, 2, 2)]).lost == ["A firing 1"])
    }

    @Test func anEndThatIsNotTheLastWordIsLost() {
        #expect(judge([first: acknowledged()], [shown(first, 1, 1)]).lost == ["the end of A firing 1"])
        let revived = [shown(first, 1, 2, resolved: true), shown(first, 1, 3)]
        #expect(judge([first: acknowledged()], revived).lost == ["the end of A firing 1"])
        #expect(judge([first: acknowledged(ended: false)], [shown(first, 1, 1)]).lost.isEmpty)
    }

    @Test func aSecondEpisodeObjectOrAcceptanceIsADouble() {
        let twice = [shown(first, 1, 1, resolved: true), shown(first, 5, 5, resolved: true, file: 1)]
        #expect(judge([first: acknowledged()], twice).doubled == [#"A firing 1 has episodes ["1", "5"]"#])
        let objects = [shown(first, 1, 1, resolved: true, file: nil), shown(first, 1, 2, resolved: true, file: nil)]
        #expect(judge([first: acknowledged()], objects, "", .kubernetes).doubled.count == 1)
        let once = [shown(first, 1, 1, resolved: true)]
        #expect(judge([first: acknowledged(accepted: 2)], once).doubled == ["A firing 1 was new 2 times"])
        // What nobody was told of may be there, once.
        #expect(judge([:], [shown(second, 2, 2)]).doubledAfterRefusal.isEmpty)
        #expect(judge([:], [shown(second, 2, 2), shown(second, 3, 3)]).doubledAfterRefusal.count == 1)
        var refused = acknowledged()
        refused.wasRefused = true
        #expect(judge([first: refused], twice).doubled.isEmpty)
        #expect(judge([first: refused], twice).doubledAfterRefusal.count == 1)
    }

    @Test func aLineTwiceInOneFileIsRepeatedAndInTwoFilesIsNot() {
        let line = shown(first, 1, 1, resolved: true)
        #expect(judge([first: acknowledged()], [line, line]).repeated.count == 1)
        #expect(judge([first: acknowledged()], [line, shown(first, 1, 1, resolved: true, file: 1)]).repeated.isEmpty)
    }

    @Test func whatNobodySentIsForeign() {
        #expect(judge([first: acknowledged()], [shown(Firing("B", 1), 1, 1)]).foreign == ["B firing 1"])
    }

    @Test func onlyWhatIsExpectedMayBeLost() {
        for fault in Cell.Fault.allCases {
            #expect(ExpectedLoss.of(fault).lost == (fault == .allLost))
            #expect(ExpectedLoss.of(fault).doubled == (fault == .allLost))
            #expect(ExpectedLoss.of(fault).doubledAfterRefusal == (fault == .allLost))
        }
        var report = CellReport(cell: CellTable.slice[0], seed: 1)
        #expect(report.failures.isEmpty)
        report.judgement.lost = ["A firing 1"]
        report.unexercised = "never saw the step"
        #expect(report.failures == ["lost: A firing 1", "not exercised: never saw the step"])
    }
}
