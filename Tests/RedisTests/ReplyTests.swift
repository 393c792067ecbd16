import NIOCore
import Testing

@testable import Redis

@Suite struct ReplyTests {
    private static let sample =
        "+OK\r\n:-7\r\n$5\r\na\r\nb\0\r\n$-1\r\n*-1\r\n*0\r\n-READONLY no\r\n*3\r\n:1\r\n*2\r\n$0\r\n\r\n+x\r\n*1\r\n$-1\r\n"
    private static let values: [RedisValue] = [
        .status("OK"), .integer(-7), .bytes([97, 13, 10, 98, 0]), .null, .null, .array([]),
        .error(RedisServerError(code: .readOnly, message: "READONLY no")),
        .array([.integer(1), .array([.bytes([]), .status("x")]), .array([.null])]),
    ]

    private func read(_ text: String, chunk: Int, limit: Int = 1 << 20) throws(RedisError) -> [RedisValue] {
        let reader = ReplyReader(limit: limit)
        var out: [RedisValue] = []
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: chunk) {
            try reader.feed(ByteBuffer(bytes: bytes[start..<min(start + chunk, bytes.count)]))
            while let reply = try reader.next() { out.append(reply) }
        }
        return out
    }

    @Test(arguments: [1, 2, 3, 7, 1000]) func repliesAreReadWhereverTheBytesAreCut(chunk: Int) throws {
        #expect(try read(Self.sample, chunk: chunk) == Self.values)
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\n", "$x\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", ":1x\r\n",
    ])
    func bytesThatAreNoReplyAreGarbage(text: String) throws {
        let error = #expect(throws: RedisError.self) { try read(text, chunk: 1000) }
        #expect(error?.code == .garbage)
    }

    @Test func aReplyOverTheLimitIsGarbageAndManyShortOnesAreNot() throws {
        let short = String(repeating: "+OK\r\n", count: 1000)
        #expect(try read(short, chunk: 50, limit: 100).count == 1000)
        let long = "$200\r\n" + String(repeating: "a", count: 200) + "\r\n"
        let error = #expect(throws: RedisError.self) { try read(long, chunk: 50, limit: 100) }
        #expect(error?.code == .garbage)
    }

    @Test func aHugeClaimedLengthTakesNoMemory() throws {
        #expect(try read("*2000000000\r\n:1\r\n", chunk: 1000) == [])
    }

    @Test func theReaderOfHalfAReplyGoesAwayQuietly() throws {
        #expect(try read("*3\r\n:1\r\n*2\r\n$3\r\nab", chunk: 4) == [])
    }

    @Test func accessorsReadWhatFits() {
        #expect(RedisValue.bytes(Array("42".utf8)).int == 42)
        #expect(RedisValue.status("OK").string == "OK")
        #expect(RedisValue.bytes([0xff]).string == nil)
        #expect(RedisValue.bytes([0xff]).bytesValue == [0xff])
        #expect(RedisValue.array([.null]).list == [.null])
        #expect(RedisValue.integer(1).string == nil)
    }

    @Test func commandsAreWrittenAsBulkStrings() {
        let script = RedisScript(name: "one", text: "return 1")
        #expect(script.sha1 == "e0e1f9fabfc9d4800c877a703b823ac0578ff8db")
        var command = RedisCommand.evalsha(script, keys: ["k"])
        command.add([0, 255])
        command.add(Int64(-5))
        command.add("ü")
        var buffer = RedisCommand.encode([command, RedisCommand("PING")])
        let bytes = buffer.readBytes(length: buffer.readableBytes)
        let head = "*7\r\n$7\r\nEVALSHA\r\n$40\r\n\(script.sha1)\r\n$1\r\n1\r\n$1\r\nk\r\n$2\r\n"
        let tail = "\r\n$2\r\n-5\r\n$2\r\nü\r\n*1\r\n$4\r\nPING\r\n"
        #expect(bytes == Array(head.utf8) + [0, 255] + Array(tail.utf8))
    }

    @Test(arguments: [
        ("READONLY You can't write against a read only replica.", RedisError.Code.readOnly),
        ("READONLY You can't write against a read only replica. script: abc, on @user_script:1.", .readOnly),
        ("LOADING Redis is loading the dataset in memory", .loading),
        ("MOVED 3999 127.0.0.1:6381", .rejected), ("ASK 3999 127.0.0.1:6381", .rejected),
        ("OOM command not allowed when used memory > 'maxmemory'.", .outOfMemory),
        ("NOREPLICAS Not enough good replicas to write.", .noReplicas),
        ("NOAUTH Authentication required.", .noAuth),
        ("WRONGPASS invalid username-password pair or user is disabled.", .noAuth),
        ("ERR invalid password", .noAuth),
        ("NOPERM this user has no permissions to run the 'set' command", .noPermission),
        ("MISCONF Errors writing to the AOF file: No space left on device", .misconfigured),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", .wrongType),
        ("NOSCRIPT No matching script. Please use EVAL.", .noScript),
        ("BUSY Redis is busy running a script.", .busy),
        ("UNKILLABLE Sorry the script already executed write commands", .busy),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", .masterDown),
        ("CLUSTERDOWN The cluster is down", .masterDown),
        ("DENIED Redis is running in protected mode", .refused),
        ("ERR max number of clients reached", .refused),
        ("ERR unknown command 'FOO'", .serverError),
        ("ERR value OOM is not an integer", .serverError),
        ("WHATEVER", .serverError),
        ("", .serverError),
        (
            "ERR Error running script (call to f_12): @user_script:1: @user_script: 1: -READONLY You can't write",
            .readOnly
        ),
        (
            "ERR Error running script (call to f_12): @user_script:1: @user_script: 1: -OOM command not allowed",
            .outOfMemory
        ),
        ("ERR user_script:1: MISCONF Errors writing script: 12, on @user_script:1.", .misconfigured),
        ("ERR user_script:3: attempt to index a nil value script: 12, on @user_script:3.", .serverError),
    ])
    func errorRepliesAreClassified(text: String, code: RedisError.Code) {
        #expect(RedisServerError(text: text).code == code)
    }

    @Test func aLongErrorReplyIsCut() {
        let error = RedisServerError(text: "ERR " + String(repeating: "secret ", count: 1000))
        #expect(error.message.utf8.count <= RedisServerError.messageLimit)
    }

    @Test func whatMustGoOnWhenMemoryIsFullDoesNotShutTheStore() {
        let open = RedisError.Code.allCases.filter { !$0.shutsStore }
        #expect(Set(open) == [.outOfMemory, .wrongType, .noScript, .shut, .serverError])
    }

    @Test func aRepeatTakesTheRefusedCommandsAndTheWaitsBehindThem() throws {
        let script = RedisScript(name: "one", text: "return 1")
        let missing = RedisValue.error(RedisServerError(text: "NOSCRIPT none"))
        let call = RedisCommand.evalsha(script)
        let wait = RedisCommand("WAIT", "1", "100")
        #expect(ScriptRepeat(of: [call, wait], [.integer(1), .integer(1)])?.places == nil)
        #expect(ScriptRepeat(of: [RedisCommand("EVALSHA", "x")], [missing])?.places == nil)
        let again = ScriptRepeat(of: [wait, call, call, wait], [.integer(1), .integer(1), missing, .integer(1)])
        #expect(again?.places == [2, 3])
    }

    /// Somebody else loaded the script between the two: the first may say "it fires", the second "it has ended".
    @Test func aCallThatWasOvertakenByALaterOneOfItsScriptIsNotRepeated() throws {
        let missing = RedisValue.error(RedisServerError(text: "NOSCRIPT none"))
        let call = RedisCommand.evalsha(RedisScript(name: "one", text: "return 1"))
        let other = RedisCommand.evalsha(RedisScript(name: "two", text: "return 2"))
        let wait = RedisCommand("WAIT", "1", "100")
        func places(_ commands: [RedisCommand], _ replies: [RedisValue]) -> [Int]? {
            ScriptRepeat(of: commands, replies)?.places
        }
        #expect(places([call, call], [missing, .integer(1)]) == nil)
        #expect(places([call, call, wait], [missing, .integer(1), .integer(1)]) == nil)
        #expect(places([call, call, call], [missing, .integer(1), missing]) == [2])
        #expect(places([call, call], [.integer(1), missing]) == [1])
        #expect(places([call, call], [missing, missing]) == [0, 1])
        // Scripts do not wait for one another.
        #expect(places([call, other], [missing, .integer(2)]) == [0])
    }
}
