import SignalKit

/// Annotations within the bounds of a signal. They are prose: a text that is too long is shortened and says so, since it is no reason
/// to hold an alert back.
enum Annotations {
    /// Tells how many annotations were left out.
    static let leftOut = "portcullis_annotations_left_out"

    /// A text of at most `longest` bytes, cut between two characters.
    // SAFETY: the buffer is read here and not kept; it holds UTF-8.
    static func text(_ utf8: UnsafeBufferPointer<UInt8>, longest: Int = Signal.Bounds.annotationValue) -> String {
        guard utf8.count > longest else { return String(decoding: utf8, as: UTF8.self) }
        let mark = "… [shortened from \(utf8.count) bytes]"
        let isMarked = mark.utf8.count <= longest
        var end = isMarked ? longest - mark.utf8.count : longest
        while end > 0, utf8[end] & 0xC0 == 0x80 { end -= 1 }
        return String(decoding: utf8[..<end], as: UTF8.self) + (isMarked ? mark : "")
    }

    /// Those of `entries` that a signal with `labels` has room for, shortened where it must be. Names are unique.
    /// - Parameter unread: how many more the alert has.
    /// - Throws: `SignalError` for an empty name.
    static func fitting(
        _ entries: [Labels.Entry], beside labels: Labels, unread: Int = 0
    ) throws(SignalError) -> Labels {
        var kept = entries.filter { $0.name.utf8.count <= Signal.Bounds.labelName }
        if unread > 0 || kept.count < entries.count || kept.count > Signal.Bounds.labels {
            kept.removeAll { $0.name == leftOut }
            kept = Array(kept.prefix(Signal.Bounds.labels - 1))
            kept.append(.init(leftOut, String(entries.count + unread - kept.count)))
        }
        let room = Signal.Bounds.whole - size(labels.entries)
        if size(kept) > room || kept.contains(where: { $0.value.utf8.count > Signal.Bounds.annotationValue }) {
            kept = shortened(kept, room)
        }
        return try Labels(kept, longestValue: Signal.Bounds.annotationValue)
    }

    private static func size(_ entries: [Labels.Entry]) -> Int {
        entries.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
    }

    /// The longest are cut to one length, the others stay.
    private static func shortened(_ entries: [Labels.Entry], _ room: Int) -> [Labels.Entry] {
        var left = room - entries.reduce(0) { $0 + $1.name.utf8.count }
        guard left >= 0 else { return [] }
        var longest = Signal.Bounds.annotationValue
        let lengths = entries.map { min($0.value.utf8.count, longest) }.sorted()
        for (place, length) in lengths.enumerated() {
            let share = left / (lengths.count - place)
            guard length <= share else {
                longest = share
                break
            }
            left -= length
        }
        return entries.map { entry in
            var value = entry.value
            // SAFETY: the buffer is read in the closure.
            return .init(entry.name, value.withUTF8 { text($0, longest: longest) })
        }
    }
}
