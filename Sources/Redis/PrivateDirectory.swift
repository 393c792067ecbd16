internal import Glibc

/// A directory of this user alone. What is found looser is tightened; what belongs to another user, or leads elsewhere, is an error.
enum PrivateDirectory {
    private static let mode = mode_t(0o700)
    private static let fileMode = mode_t(0o600)

    /// - Parameters:
    ///   - path: no link leads to it: it is given as `realpath` returns it.
    ///   - folders: names of directories in it whose files must be private too.
    static func secure(_ path: String, folders: [String]) throws(EmbeddedRedisError) {
        let directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard directory >= 0 else { throw failure("can't open the directory \(path): \(reason())") }
        defer { close(directory) }
        try own(directory, path)
        for name in try names(in: directory, path) {
            let place = "\(path)/\(name)"
            var status = stat()
            // A file that has gone since, of a server that was left behind and still works.
            guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFLNK:
                throw failure(
                    "\(place) is a symbolic link, which is not followed: remove it, or put a file in its place")
            case S_IFDIR where folders.contains(name): try secure(place, folders: [])
            case S_IFREG:
                guard !folders.contains(name) else { throw failure("\(place) is not a directory: remove it") }
                guard status.st_mode & 0o077 != 0 else { continue }
                guard status.st_uid == geteuid() else { throw foreign(place, status.st_uid) }
                // No link, and nobody else can put one in its place by now.
                guard fchmodat(directory, name, fileMode, 0) == 0 || errno == ENOENT else {
                    throw failure("can't make \(place) private: \(reason())")
                }
            case S_IFDIR, S_IFSOCK: break
            default: throw failure("\(place) is neither a file nor a directory: remove it")
            }
        }
    }

    private static func own(_ directory: Int32, _ path: String) throws(EmbeddedRedisError) {
        var status = stat()
        guard fstat(directory, &status) == 0 else { throw failure("can't read \(path): \(reason())") }
        guard status.st_uid == geteuid() else { throw foreign(path, status.st_uid) }
        guard status.st_mode & 0o077 != 0 else { return }
        guard fchmod(directory, mode) == 0 else { throw failure("can't make \(path) private: \(reason())") }
    }

    private static func names(in directory: Int32, _ path: String) throws(EmbeddedRedisError) -> [String] {
        // closedir closes its descriptor.
        let copy = fcntl(directory, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0, let stream = fdopendir(copy) else {
            let why = reason()
            if copy >= 0 { close(copy) }
            throw failure("can't read the directory \(path): \(why)")
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            // SAFETY: the name ends with a NUL within the field, and is copied before the next call.
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: $0.pointee)) {
                    String(cString: $0)
                }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    private static func foreign(_ path: String, _ owner: uid_t) -> EmbeddedRedisError {
        failure(
            "\(path) belongs to user \(owner), and this process runs as user \(geteuid()): "
                + "give state.redis.embedded a directory of its own, or change the owner")
    }

    private static func failure(_ message: String) -> EmbeddedRedisError { EmbeddedRedisError(.directory, message) }
}
