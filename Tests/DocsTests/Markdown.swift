import TestSupport

/// What the tests need to read of a Markdown file.
struct Markdown {
    let path: String
    let text: String

    static func all() -> [Markdown] {
        Repository.files().filter { $0.hasSuffix(".md") }.compactMap { path in
            Files.text(Repository.path(path)).map { Markdown(path: path, text: $0) }
        }
    }

    /// Its lines with those inside fences apart.
    private var lines: (prose: [Substring], code: [Substring]) {
        var (prose, code, inside) = ([Substring](), [Substring](), false)
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.drop(while: { $0 == " " }).hasPrefix("```") {
                inside.toggle()
            } else if inside {
                code.append(line)
            } else {
                prose.append(line)
            }
        }
        return (prose, code)
    }

    /// Targets of links and images that are paths of this repository, without their anchors.
    var relativeLinks: [String] {
        var found: [String] = []
        for line in lines.prose {
            for piece in line.split(separator: "](").dropFirst() {
                guard let end = piece.firstIndex(of: ")") else { continue }
                let target = piece[..<end].prefix { $0 != "#" && $0 != " " }
                if !target.isEmpty, !target.contains("://"), !target.hasPrefix("mailto:") {
                    found.append(String(target))
                }
            }
        }
        return found
    }

    /// Words after `make` in code, fenced or between backticks.
    var makeTargets: Set<String> {
        var found: Set<String> = []
        for line in lines.code {
            let words = line.split(separator: " ")
            for (place, word) in words.enumerated() where word == "make" && place + 1 < words.count {
                if place == 0 || ["$", "&&", "sudo"].contains(words[place - 1]) {
                    found.insert(String(words[place + 1]))
                }
            }
        }
        for line in lines.prose {
            for (place, piece) in line.split(separator: "`", omittingEmptySubsequences: false).enumerated()
            where !place.isMultiple(of: 2) {
                let words = piece.split(separator: " ")
                if words.count > 1, words[0] == "make" { found.insert(String(words[1])) }
            }
        }
        return found
    }

    /// The first cell of every row below the heading `title`, without backticks.
    func firstColumn(under title: String) -> [String] {
        var (found, inside) = ([String](), false)
        for line in text.split(separator: "\n") {
            if line.hasPrefix("#") { inside = line.drop { $0 == "#" || $0 == " " } == title }
            guard inside, line.hasPrefix("| `") else { continue }
            found.append(String(line.dropFirst(3).prefix { $0 != "`" }))
        }
        return found
    }
}

/// The names of a Makefile's targets.
func makeTargets(_ makefile: String) -> Set<String> {
    var found: Set<String> = []
    for line in makefile.split(separator: "\n") where line.first?.isLetter == true {
        guard let colon = line.firstIndex(of: ":"), line[line.index(after: colon)...].first != "=" else { continue }
        let name = line[..<colon]
        if name.allSatisfy({ $0.isLetter || $0 == "-" }) { found.insert(String(name)) }
    }
    return found
}
