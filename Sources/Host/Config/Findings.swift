import SignalKit

/// What is wrong with a file, and what is odd, gathered while all of it is read.
final class Findings {
    private(set) var errors: [ConfigError] = []
    private(set) var warnings: [ConfigError] = []
    /// Files that can't be used as they are now. Apart from the warnings, which hold for as long as the host runs.
    private(set) var fileWarnings: [ConfigError] = []

    func error(_ path: String, _ mark: ConfigMark?, _ message: String) {
        errors.append(ConfigError(path: path, mark: mark, message))
    }

    func warn(_ path: String, _ mark: ConfigMark?, _ message: String) {
        warnings.append(ConfigError(path: path, mark: mark, message))
    }

    func warnOfFile(_ path: String, _ mark: ConfigMark?, _ message: String) {
        fileWarnings.append(ConfigError(path: path, mark: mark, message))
    }

    func add(_ found: [ConfigError]) { errors += found }

    /// The value, or nil and the error kept: so that one required key does not hide what follows it.
    func attempt<Value>(_ body: () throws(ConfigError) -> Value) -> Value? {
        do {
            return try body()
        } catch {
            errors.append(error)
            return nil
        }
    }
}

/// A file that can't be used.
struct ConfigFailure: Error, Sendable {
    let file: String
    /// By place; at least one.
    let errors: [ConfigError]
    let warnings: [ConfigError]

    init(file: String, errors: [ConfigError], warnings: [ConfigError] = []) {
        self.file = file
        self.errors = errors.withoutEchoes.byPlace
        self.warnings = warnings.byPlace
    }

    /// One line for each error, as compilers write them.
    var lines: [String] { errors.map { $0.line(in: file) } }
}

extension [ConfigError] {
    /// Without what only follows from a mapping that is none: its keys are not there, but that says nothing more.
    fileprivate var withoutEchoes: [ConfigError] {
        let broken = filter { $0.message.hasPrefix("expected a mapping of keys") }
        return filter { error in
            broken.contains(error)
                || !broken.contains { error.path == $0.path || error.path.hasPrefix($0.path + ".") }
        }
    }

    /// Sorted by place in the file, each once; what has no place comes first.
    var byPlace: [ConfigError] {
        var seen: Set<ConfigError> = []
        let start = ConfigMark(line: 0, column: 0)
        return filter { seen.insert($0).inserted }.sorted {
            ($0.mark ?? start, $0.path, $0.message) < ($1.mark ?? start, $1.path, $1.message)
        }
    }
}

extension ConfigError {
    /// `file:line:column: path: message`, without what there is none of.
    func line(in file: String) -> String {
        let place = mark.map { "\(file):\($0.line):\($0.column)" } ?? file
        return path.isEmpty ? "\(place): \(message)" : "\(place): \(path): \(message)"
    }
}
