import FailPoints
import Glibc
import SignalKit

/// A file that grows by whole lines, and its predecessors `path.1`, `path.2`, ….
struct LineFile {
    let path: String
    let maxSize: Int
    /// Predecessors that are kept.
    let keep: Int
    private var descriptor: Int32 = -1
    private var size = 0
    private var history: LineHistory
    private let remembered: Int

    /// - Parameter remembered: fingerprints whose last line is known without a look at the file.
    init(
        path: String, maxSize: Int, keep: Int, remembered: Int = LineHistory.usual
    ) {
        (self.path, self.maxSize, self.keep) = (path, maxSize, keep)
        self.remembered = remembered
        history = LineHistory(most: remembered)
    }

    /// Appends those that are not in the file yet and not older than what is, and syncs.
    /// - Parameter deliveries: each with whether an earlier attempt may have written it.
    /// - Throws: a retryable `SinkError`; then none of them counts as delivered.
    mutating func append(_ deliveries: [(Delivery, again: Bool)]) throws(SinkError) {
        do throws(SinkError) {
            try open()
            history.makeRoom(for: deliveries.count)
            // What carries no episode ends something that only the file may know.
            let unsure = deliveries.filter { ($0.again || $0.0.episode == 0) && !history.knows($0.0.fingerprint) }
            if !unsure.isEmpty {
                try history.learn(of: Set(unsure.map(\.0.fingerprint)), from: recent)
            }
            var lines: [UInt8] = []
            var written: [Delivery] = []
            for (delivery, _) in deliveries where history.wants(delivery) {
                if size + lines.count + delivery.json.count + 1 > maxSize, size + lines.count > 0 {
                    try write(lines)
                    lines = []
                    try rotate()
                }
                lines += delivery.json
                lines.append(UInt8(ascii: "\n"))
                written.append(delivery)
                history.note(delivery)
            }
            try write(lines)
            // Also when nothing was written: a line of an earlier attempt may not be on the disk yet.
            if !written.isEmpty { FailPoint.hit(.sinkWritten) }
            guard fsync(descriptor) == 0 else { throw failure("sync") }
            if !written.isEmpty { FailPoint.hit(.sinkSynced) }
        } catch {
            // What reached the disk is not known: the file is looked at afresh before anything more is said of it.
            close()
            throw error
        }
    }

    mutating func close() {
        if descriptor >= 0 {
            // For every copy: between a fork and its exec a child of another thread has one for a moment.
            flock(descriptor, LOCK_UN)
            Glibc.close(descriptor)
        }
        descriptor = -1
        history = LineHistory(most: remembered)
    }

    /// Bytes of predecessors that are looked through at least: far more than is ever in flight.
    private static let lookedThrough = 64 << 20

    /// The files that may hold what an earlier attempt wrote, oldest first: the current one, the one before it, and when
    /// they are small, more.
    private var recent: [String] {
        var paths = [path]
        var total = 0
        for number in 1...keep where number == 1 || total < Self.lookedThrough {
            var info = stat()
            guard stat("\(path).\(number)", &info) == 0 else { break }
            total += Int(info.st_size)
            paths.append("\(path).\(number)")
        }
        return paths.reversed()
    }

    // MARK: The file

    private func failure(_ doing: String) -> SinkError {
        let code = errno
        let why = String(cString: strerror(code))
        return SinkError(
            wholeSink: code == ENOSPC || code == EDQUOT
                ? .full : code == EACCES || code == EPERM ? .denied : .unreachable,
            "can't \(doing) \(path): \(why)")
    }

    private mutating func open() throws(SinkError) {
        if descriptor >= 0, isStillThere() { return }
        close()
        try makeDirectory()
        // Its group may read it, unless the directory is private, as that of an embedded store is.
        var folder = stat()
        let isPrivate = stat(directory, &folder) == 0 && folder.st_mode & 0o077 == 0
        let opened = Glibc.open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, isPrivate ? 0o600 : 0o640)
        guard opened >= 0 else { throw failure("open") }
        descriptor = opened
        guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
            throw SinkError(
                wholeSink: .refused, "\(path) belongs to another host: give each host a file of its own")
        }
        try cutTornLine()
        try syncDirectory()
    }

    /// Whether the path still names the open file: somebody may have moved it away.
    private func isStillThere() -> Bool {
        var mine = stat()
        var named = stat()
        return fstat(descriptor, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino
            && mine.st_dev == named.st_dev
    }

    /// A line without its end was never acknowledged: it is cut away, and its delivery comes again.
    private mutating func cutTornLine() throws(SinkError) {
        let end = lseek(descriptor, 0, SEEK_END)
        guard end >= 0 else { throw failure("read") }
        var whole = Int(end)
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        search: while whole > 0 {
            let from = max(0, whole - chunk.count)
            let count = pread(descriptor, &chunk, whole - from, off_t(from))
            guard count == whole - from else { throw failure("read") }
            for place in stride(from: count - 1, through: 0, by: -1) where chunk[place] == UInt8(ascii: "\n") {
                whole = from + place + 1
                break search
            }
            whole = from
        }
        if whole < Int(end) {
            guard ftruncate(descriptor, off_t(whole)) == 0 else { throw failure("cut the torn last line of") }
        }
        size = whole
    }

    private mutating func write(_ lines: [UInt8]) throws(SinkError) {
        var done = 0
        while done < lines.count {
            // SAFETY: writes at most what is left of `lines`.
            let count = lines.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + done, $0.count - done) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                let error = failure("write")
                _ = ftruncate(descriptor, off_t(size))
                throw error
            }
            done += count
        }
        size += lines.count
    }

    private mutating func rotate() throws(SinkError) {
        guard fsync(descriptor) == 0 else { throw failure("sync") }
        for number in stride(from: keep - 1, through: 1, by: -1) {
            if rename("\(path).\(number)", "\(path).\(number + 1)") != 0, errno != ENOENT { throw failure("rotate") }
        }
        guard rename(path, "\(path).1") == 0 else { throw failure("rotate") }
        Glibc.close(descriptor)
        descriptor = -1
        let kept = history
        try open()
        history = kept
    }

    private func makeDirectory() throws(SinkError) {
        var made = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/").dropLast() {
            made += "/\(part)"
            if mkdir(made, 0o750) != 0, errno != EEXIST { throw failure("make the directory of") }
        }
    }

    private var directory: String {
        path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    }

    /// A new name is only durable with its directory.
    private func syncDirectory() throws(SinkError) {
        let opened = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard opened >= 0 else { throw failure("open the directory of") }
        defer { Glibc.close(opened) }
        guard fsync(opened) == 0 else { throw failure("sync the directory of") }
    }
}
