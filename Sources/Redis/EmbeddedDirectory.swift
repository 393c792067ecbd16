internal import Glibc

/// Where the embedded server keeps its things, and the locks that keep two of anything out of there.
struct EmbeddedDirectory: Sendable {
    /// `sun_path` holds 108 bytes, the terminating zero among them.
    static let longestSocketPath = 107

    /// Absolute, without links as far as it exists.
    let path: String
    let socket: String

    init(_ given: String) {
        path = Self.canonical(given)
        let usual = path + "/redis.sock"
        socket = usual.utf8.count <= Self.longestSocketPath ? usual : Self.shortDirectory(for: path) + "/redis.sock"
    }

    var log: String { path + "/redis.log" }
    var output: String { path + "/redis.out" }
    var pidFile: String { path + "/redis.pid" }

    /// Always the same for a directory, so that the next host finds a server that was left behind: nothing of the
    /// environment goes into it.
    private static func shortDirectory(for path: String) -> String {
        // FNV-1a, 64 bits: a name, not a secret; the directory is checked to be ours.
        let hash = path.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return "/tmp/portcullis-\(geteuid())-\(String(hash, radix: 16))"
    }

    private static func canonical(_ given: String) -> String {
        var head = given.hasPrefix("/") ? given : workingDirectory + "/" + given
        while head.count > 1, head.hasSuffix("/") { head.removeLast() }
        var tail = ""
        while true {
            // SAFETY: realpath with nil allocates what it returns; freed here.
            if let real = realpath(head, nil) {
                defer { free(real) }
                let found = String(cString: real)
                return tail.isEmpty ? found : (found == "/" ? "" : found) + tail
            }
            guard let slash = head.lastIndex(of: "/"), head != "/" else { return head + tail }
            let name = head[head.index(after: slash)...]
            if name != ".", !name.isEmpty { tail = "/" + name + tail }
            head = slash == head.startIndex ? "/" : String(head[..<slash])
        }
    }

    private static var workingDirectory: String {
        // SAFETY: getcwd with nil allocates what it returns; freed here.
        guard let current = getcwd(nil, 0) else { return "" }
        defer { free(current) }
        return String(cString: current)
    }

    /// Makes the directory, with its parents, and the socket's when that is elsewhere. What the directory holds is private then, and
    /// no link leads out of it.
    func make() throws(EmbeddedRedisError) {
        try Self.makeDirectory(path)
        try PrivateDirectory.secure(path, folders: ["appendonlydir"])
        let place = String(socket.dropLast("/redis.sock".count))
        guard place != path else { return }
        try Self.makeDirectory(place)
        // /tmp belongs to everyone: somebody else may have made the directory first.
        var status = stat()
        guard lstat(place, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid(),
            status.st_mode & 0o077 == 0
        else {
            throw EmbeddedRedisError(
                .directory, "\(place), for the socket of \(path), is not a directory of this user alone; remove it")
        }
    }

    private static func makeDirectory(_ path: String) throws(EmbeddedRedisError) {
        var made = ""
        for part in path.split(separator: "/") {
            made += "/" + part
            guard mkdir(made, 0o700) != 0, errno != EEXIST, errno != EROFS, errno != EACCES else { continue }
            throw EmbeddedRedisError(.directory, "can't make the directory \(made): \(reason())")
        }
        guard access(path, W_OK | X_OK) == 0 else {
            throw EmbeddedRedisError(.directory, "can't write in the directory \(path): \(reason())")
        }
    }

    /// The host's own lock; it holds this process's id.
    func lockHost() throws(EmbeddedRedisError) -> FileLock {
        guard let lock = try FileLock(path + "/lock") else {
            let holder = FileLock.read(path + "/lock").map { "process \($0)" } ?? "another process"
            throw EmbeddedRedisError(
                .locked,
                "the directory \(path) is in use by \(holder) (another Portcullis host); stop it or use another directory"
            )
        }
        lock.write(String(getpid()))
        return lock
    }

    /// The server's lock. The server inherits it, so it is held as long as a server lives on this directory, whoever
    /// started it and whatever became of its socket.
    func lockServer() throws(EmbeddedRedisError) -> FileLock? {
        try FileLock(path + "/server.lock", isHandedOn: true)
    }

    /// The last lines of what the server wrote, for an error.
    func lastWords() -> String {
        let text = [output, log].compactMap(Self.tail).filter { !$0.isEmpty }.joined(separator: " | ")
        return text.isEmpty ? "it wrote nothing" : text
    }

    private static func tail(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        fseek(file, max(0, ftell(file) - 600), SEEK_SET)
        var bytes = [UInt8](repeating: 0, count: 600)
        let count = fread(&bytes, 1, bytes.count, file)
        let lines = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n")
        return lines.suffix(3).joined(separator: " | ")
    }
}

/// What the C library says of `errno`.
func reason(_ code: Int32 = errno) -> String {
    // SAFETY: strerror's text is copied before anything else can change it.
    strerror(code).map { String(cString: $0) } ?? "error \(code)"
}

/// An exclusive `flock`. It belongs to the open file: closed with its last copy, in whichever process.
final class FileLock: Sendable {
    let descriptor: Int32
    private let isHandedOn: Bool

    /// Nil when somebody holds it.
    /// - Parameter isHandedOn: a child gets a copy and holds it on, so that it is never given up here, only closed.
    init?(_ path: String, isHandedOn: Bool = false) throws(EmbeddedRedisError) {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else {
            throw EmbeddedRedisError(.directory, "can't open \(path): \(reason())")
        }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            close(file)
            if code == EWOULDBLOCK { return nil }
            throw EmbeddedRedisError(.directory, "can't lock \(path): \(reason(code))")
        }
        descriptor = file
        self.isHandedOn = isHandedOn
    }

    deinit {
        release()
        close(descriptor)
    }

    /// Gives it up for every copy: between a fork and its exec another thread's child has one for a moment.
    func release() {
        if !isHandedOn { flock(descriptor, LOCK_UN) }
    }

    func write(_ text: String) {
        ftruncate(descriptor, 0)
        let bytes = Array(text.utf8)
        // Only for the other host's error message: a short write hurts nobody.
        _ = pwrite(descriptor, bytes, bytes.count, 0)
    }

    /// The number in a lock or pid file.
    static func read(_ path: String) -> Int32? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = fread(&bytes, 1, bytes.count, file)
        return Int32(String(decoding: bytes.prefix(count), as: UTF8.self).filter(\.isWholeNumber))
    }
}
