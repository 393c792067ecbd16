import TestSupport

/// What became of what was acknowledged, by what the senders sent: identities and their firings' numbers.
struct Judgement: Sendable {
    var firings = 0
    var delivered = 0
    /// Acknowledged, and neither in the sink nor among the dead letters; or ended, and not shown as ended.
    var lost: [String] = []
    /// More than one object, more than one episode, or more than once called new.
    var doubled: [String] = []
    /// An id twice in one file.
    var repeated: [String] = []
    /// In the sink, and never sent.
    var foreign: [String] = []
}

enum Oracle {
    /// - Parameter letters: all dead letters, as text.
    static func judge(
        _ entries: [Firing: Ledger.Entry], sent: Set<Firing>, _ shown: [Shown], letters: String, _ sink: Cell.SinkKind
    ) -> Judgement {
        var judgement = Judgement()
        let byFiring = Dictionary(grouping: shown, by: \.firing)
        for (firing, entry) in entries.sorted(by: { $0.key.description < $1.key.description }) {
            judgement.firings += 1
            let mine = byFiring[firing] ?? []
            let buried = letters.contains(firing.description)
            if mine.isEmpty {
                if !buried { judgement.lost.append("\(firing)") }
            } else {
                judgement.delivered += 1
                let last = mine.max { $0.version < $1.version }
                if entry.isEndAcknowledged, last?.isResolved == false, !buried {
                    judgement.lost.append("the end of \(firing)")
                }
            }
            if entry.accepted > 1 { judgement.doubled.append("\(firing) was new \(entry.accepted) times") }
            let episodes = Set(mine.map(\.episode))
            if sink == .kubernetes, mine.count > 1 {
                judgement.doubled.append("\(firing) has \(mine.count) objects: \(mine.map(\.id))")
            } else if episodes.count > 1 {
                judgement.doubled.append("\(firing) has episodes \(episodes.sorted())")
            }
        }
        for (file, lines) in Dictionary(grouping: shown.filter { $0.file != nil }, by: \.file) {
            let ids = Dictionary(grouping: lines, by: \.id).filter { $1.count > 1 }
            judgement.repeated += ids.keys.map { "\($0) in file \(file ?? 0)" }
        }
        judgement.foreign = Set(shown.map(\.firing)).subtracting(sent).map(\.description).sorted()
        return judgement
    }

    /// Whether everything acknowledged has arrived.
    static func isSettled(_ entries: [Firing: Ledger.Entry], _ shown: [Shown]) -> Bool {
        judge(entries, sent: [], shown, letters: "", .jsonl).lost.isEmpty
    }
}
