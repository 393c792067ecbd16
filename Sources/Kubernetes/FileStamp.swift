internal import Glibc
internal import Synchronization

/// What tells whether a file has changed since it was read.
struct FileStamp: Hashable, Sendable {
    private let inode, seconds, nanoseconds, size: Int

    /// Nil when there is no such file.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        inode = Int(status.st_ino)
        (seconds, nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
        size = Int(status.st_size)
    }
}

/// Reads files and remembers their stamps, each taken before its file is read: a change in between is seen later.
struct FileReading: Sendable {
    static let longest = 1 << 20
    private(set) var stamps: [String: FileStamp?] = [:]

    mutating func bytes(_ path: String, _ what: String) throws(KubernetesError) -> [UInt8] {
        stamps[path] = FileStamp(path)
        guard let file = fopen(path, "re") else {
            let reason = String(cString: strerror(errno))  // SAFETY: copied before anything else can change it
            throw KubernetesError(.credentials, "can't read \(what) from \(path): \(reason)")
        }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 8 << 10)
        while case let count = fread(&part, 1, part.count, file), count > 0 {
            bytes += part[..<count]
            guard bytes.count <= Self.longest else {
                throw KubernetesError(.credentials, "\(path) is longer than 1 MiB")
            }
        }
        guard !bytes.isEmpty else { throw KubernetesError(.credentials, "\(path) is empty") }
        return bytes
    }
}

/// What was read from files, and is read again when one of them has changed.
final class Remembered<Value: Sendable>: Sendable {
    private let known = Mutex<(stamps: [String: FileStamp?], value: Value)?>(nil)

    func value(_ read: (inout FileReading) throws(KubernetesError) -> Value) throws(KubernetesError) -> Value {
        if let known = known.withLock({ $0 }), known.stamps.allSatisfy({ FileStamp($0.key) == $0.value }) {
            return known.value
        }
        var reading = FileReading()
        let value = try read(&reading)
        let stamps = reading.stamps
        known.withLock { $0 = (stamps, value) }
        return value
    }
}
