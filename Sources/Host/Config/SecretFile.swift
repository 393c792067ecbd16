import Glibc

/// A secret that lives in a file of its own and is read again whenever it is asked for, so that a rotated one is
/// found without a restart. Its content never enters an error or a log line.
struct SecretFile: Sendable, Equatable {
    let path: String

    /// What a secret may measure, in bytes: far above any token, far below a file named by mistake.
    static let longest = 65_536

    struct Unreadable: Error, CustomStringConvertible {
        let description: String
    }

    /// The content without the line break that editors leave at the end.
    /// - Throws: `Unreadable` when the file can't be read, is empty or too long.
    func read() throws(Unreadable) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw Unreadable(description: "can't open \(path): \(String(cString: strerror(errno)))")
        }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: Self.longest + 1)
        var filled = 0
        while filled < bytes.count {
            // SAFETY: reads at most what is left of `bytes`.
            let count = bytes.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress! + filled, $0.count - filled) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else {
                throw Unreadable(description: "can't read \(path): \(String(cString: strerror(errno)))")
            }
            if count == 0 { break }
            filled += count
        }
        guard filled <= Self.longest else { throw Unreadable(description: "\(path) is over \(Self.longest) bytes") }
        var text = bytes[..<filled]
        while let last = text.last, last == UInt8(ascii: "\n") || last == UInt8(ascii: "\r") { text.removeLast() }
        guard !text.isEmpty else { throw Unreadable(description: "\(path) is empty") }
        return String(decoding: text, as: UTF8.self)
    }
}
