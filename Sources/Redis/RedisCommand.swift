import Crypto
internal import NIOCore

/// A Lua script as the server knows it.
public struct RedisScript: Sendable, Hashable {
    /// For errors and logs.
    public let name: String
    public let text: String
    /// 40 lower-case hex digits, what `EVALSHA` takes.
    public let sha1: String

    public init(name: String, text: String) {
        (self.name, self.text) = (name, text)
        // The server names scripts by SHA-1; nothing here relies on it being hard to collide.
        sha1 = Insecure.SHA1.hash(data: Array(text.utf8)).reduce(into: "") { hex, byte in
            hex += (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
    }
}

/// A command and its arguments, already in RESP.
public struct RedisCommand: Sendable {
    /// Set for `EVALSHA`, so that a `NOSCRIPT` can be healed.
    public private(set) var script: RedisScript?
    /// `WAIT` speaks of the writes before it: when one of those is repeated, it must be too.
    let isBarrier: Bool
    private var words = 0
    /// The arguments as bulk strings, without the `*<count>` line in front.
    private var encoded = ByteBuffer()

    /// `RedisCommand("SET", "key", "value")`
    public init(_ words: String...) {
        isBarrier = words.first == "WAIT" || words.first == "WAITAOF"
        for word in words { add(word) }
    }

    /// Arguments may be added to the result: they are the script's `ARGV`.
    public static func evalsha(
        _ script: RedisScript, keys: [String] = [], arguments: [String] = []
    ) -> RedisCommand {
        var command = evalsha(script, keyCount: keys.count)
        for key in keys { command.add(key) }
        for argument in arguments { command.add(argument) }
        return command
    }

    @_disfavoredOverload
    public static func evalsha(
        _ script: RedisScript, keys: [[UInt8]], arguments: [[UInt8]] = []
    ) -> RedisCommand {
        var command = evalsha(script, keyCount: keys.count)
        for key in keys { command.add(key) }
        for argument in arguments { command.add(argument) }
        return command
    }

    private static func evalsha(_ script: RedisScript, keyCount: Int) -> RedisCommand {
        var command = RedisCommand("EVALSHA", script.sha1)
        command.script = script
        command.add(Int64(keyCount))
        return command
    }

    static func load(_ script: RedisScript) -> RedisCommand { RedisCommand("SCRIPT", "LOAD", script.text) }

    public mutating func add(_ text: String) {
        var text = text
        text.withUTF8 {
            begin($0.count); encoded.writeBytes(UnsafeRawBufferPointer($0))
        }
        end()
    }

    public mutating func add(_ bytes: [UInt8]) {
        begin(bytes.count)
        encoded.writeBytes(bytes)
        end()
    }

    /// As decimal digits.
    public mutating func add(_ number: Int64) { add(String(number)) }

    /// Room for arguments that are still to be added, so that it is not made again and again.
    public mutating func reserve(_ bytes: Int) { encoded.reserveCapacity(minimumWritableBytes: bytes) }

    private mutating func begin(_ length: Int) {
        words += 1
        encoded.writeInteger(UInt8(ascii: "$"))
        encoded.writeDigits(length)
        encoded.writeStaticString("\r\n")
    }

    private mutating func end() { encoded.writeStaticString("\r\n") }

    func write(to buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(ascii: "*"))
        buffer.writeDigits(words)
        buffer.writeStaticString("\r\n")
        buffer.writeImmutableBuffer(encoded)
    }

    static func encode(_ commands: [RedisCommand]) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(commands.reduce(0) { $0 + $1.encoded.readableBytes + 16 })
        for command in commands { command.write(to: &buffer) }
        return buffer
    }
}

extension ByteBuffer {
    /// - Parameter count: not negative.
    fileprivate mutating func writeDigits(_ count: Int) {
        if count < 10 {
            writeInteger(UInt8(ascii: "0") + UInt8(count))
        } else {
            writeString(String(count))
        }
    }
}
