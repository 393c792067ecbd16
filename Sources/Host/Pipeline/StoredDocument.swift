import CLZ4

/// A signal's document as the store keeps it: as it is, or where it may have to wait for its sinks, as an LZ4 block behind the byte 1
/// and its length, four bytes, the lowest first.
enum StoredDocument {
    private static let packed: UInt8 = 1
    private static let head = 5
    /// Of a signal at its bounds, with all of its text escaped, there is less.
    private static let longest = 4 << 20

    /// Smaller where that is possible.
    static func pack(_ document: [UInt8]) -> [UInt8] {
        guard document.count <= longest else { return document }
        // What gains less than the head is left as it is.
        let most = document.count - head - 1
        guard most > 0 else { return document }
        let stored = [UInt8](unsafeUninitializedCapacity: head + most) { buffer, count in
            var length = document.count
            for place in 0..<head {
                buffer[place] = place == 0 ? packed : UInt8(truncatingIfNeeded: length)
                if place > 0 { length >>= 8 }
            }
            // SAFETY: reads `document`, and writes at most `most` bytes behind the head.
            let written = document.withUnsafeBytes { from in
                buffer[head...].withMemoryRebound(to: CChar.self) { to in
                    LZ4_compress_default(
                        from.baseAddress?.assumingMemoryBound(to: CChar.self), to.baseAddress, Int32(document.count),
                        Int32(most))
                }
            }
            count = written > 0 ? head + Int(written) : 0
        }
        return stored.isEmpty ? document : stored
    }

    /// Nil when it is no document.
    static func unpack(_ stored: [UInt8]) -> [UInt8]? {
        guard stored.first == packed else { return stored }
        guard stored.count > head else { return nil }
        let length = stored[1..<head].reversed().reduce(0) { $0 << 8 | Int($1) }
        // LZ4 makes of no byte more than 255.
        guard length > 0, length <= min(longest, (stored.count - head) * 255) else { return nil }
        let document = [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
            // SAFETY: reads what is behind the head, and writes at most `length` bytes.
            let written = stored.withUnsafeBytes { from in
                buffer.withMemoryRebound(to: CChar.self) { to in
                    LZ4_decompress_safe(
                        from.baseAddress?.advanced(by: head).assumingMemoryBound(to: CChar.self), to.baseAddress,
                        Int32(stored.count - head), Int32(length))
                }
            }
            count = max(0, Int(written))
        }
        return document.count == length ? document : nil
    }
}
