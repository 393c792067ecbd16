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
    /// An array: a buffer is asked for its storage at each write, and there are dozens.
    private var encoded: [UInt8] = []

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

    /// Answers 1 or 0 for each.
    static func exists(_ scripts: [RedisScript]) -> RedisCommand {
        var command = RedisCommand("SCRIPT", "EXISTS")
        for script in scripts { command.add(script.sha1) }
        return command
    }

    public mutating func add(_ text: String) {
        begin(text.utf8.count)
        encoded.append(contentsOf: text.utf8)
        end()
    }

    public mutating func add(_ bytes: [UInt8]) {
        begin(bytes.count)
        encoded.append(contentsOf: bytes)
        end()
    }

    /// As decimal digits.
    public mutating func add(_ number: Int64) { add(String(number)) }

    /// Room for arguments that are still to be added, so that it is not made again and again.
    public mutating func reserve(_ bytes: Int) { encoded.reserveCapacity(encoded.count + bytes) }

    private mutating func begin(_ length: Int) {
        words += 1
        encoded.append(UInt8(ascii: "$"))
        Self.write(length, to: &encoded)
        end()
    }

    private mutating func end() {
        encoded.append(UInt8(ascii: "\r"))
        encoded.append(UInt8(ascii: "\n"))
    }

    private static func write(_ count: Int, to bytes: inout [UInt8]) {
        if count < 10 {
            bytes.append(UInt8(ascii: "0") + UInt8(count))
        } else {
            bytes.append(contentsOf: String(count).utf8)
        }
    }

    /// Of its arguments.
    package var byteCount: Int { encoded.count }

    func write(to buffer: inout ByteBuffer) {
        var head = [UInt8(ascii: "*")]
        Self.write(words, to: &head)
        head.append(UInt8(ascii: "\r"))
        head.append(UInt8(ascii: "\n"))
        buffer.writeBytes(head)
        buffer.writeBytes(encoded)
    }

    static func encode(_ commands: [RedisCommand]) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(commands.reduce(0) { $0 + $1.encoded.count + 16 })
        for command in commands { command.write(to: &buffer) }
        return buffer
    }
}
