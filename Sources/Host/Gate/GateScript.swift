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

    init(_ configuration: HostConfiguration) {
        queues = configuration.sinks.map {
            Queue(name: $0.name, whenFull: $0.whenFull, history: type(of: $0.plugin).needsHistory)
        }
        let persist = configuration.gatePolicies.lazy.compactMap { $0 as? Persist }.first
        backlog = persist?.backlog ?? 100_000
        deadLetters = persist?.deadLetters ?? 10_000
    }

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
            local outbox = {sinks = {\(sinks.joined(separator: ", "))}, backlog = \(backlog), letters = \(deadLetters)\
            \(constants)}
            \(String(decoding: PackageResources.prelude_lua, as: UTF8.self))
            \(body)
            """
        return RedisScript(name: name, text: text)
    }

    func script(_ name: String, _ body: [UInt8], flags: String = "") -> RedisScript {
        script(name, String(decoding: body, as: UTF8.self), flags: flags)
    }

    /// The gate: one step per policy, in order, and the driver.
    func gate(_ policies: [any GatePolicy]) -> RedisScript {
        let steps = policies.map { policy in
            let settings = policy.settings.map { "[\(Self.literal($0.name))] = \(Self.literal($0.value))" }
            return """
                {name = \(Self.literal(type(of: policy).id.description)), arguments = \(type(of: policy).argumentCount), \
                run = (function()
                \(type(of: policy).step.source)
                end)()({\(settings.joined(separator: ", "))}, kit)}
                """
        }
        let stride = 5 + policies.reduce(0) { $0 + type(of: $1).argumentCount }
        let driver = String(decoding: PackageResources.driver_lua, as: UTF8.self)
        return script(
            "gate", "local steps = {\(steps.joined(separator: ",\n"))}\n\(driver)", constants: ", stride = \(stride)")
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
