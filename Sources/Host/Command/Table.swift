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
    /// Control characters as Unicode escapes.
    var printable: String {
        var out = ""
        for scalar in unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator:
                out += "\\u{\(String(scalar.value, radix: 16))}"
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
