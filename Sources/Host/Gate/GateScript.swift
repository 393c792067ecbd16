import Policies
import Redis
import SignalKit

/// Puts scripts together: the host's configuration as Lua constants, the shared prelude, and what follows.
struct ScriptComposer: Sendable {
    struct Queue: Sendable {
        let name: PluginID
        let whenFull: HostConfiguration.WhenFull
        let history: Bool
    }

    let queues: [Queue]
    let backlog: Int
    let deadLetters: Int
    let deadLetterBytes: Int
    /// The one function from which scripts have the time, in µs.
    private let prologue: String

    init(_ configuration: HostConfiguration) {
        queues = configuration.sinks.map {
            Queue(name: $0.name, whenFull: $0.whenFull, history: type(of: $0.plugin).needsHistory)
        }
        backlog = configuration.persist?.backlog ?? 100_000
        deadLetters = configuration.persist?.deadLetters ?? 10_000
        deadLetterBytes = configuration.persist?.deadLetterBytes ?? 64 << 20
        prologue = configuration.state.prologue ?? Self.serverTime
    }

    private static let serverTime = """
        local function read_time()
          local time = redis.call('TIME')
          return time[1] * 1000000 + time[2]
        end
        """

    /// For the sender of an item that finds no room: `10000, 64MiB at most`.
    var letterBounds: String { "\(deadLetters), \(ConfigReader.byteText(deadLetterBytes)) at most" }

    /// - Parameters:
    ///   - flags: of the shebang line. Without `allow-oom`, Redis refuses a script whole when it is out of memory.
    ///   - constants: further members of `outbox`.
    func script(_ name: String, _ body: String, flags: String = "", constants: String = "") -> RedisScript {
        let sinks = queues.map {
            """
            {name = \(Self.literal($0.name.description)), full = \(Self.literal($0.whenFull.rawValue)), \
            history = \($0.history)}
            """
        }
        let text = """
            #!lua\(flags.isEmpty ? "" : " flags=\(flags)")
            local outbox = {sinks = {\(sinks.joined(separator: ", "))}, backlog = \(backlog), letters = \(deadLetters), \
            letter_bytes = \(deadLetterBytes)\
            \(constants)}
            \(prologue)
            \(String(decoding: PackageResources.prelude_lua, as: UTF8.self))
            \(String(decoding: PackageResources.writes_lua, as: UTF8.self))
            \(String(decoding: PackageResources.records_lua, as: UTF8.self))
            \(String(decoding: PackageResources.sessions_lua, as: UTF8.self))
            \(String(decoding: PackageResources.untold_lua, as: UTF8.self))
            \(String(decoding: PackageResources.outbox_lua, as: UTF8.self))
            \(String(decoding: PackageResources.stormstate_lua, as: UTF8.self))
            \(body)
            """
        return RedisScript(name: name, text: text)
    }

    func script(_ name: String, _ body: [UInt8], flags: String = "") -> RedisScript {
        script(name, String(decoding: body, as: UTF8.self), flags: flags)
    }

    /// The gate: one step per policy, in order, and the driver.
    func gate(_ policies: [any GatePolicy]) -> RedisScript {
        steps("gate", policies, PackageResources.driver_lua)
    }

    /// What the gate answered, written again: of a full store too, since it was answered.
    func restore(_ policies: [any GatePolicy]) -> RedisScript {
        steps("restore", policies, PackageResources.restore_lua, flags: "allow-oom")
    }

    /// Of a full store too: it must still be told from one that must not be used.
    func canary(_ policies: [any GatePolicy]) -> RedisScript {
        let calls = CanaryCalls(policies.map { type(of: $0).step })
        let texts = PackageResources.hosts_lua + PackageResources.verify_lua
        return script("verify", calls.lua + String(decoding: texts, as: UTF8.self), flags: "allow-oom")
    }

    /// Words of the gate in front of the steps' arguments: header, document.
    static let described = 2
    /// Words of the restoring script in front of the steps' arguments: fingerprint, record, document.
    static let restored = 3

    private func steps(_ name: String, _ policies: [any GatePolicy], _ body: [UInt8], flags: String = "") -> RedisScript
    {
        let steps = policies.map { policy in
            let settings = policy.settings.map { "[\(Self.literal($0.name))] = \(Self.literal($0.value))" }
            return """
                step(\(Self.literal(type(of: policy).id.description)), \(type(of: policy).argumentCount), (function()
                \(type(of: policy).step.source)
                end)()({\(settings.joined(separator: ", "))}, kit))
                """
        }
        let text = """
            local steps = {}
            local function step(name, arguments, run, restore)
              steps[#steps + 1] = {name = name, arguments = arguments, given = {}, run = run, restore = restore}
            end
            \(steps.joined(separator: "\n"))
            \(String(decoding: body, as: UTF8.self))
            """
        let arguments = policies.reduce(0) { $0 + type(of: $1).argumentCount }
        return script(
            name, text, flags: flags,
            constants: ", stride = \(Self.described + arguments), restore = \(Self.restored + arguments)")
    }

    private static func literal(_ value: GateSetting.Value) -> String {
        switch value {
        case .integer(let number): String(number)
        case .text(let text): literal(text)
        }
    }

    /// A Lua string of the text's bytes, whatever they are.
    static func literal(_ text: String) -> String {
        let inside = text.utf8.map { byte -> String in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "/"):
                return String(UnicodeScalar(byte))
            default:
                let digits = String(byte)
                return "\\" + String(repeating: "0", count: 3 - digits.count) + digits
            }
        }
        return "\"\(inside.joined())\""
    }
}
