import Glibc
import SignalKit

/// A pattern as a shell has it: `Failed*`, `kube-?`. It must fit the whole of a text.
struct ShellPattern: Sendable {
    let text: String

    func fits(_ other: String) -> Bool {
        if text == "*" || text == other { return true }
        // fnmatch reads up to a NUL: the text `prod-`, NUL, `evil` would fit what fits `prod-`. No name in Kubernetes holds one.
        guard !other.utf8.contains(0), !text.utf8.contains(0) else { return false }
        return fnmatch(text, other, 0) == 0
    }
}

extension ConfigReader {
    /// A list of shell patterns. One with a NUL is an error of the file.
    mutating func patterns(
        _ key: String, default fallback: [String], count: ClosedRange<Int>, longest: Int = 1_024
    ) throws(ConfigError) -> [ShellPattern] {
        let texts = try texts(key, default: fallback, count: count, longest: longest)
        if texts.contains(where: { $0.utf8.contains(0) }) { report(key, "a pattern holds a NUL, which no name does") }
        return texts.map(ShellPattern.init)
    }
}
