import SignalKit

/// Annotations of a signal, made shorter until its object can be stored. What is cut off is marked.
struct ShortenedAnnotations {
    /// bytes below which none is cut
    static let least = 128

    private(set) var values: [String: String]
    private let lengths: [String: Int]
    private var longest: Int

    init(_ labels: Labels) {
        values = Dictionary(labels.entries.map { ($0.name, $0.value) }) { $1 }
        lengths = values.mapValues { $0.utf8.count }
        longest = lengths.values.max() ?? 0
    }

    /// Halves the longest ones.
    /// - Returns: false when all are short already.
    mutating func shorten() -> Bool {
        longest /= 2
        guard longest >= Self.least else { return false }
        for (name, value) in values where value.utf8.count > longest {
            var end = value.utf8.index(value.startIndex, offsetBy: longest)
            while end.samePosition(in: value.unicodeScalars) == nil { end = value.utf8.index(before: end) }
            values[name] = "\(value[..<end])… (shortened, \(lengths[name] ?? 0) bytes)"
        }
        return true
    }
}
