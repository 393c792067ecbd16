import Glibc

/// A connected stream socket with deadlines. Blocking: call it on a thread of its own.
final class Socket {
    enum Address {
        case loopback(port: Int)
        case unix(path: String)
    }

    private let descriptor: Int32
    private let deadline: ContinuousClock.Instant

    /// - Parameter source: the last byte of the own address, 127.0.0.`source`.
    init(to address: Address, source: UInt8? = nil, timeout: Duration) throws {
        deadline = .now + timeout
        switch address {
        case .loopback(let port):
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            if let source {
                var own = Self.loopback(0, last: source)
                let descriptor = descriptor
                guard Self.withSockaddr(&own, { bind(descriptor, $0, $1) }) == 0 else {
                    throw TestFailure("can't be 127.0.0.\(source): \(reason())")
                }
            }
            var name = Self.loopback(port)
            try connect(&name)
        case .unix(let path):
            descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            var name = sockaddr_un()
            name.sun_family = sa_family_t(AF_UNIX)
            let bytes = Array(path.utf8)
            guard bytes.count < MemoryLayout.size(ofValue: name.sun_path) else {
                throw TestFailure("\(path) is too long for a socket's address")
            }
            // SAFETY: checked against the field's size above; the field is zeroed, so the name ends with a zero.
            withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: bytes) }
            try connect(&name)
        }
    }

    deinit { close(descriptor) }

    /// Gives up both directions with a reset instead of an orderly end.
    func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
    }

    func endWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Writes all of it, or stops early when the other side has answered or gone: servers refuse a body without
    /// reading it to its end.
    /// - Returns: whether all was written.
    @discardableResult
    func write(_ bytes: [UInt8]) throws -> Bool {
        var sent = 0
        while sent < bytes.count {
            let ready = try wait(for: Int16(POLLIN) | Int16(POLLOUT))
            if ready & Int16(POLLIN) != 0 { return false }
            // SAFETY: within the array's bounds, for the duration of the call.
            let count = bytes.withUnsafeBytes {
                send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count > 0 { sent += count } else if errno != EAGAIN && errno != EINTR { return false }
        }
        return true
    }

    /// Writes what the connection takes at once, whether or not there is an answer to read.
    /// - Returns: how many bytes that were; nil when the other side has closed or reset the connection.
    func push(_ bytes: [UInt8]) -> Int? {
        var sent = 0
        while sent < bytes.count {
            // SAFETY: within the array's bounds, for the duration of the call.
            let count = bytes.withUnsafeBytes {
                send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count > 0 { sent += count } else if errno == EAGAIN { return sent } else if errno != EINTR { return nil }
        }
        return sent
    }

    /// The next bytes; empty at the end of the stream.
    func read(upTo most: Int = 1 << 16) throws -> [UInt8] {
        while true {
            _ = try wait(for: Int16(POLLIN))
            var bytes = [UInt8](repeating: 0, count: most)
            let count = recv(descriptor, &bytes, most, Int32(MSG_DONTWAIT))
            if count >= 0 { return Array(bytes[..<count]) }
            guard errno == EAGAIN || errno == EINTR else { throw TestFailure("connection lost: \(reason())") }
        }
    }

    static func canListen(onLoopbackPort port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var name = loopback(port)
        return withSockaddr(&name) { bind(descriptor, $0, $1) } == 0
    }

    private static func loopback(_ port: Int, last: UInt8 = 1) -> sockaddr_in {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = in_port_t(port).bigEndian
        name.sin_addr.s_addr = in_addr_t(0x7f00_0000 + UInt32(last)).bigEndian
        return name
    }

    private func connect<Name>(_ name: inout Name) throws {
        guard descriptor >= 0 else { throw TestFailure("no socket: \(reason())") }
        guard Self.withSockaddr(&name, { Glibc.connect(descriptor, $0, $1) }) == 0 else {
            let why = reason()
            throw TestFailure("can't connect: \(why)")
        }
    }

    private static func withSockaddr<Name, Result>(
        _ name: inout Name, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result  // SAFETY: not kept by any caller
    ) -> Result {
        let size = socklen_t(MemoryLayout<Name>.size)
        // SAFETY: every socket address starts as a sockaddr does, and the size says where it ends.
        return withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, size) }
        }
    }

    private func wait(for events: Int16) throws -> Int16 {
        while true {
            let left = ContinuousClock.now.duration(to: deadline)
            let milliseconds = left.components.seconds * 1_000 + left.components.attoseconds / 1_000_000_000_000_000
            guard milliseconds > 0 else { throw TestFailure("timed out") }
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            let count = poll(&entry, 1, Int32(clamping: milliseconds))
            if count > 0 { return entry.revents }
            if count < 0, errno != EINTR { throw TestFailure("poll: \(reason())") }
        }
    }
}
