extension ConfigReader {
    /// Reads `8h30m`, `90s`, `500ms`, `1d12h`: numbers with units d, h, m, s, ms, largest first, each once.
    public static func duration(_ text: String) -> Duration? {
        let units: [(String, Int64)] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
        var total: Int64 = 0
        var rest = text[...]
        var allowed = units[...]
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            let name = rest.prefix { $0.isASCII && $0.isLetter }
            rest = rest.dropFirst(name.count)
            guard let count = Int64(digits), let place = allowed.firstIndex(where: { $0.0 == name }) else { return nil }
            let (product, overflow) = count.multipliedReportingOverflow(by: allowed[place].1)
            let (sum, carried) = total.addingReportingOverflow(product)
            guard !overflow, !carried else { return nil }
            total = sum
            allowed = allowed[(place + 1)...]
        }
        return .milliseconds(total)
    }

    /// Writes a duration as `duration(_:)` reads it.
    public static func text(_ duration: Duration) -> String {
        guard duration.milliseconds != 0 else { return "0s" }
        var rest = duration.milliseconds.magnitude
        var out = duration < .zero ? "-" : ""
        let units: [(String, UInt64)] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
        for (unit, size) in units where rest >= size {
            out += "\(rest / size)\(unit)"
            rest %= size
        }
        return out
    }

    /// Reads `64MiB`, `512KiB`, `1GiB`, `4096`.
    public static func byteCount(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let count = Int(digits) else { return nil }
        let factor: Int
        switch text.dropFirst(digits.count) {
        case "", "B": factor = 1
        case "KiB": factor = 1 << 10
        case "MiB": factor = 1 << 20
        case "GiB": factor = 1 << 30
        default: return nil
        }
        let (product, overflow) = count.multipliedReportingOverflow(by: factor)
        return overflow ? nil : product
    }

    /// Writes a size as `byteCount(_:)` reads it.
    public static func byteText(_ count: Int) -> String {
        for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        where count >= size && count % size == 0 {
            return "\(count / size)\(unit)"
        }
        return String(count)
    }
}

/// The known word that `word` most likely meant: at most a third of its letters away (Levenshtein), nil when none is
/// near.
public func nearest(_ word: String, among known: some Sequence<String>) -> String? {
    func distance(_ left: [Character], _ right: [Character]) -> Int {
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let next = a == b ? diagonal : 1 + min(diagonal, row[j], row[j + 1])
                diagonal = row[j + 1]
                row[j + 1] = next
            }
        }
        return row[right.count]
    }
    let letters = Array(word)
    let best = known.map { ($0, distance(letters, Array($0))) }.min { $0.1 < $1.1 }
    guard let best, best.1 <= max(1, max(letters.count, best.0.count) / 3) else { return nil }
    return best.0
}
