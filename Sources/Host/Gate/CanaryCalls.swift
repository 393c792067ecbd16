import SignalKit

/// The canary's calls: of every command that any script runs, one that does no harm. `@NAME` is a key of the canary's own.
///
/// This is the one list of these commands: the rights that a user of Redis needs are printed from it (`StoreUser`).
struct CanaryCalls: Sendable {
    let calls: [[String]]

    /// - Parameter steps: those of the configuration. `StepCommands` has found a call of each of their commands.
    init(_ steps: [GateStep]) {
        var calls = Self.host
        for command in steps.flatMap(\.commands) {
            guard let call = Self.call(of: command), !calls.contains(call) else { continue }
            calls.append(call)
        }
        self.calls = calls
    }

    /// Each command once, the host's own first.
    var commands: [String] {
        var seen: Set<String> = []
        return calls.map { $0[0] }.filter { seen.insert($0).inserted }
    }

    static func call(of command: GateStep.Command) -> [String]? {
        command.trial.map { [command.name] + $0 } ?? known[command.name]
    }

    /// For verify.lua: `trials`, and the keys to be deleted as `trial_keys`.
    var lua: String {
        var names: [String] = []
        let trials = calls.map { call in
            let words = call.map { word in
                guard let name = Self.key(word) else { return ScriptComposer.literal(word) }
                if !names.contains(name) { names.append(name) }
                return Self.lua(key: name)
            }
            return "{\(words.joined(separator: ", "))},"
        }
        return """
            local trials = {
            \(trials.joined(separator: "\n"))
            }
            local trial_keys = {\(names.map(Self.lua).joined(separator: ", "))}

            """
    }

    /// The name behind `@`; nil for an argument that is no key.
    static func key(_ word: String) -> String? {
        word.count > 1 && word.hasPrefix("@") ? String(word.dropFirst()) : nil
    }

    private static func lua(key name: String) -> String { "kit.key('canary:', \(ScriptComposer.literal(name)))" }

    private static let known: [String: [String]] = Dictionary(
        (host + further).map { ($0[0], $0) }, uniquingKeysWith: { first, _ in first })

    private static func read(_ text: String) -> [[String]] {
        text.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    }

    /// Of the commands that the host's scripts run. They leave a string, a number in a hash, and a member of each other type
    /// to those behind them; `@gone` is never there.
    static let host = read(
        """
        TIME
        SET @string 1 PX 60000
        GET @string
        MGET @string
        MSET @string 1
        DEL @gone
        UNLINK @gone
        EXISTS @string
        HSET @hash field 1
        PEXPIRE @hash 60000
        HGET @hash field
        HMGET @hash field
        HGETALL @hash
        HINCRBY @hash field 1
        HDEL @hash other
        SADD @set member
        SMEMBERS @set
        SREM @set other
        ZADD @sorted LT 1 member
        ZCARD @sorted
        ZSCORE @sorted member
        ZMSCORE @sorted member
        RPUSH @list entry
        LRANGE @list 0 0
        LTRIM @list 0 0
        ZCOUNT @sorted -inf +inf
        ZRANGE @sorted 0 0
        ZREVRANGE @sorted 0 0
        ZRANGEBYSCORE @sorted -inf +inf LIMIT 0 1
        ZREM @sorted other
        ZUNIONSTORE @sorted 1 @sorted AGGREGATE MIN
        """)

    /// Of further commands that a step may name, in any order. No `KEYS` or `SCAN`: a step's work must not grow with the store.
    static let further = read(
        """
        APPEND @text 1
        DECR @number
        DECRBY @number 1
        GETDEL @gone
        GETEX @string
        GETRANGE @string 0 0
        GETSET @text 1
        INCR @number
        INCRBY @number 1
        INCRBYFLOAT @number 1
        MSETNX @text 1
        PSETEX @text 60000 1
        SETEX @text 60 1
        SETNX @text 1
        SETRANGE @text 0 1
        STRLEN @string
        BITCOUNT @string
        BITFIELD @bits GET u8 0
        BITOP NOT @bits @string
        BITPOS @string 1
        GETBIT @string 0
        SETBIT @bits 0 1
        COPY @string @copy
        EXPIRE @string 60
        EXPIREAT @string 4102444800
        EXPIRETIME @string
        PERSIST @string
        PEXPIREAT @string 4102444800000
        PEXPIRETIME @string
        PTTL @string
        RENAME @string @string
        RENAMENX @string @string
        TOUCH @string
        TTL @string
        TYPE @string
        HEXISTS @hash field
        HINCRBYFLOAT @hash field 1
        HKEYS @hash
        HLEN @hash
        HMSET @hash field 1
        HRANDFIELD @hash
        HSETNX @hash field 1
        HSTRLEN @hash field
        HVALS @hash
        LINDEX @list 0
        LINSERT @list BEFORE entry entry
        LLEN @list
        LMOVE @list @list LEFT RIGHT
        LPOP @gone
        LPOS @list entry
        LPUSH @list entry
        LPUSHX @list entry
        LREM @list 0 other
        LSET @list 0 entry
        RPOP @gone
        RPOPLPUSH @list @list
        RPUSHX @list entry
        SCARD @set
        SDIFF @set
        SDIFFSTORE @stored @set
        SINTER @set
        SINTERCARD 1 @set
        SINTERSTORE @stored @set
        SISMEMBER @set member
        SMISMEMBER @set member
        SMOVE @set @set member
        SPOP @gone
        SRANDMEMBER @set
        SUNION @set
        SUNIONSTORE @stored @set
        ZDIFF 1 @sorted
        ZDIFFSTORE @stored 1 @sorted
        ZINCRBY @sorted 1 member
        ZINTER 1 @sorted
        ZINTERCARD 1 @sorted
        ZINTERSTORE @stored 1 @sorted
        ZLEXCOUNT @sorted - +
        ZPOPMAX @gone
        ZPOPMIN @gone
        ZRANDMEMBER @sorted
        ZRANGEBYLEX @sorted - +
        ZRANGESTORE @stored @sorted 0 0
        ZRANK @sorted member
        ZREMRANGEBYLEX @gone - +
        ZREMRANGEBYRANK @gone 0 0
        ZREMRANGEBYSCORE @gone -inf +inf
        ZREVRANGEBYLEX @sorted + -
        ZREVRANGEBYSCORE @sorted +inf -inf
        ZREVRANK @sorted member
        ZUNION 1 @sorted
        PFADD @hyperloglog member
        PFCOUNT @hyperloglog
        PFMERGE @hyperloglog @hyperloglog
        XADD @stream * field 1
        XDEL @stream 0-1
        XLEN @stream
        XRANGE @stream - +
        XREVRANGE @stream + -
        XTRIM @stream MAXLEN 1
        """)
}
