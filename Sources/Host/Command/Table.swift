/// Columns of text. Nothing in them moves a terminal's cursor: what senders wrote is shown, not obeyed.
struct Table {
    let head: [String]
    /// Columns that are numbers stand to the right.
    var numbers: Set<Int> = []
    private(set) var rows: [[String]] = []

    init(_ head: [String], numbers: Set<Int> = []) { (self.head, self.numbers) = (head, numbers) }

    mutating func add(_ cells: String...) { rows.append(cells.map(\.printable)) }

    /// - Parameter columns: where the last column is cut; nil: nowhere.
    func lines(columns: Int? = nil) -> [String] {
        let all = [head] + rows
        let widths = head.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { cells in
            let line = cells.enumerated().map { column, cell in
                let blank = String(repeating: " ", count: widths[column] - cell.count)
                return numbers.contains(column) ? blank + cell : cell + blank
            }.joined(separator: "  ").trimmedEnd
            return line.cut(to: columns)
        }
    }
}

extension String {
    /// On one line: control characters and those that turn the direction of writing as Unicode escapes.
    var printable: String { escaping { "\\u{\(String($0.value, radix: 16))}" } }

    /// The same with its line breaks kept.
    var printableLines: String { escaping { $0 == "\n" ? "\n" : "\\u{\(String($0.value, radix: 16))}" } }

    /// The same of a JSON text, which stays one: outside of strings it has none of them but white space.
    var printableJSON: String {
        escaping { scalar in
            if "\n\r\t".unicodeScalars.contains(scalar) { return scalar == "\n" ? "\n" : " " }
            return scalar.utf16.map { unit in
                let digits = String(unit, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }.joined()
        }
    }

    private func escaping(_ escape: (Unicode.Scalar) -> String) -> String {
        var out = ""
        for scalar in unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: out += escape(scalar)
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    func cut(to columns: Int?) -> String {
        guard let columns, columns > 1, count > columns else { return self }
        return prefix(columns - 1) + "…"
    }

    fileprivate var trimmedEnd: String {
        var text = self
        while text.last == " " { text.removeLast() }
        return text
    }
}
