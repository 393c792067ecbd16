/// The package that these tests are part of.
public enum Repository {
    /// The folder of Package.swift.
    public static let root: String = {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        return parts.dropLast(3).joined(separator: "/")
    }()

    public static func path(_ relative: String) -> String { root + "/" + relative }

    public static func text(_ relative: String) throws -> String {
        guard let text = Files.text(path(relative)) else {
            throw TestFailure("there is no \(relative) in the repository")
        }
        return text
    }

    /// Every file that belongs to the repository: no builds, no run-time state, nothing hidden but what is named.
    public static func files() -> [String] {
        Files.tree(root) { path in
            let name = path.split(separator: "/").last.map(String.init) ?? path
            if [".ci", ".swift-format", ".gitignore"].contains(name) { return false }
            return name.hasPrefix(".") || name == "var" || name == "Package.resolved" || name.hasSuffix(".log")
        }
    }
}
