import NIOCore

/// The other side of a connection, as far as limits tell clients apart: an IPv4 address, or the /64 of an IPv6 address,
/// because whoever has one address of such a network has all of them.
struct PeerAddress: Hashable, Sendable {
    private let high: UInt64
    private let low: UInt64
    private static let isIPv4: UInt64 = 1 << 32

    /// - Parameter address: nil is an address too: the connections without one share a limit.
    init(_ address: SocketAddress?) {
        switch address {
        case .v4?: (high, low) = (0, Self.word(of: address, at: 4, as: UInt32.self) | Self.isIPv4)
        case .v6?:
            let (first, second) = (
                Self.word(of: address, at: 8, as: UInt64.self), Self.word(of: address, at: 16, as: UInt64.self)
            )
            // ::ffff:a.b.c.d
            if first == 0, second & 0xffff_ffff == 0xffff_0000 {
                (high, low) = (0, second >> 32 | Self.isIPv4)
            } else {
                (high, low) = (first, 0)
            }
        default: (high, low) = (0, 0)
        }
    }

    /// - Parameter offset: of the address in a sockaddr_in is 4; in a sockaddr_in6 it is 8.
    private static func word<Word: FixedWidthInteger>(
        of address: SocketAddress?, at offset: Int, as: Word.Type
    ) -> UInt64 {
        address?.withSockAddr { start, size in
            // SAFETY: within the size, which is that of the structure named above.
            let bytes = UnsafeRawBufferPointer(start: start, count: size)
            return UInt64(bytes.loadUnaligned(fromByteOffset: offset, as: Word.self).littleEndian)
        } ?? 0
    }
}
