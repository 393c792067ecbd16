internal import Glibc

/// The memory that this process may use: the machine's, or what a control group leaves of it.
enum MachineMemory {
    /// - Parameter root: where `/proc` and `/sys` are looked for.
    /// - Returns: bytes; nil when the system does not say.
    static func bytes(root: String = "") -> Int? {
        (groupLimits(root) + [total(root)].compactMap(\.self)).min()
    }

    private static func total(_ root: String) -> Int? {
        for line in text(root + "/proc/meminfo").split(separator: "\n") where line.hasPrefix("MemTotal:") {
            return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 1_024 }
        }
        return nil
    }

    /// The limits of the process's group and of all above it, of both versions. In a container the path may be one of the machine's, which
    /// is not there: the top is the container's own then.
    private static func groupLimits(_ root: String) -> [Int] {
        var files: [String] = []
        for line in text(root + "/proc/self/cgroup").split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let isSecond = parts[1].isEmpty
            guard isSecond || parts[1].split(separator: ",").contains("memory") else { continue }
            let base = root + "/sys/fs/cgroup" + (isSecond ? "" : "/memory")
            var path = parts[2]
            while true {
                files.append(base + path + (isSecond ? "/memory.max" : "/memory.limit_in_bytes"))
                guard let slash = path.lastIndex(of: "/") else { break }
                path = path[..<slash]
            }
        }
        // `max`, and the huge number of version 1, are no limits.
        return files.compactMap { Int(text($0).filter { !$0.isWhitespace }) }.filter { $0 > 0 && $0 < 1 << 60 }
    }

    private static func text(_ path: String) -> String {
        guard let file = fopen(path, "re") else { return "" }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 16_384)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}
