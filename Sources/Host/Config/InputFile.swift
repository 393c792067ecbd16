import Glibc

/// A whole file that somebody names on the command line, bounded.
enum InputFile {
    struct Unreadable: Error {
        /// Without the file's name.
        let message: String
    }

    /// - Parameters:
    ///   - path: `-` is the standard input.
    ///   - limit: bytes
    static func bytes(_ path: String, limit: Int) throws(Unreadable) -> [UInt8] {
        let file = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw Unreadable(message: "can't open it: \(String(cString: strerror(errno)))") }
        defer { if file != STDIN_FILENO { close(file) } }
        var all: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(file, &piece, piece.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw Unreadable(message: "can't read it: \(String(cString: strerror(errno)))") }
            if count == 0 { return all }
            all += piece[..<count]
            guard all.count <= limit else { throw Unreadable(message: "over \(limit) bytes") }
        }
    }
}
