import Glibc

/// Whole files, without Foundation.
public enum Files {
    public static func bytes(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var all: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&piece, 1, piece.count, file)
            if count == 0 { return ferror(file) == 0 ? all : nil }
            all += piece[..<count]
        }
    }

    public static func text(_ path: String) -> String? { bytes(path).map { String(decoding: $0, as: UTF8.self) } }

    /// The lines that are whole: what follows the last line break is not one yet.
    public static func lines(_ path: String) -> [String] {
        guard let text = text(path), let end = text.utf8.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
        return text[..<end].split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    public static func write(_ bytes: [UInt8], to path: String) throws {
        guard let file = fopen(path, "we") else { throw TestFailure("can't write \(path): \(reason())") }
        let count = fwrite(bytes, 1, bytes.count, file)
        guard fclose(file) == 0, count == bytes.count else { throw TestFailure("can't write \(path): \(reason())") }
    }

    public static func write(_ text: String, to path: String) throws { try write(Array(text.utf8), to: path) }

    public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    public static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Names in a directory, sorted, without `.` and `..`; empty when there is no such directory.
    public static func names(in directory: String) -> [String] {
        guard let open = opendir(directory) else { return [] }
        defer { closedir(open) }
        var names: [String] = []
        while let entry = readdir(open) {
            // SAFETY: the entry is valid until the next readdir of this directory, and its name ends with a zero.
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Every file below `directory`, as paths relative to it, sorted. Does not follow symbolic links, and leaves
    /// out what `skip` says of a relative path, a directory with all its content.
    public static func tree(_ directory: String, skip: (String) -> Bool = { _ in false }) -> [String] {
        func walk(_ relative: String) -> [String] {
            var found: [String] = []
            for name in names(in: relative.isEmpty ? directory : directory + "/" + relative) {
                let path = relative.isEmpty ? name : relative + "/" + name
                if skip(path) { continue }
                var status = stat()
                guard lstat(directory + "/" + path, &status) == 0 else { continue }
                if status.st_mode & S_IFMT == S_IFDIR { found += walk(path) } else { found.append(path) }
            }
            return found
        }
        return walk("")
    }

    /// Removes a file, or a directory with all it holds. Does not follow symbolic links.
    public static func remove(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            unlink(path)
            return
        }
        for name in names(in: path) { remove(path + "/" + name) }
        rmdir(path)
    }
}

/// A directory under the system's temporary one that goes away with its owner. Its path is short enough for a
/// unix socket below it (108 bytes).
public final class TemporaryDirectory: Sendable {
    public let path: String

    public init() throws {
        var template = Array("/tmp/portcullis-test.XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw TestFailure("no temporary directory: \(reason())") }
        path = String(cString: made)
    }

    deinit { Files.remove(path) }

    public func file(_ name: String) -> String { path + "/" + name }
}
