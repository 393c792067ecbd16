import Glibc

/// The few calls that a proxy makes on its sockets. None of them blocks.
enum WireSocket {
    static func listen(on port: Int) throws -> Int32 {
        let descriptor = try stream()
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard named(port, { bind(descriptor, $0, $1) }) == 0, Glibc.listen(descriptor, 128) == 0 else {
            let why = reason()
            close(descriptor)
            throw TestFailure("can't listen on port \(port): \(why)")
        }
        return descriptor
    }

    /// Nil when nobody waits.
    static func accept(_ listener: Int32) -> Int32? {
        let descriptor = Glibc.accept(listener, nil, nil)
        guard descriptor >= 0 else { return nil }
        keep(descriptor)
        return hurried(descriptor)
    }

    /// Nil when nobody listens there. A connection to loopback is made at once, or the first write tells.
    static func connect(to port: Int) -> Int32? {
        guard let descriptor = try? stream() else { return nil }
        if named(port, { Glibc.connect(descriptor, $0, $1) }) == 0 || errno == EINPROGRESS {
            return hurried(descriptor)
        }
        close(descriptor)
        return nil
    }

    enum Piece { case bytes([UInt8]), nothing, end, reset }

    static func read(_ descriptor: Int32) -> Piece {
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        if count > 0 { return .bytes(Array(bytes[..<count])) }
        if count == 0 { return .end }
        // One that is still being connected has nothing to say.
        return [EAGAIN, EINTR, ENOTCONN].contains(errno) ? .nothing : .reset
    }

    /// How much was taken; nil when the other side is gone.
    static func write(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> Int? {
        let count = bytes.withUnsafeBytes {
            send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
        if count >= 0 { return count }
        return errno == EAGAIN || errno == EINTR ? 0 : nil
    }

    static func endWriting(_ descriptor: Int32) { shutdown(descriptor, Int32(SHUT_WR)) }

    static func reset(_ descriptor: Int32) {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
        close(descriptor)
    }

    /// A pipe whose reading end is ready once something was written to the other.
    static func wakes() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw TestFailure("no pipe: \(reason())") }
        for end in ends { keep(end) }
        return (ends[0], ends[1])
    }

    /// For this process alone, and without blocking it.
    private static func keep(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    }

    private static func stream() throws -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_INET, type, 0)
        guard descriptor >= 0 else { throw TestFailure("no socket: \(reason())") }
        return descriptor
    }

    /// Small pieces go at once.
    private static func hurried(_ descriptor: Int32) -> Int32 {
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        return descriptor
    }

    private static func named(
        _ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32  // SAFETY: not kept by any caller
    ) -> Int32 {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = in_port_t(port).bigEndian
        name.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        // SAFETY: every socket address starts as a sockaddr does, and the size says where it ends.
        return withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, size) }
        }
    }
}
