import TestSupport

/// What became of what was acknowledged, by what the senders sent: identities and their firings' numbers.
struct Judgement: Sendable {
    var firings = 0
    var delivered = 0
    /// Acknowledged, and neither in the sink nor among the dead letters; or ended, and not shown as ended.
    var lost: [String] = []
    /// More than one object, more than one episode, or more than once called new.
    var doubled: [String] = []
    /// The same of those that were refused before they were acknowledged: the refused one may have been stored whole.
    var doubledAfterRefusal: [String] = []
    /// An id twice in one file.
    var repeated: [String] = []
    /// In the sink, and never sent.
    var foreign: [String] = []
    /// What the sink shows of every identity that something is wrong with.
    var evidence: [String] = []
}

enum Oracle {
    /// - Parameters:
    ///   - entries: what was acknowledged; `sent`: that, and what was not.
    ///   - letters: all dead letters, as text.
    static func judge(
        _ entries: [Firing: Ledger.Entry], sent: Set<Firing>, _ shown: [Shown], letters: String, _ sink: Cell.SinkKind
    ) -> Judgement {
        var judgement = Judgement()
        let byFiring = Dictionary(grouping: shown, by: \.firing)
        for firing in sent.sorted(by: { $0.description < $1.description }) {
            let mine = byFiring[firing] ?? []
            if entries[firing]?.wasRefused ?? true {
                judgement.doubledAfterRefusal += doubled(firing, mine, sink)
            } else {
                judgement.doubled += doubled(firing, mine, sink)
            }
            // What was never acknowledged may be there or not.
            guard let entry = entries[firing] else { continue }
            judgement.firings += 1
            let buried = names(firing, letters)
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
        }
        for (file, lines) in Dictionary(grouping: shown.filter { $0.file != nil }, by: \.file) {
            let ids = Dictionary(grouping: lines, by: \.id).filter { $1.count > 1 }
            judgement.repeated += ids.keys.map { "\($0) in file \(file ?? 0)" }
        }
        let wrong = judgement.lost + judgement.doubled + judgement.doubledAfterRefusal
        for name in Set(sent.map(\.identity)).sorted() where wrong.contains(where: { $0.contains(name + " ") }) {
            for one in shown.filter({ $0.firing.identity == name }).sorted(by: { $0.version < $1.version }) {
                let place = one.file.map { "file \($0)" } ?? one.id
                judgement.evidence.append(
                    "\(one.firing): episode \(one.episode) version \(one.version) "
                        + "\(one.isResolved ? "resolved" : "firing") in \(place)")
            }
        }
        judgement.foreign = Set(shown.map(\.firing)).subtracting(sent).map(\.description).sorted()
        return judgement
    }

    /// Whether a text has the firing as words of their own: that of `A firing 12` is not `A firing 1`.
    private static func names(_ firing: Firing, _ letters: String) -> Bool {
        let isOfWord = { (byte: UInt8) -> Bool in
            UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || byte | 0x20 >= UInt8(ascii: "a")
        }
        return letters.utf8.ranges(of: firing.description.utf8).contains { found in
            !(letters.utf8[..<found.lowerBound].last.map(isOfWord) ?? false)
                && !(letters.utf8[found.upperBound...].first.map(isOfWord) ?? false)
        }
    }

    private static func doubled(_ firing: Firing, _ shown: [Shown], _ sink: Cell.SinkKind) -> [String] {
        let episodes = Set(shown.map(\.episode))
        if sink == .kubernetes {
            return shown.count > 1 ? ["\(firing) has \(shown.count) objects: \(shown.map(\.id))"] : []
        }
        return episodes.count > 1 ? ["\(firing) has episodes \(episodes.sorted())"] : []
    }

    /// Whether everything acknowledged has arrived.
    static func isSettled(_ entries: [Firing: Ledger.Entry], _ shown: [Shown]) -> Bool {
        judge(entries, sent: Set(entries.keys), shown, letters: "", .jsonl).lost.isEmpty
    }
}
