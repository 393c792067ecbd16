import Adapters
import SignalKit
import SignalTesting
import Synchronization

/// One way to break an adapter that was sound.
protocol Flaw: Sendable {
    /// The only rule that must find it.
    static var rule: AdapterRule { get }
    static func spoil(
        _ request: InboundRequest, _ sound: (InboundRequest) throws(AdapterError) -> Decoded
    ) throws(AdapterError) -> Decoded
}

/// The prometheus adapter with a flaw.
struct Broken<Kind: Flaw>: SignalAdapter {
    static var id: PluginID { "broken" }
    private let sound: PrometheusAdapter

    init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        if Kind.rule == .configuration, config.isDescribing { throw ConfigError(path: "", mark: nil, "no file") }
        sound = try PrometheusAdapter(&config, services)
    }

    func decode(_ request: InboundRequest) throws(AdapterError) -> Decoded {
        try Kind.spoil(request) { request throws(AdapterError) in try sound.decode(request) }
    }
}

private func signal(named name: String, _ field: String = "a") throws(AdapterError) -> Signal {
    do {
        return try Signal(identity: Identity(family: "x", fields: [.init("a", field)]), name: name, status: .firing)
    } catch {
        throw AdapterError(.unexpected, "no such signal")
    }
}

enum SoundAfterAll: Flaw {
    static let rule = AdapterRule.errors
    static func spoil(
        _ request: InboundRequest, _ sound: (InboundRequest) throws(AdapterError) -> Decoded
    ) throws(AdapterError) -> Decoded { try sound(request) }
}

enum NeedsAFileToBeDescribed: Flaw {
    static let rule = AdapterRule.configuration
    static func spoil(
        _ request: InboundRequest, _ sound: (InboundRequest) throws(AdapterError) -> Decoded
    ) throws(AdapterError) -> Decoded { try sound(request) }
}

enum DropsWhatItCannotRead: Flaw {
    static let rule = AdapterRule.counting
    static func spoil(
        _ request: InboundRequest, _ sound: (InboundRequest) throws(AdapterError) -> Decoded
    ) throws(AdapterError) -> Decoded {
        var decoded = try sound(request)
        if !decoded.signals.isEmpty { decoded.rejected = [] }
        return decoded
    }
}

enum TakesGarbageForAnEmptyBatch: Flaw {
    static let rule = AdapterRule.garbage
    static func spoil(
        _ request: InboundRequest, _ sound: (InboundRequest) throws(AdapterError) -> Decoded
    ) throws(AdapterError) -> Decoded {
        do {
            return try sound(request)
        } catch  where request.body.isEmpty || error.offset == 0 {
            return Decoded()
        }
    }
}

enum MakesUpTheEndOfABody: Flaw {
    static let rule = AdapterRule.truncation
    static func spoil(
        _ request: InboundRequest, _ sound: (InboundRequest) throws(AdapterError) -> Decoded
    ) throws(AdapterError) -> Decoded {
        do {
            return try sound(request)
        } catch {
            let body = request.body + Array(#""}}]"#.utf8)
            guard
                let decoded = try? sound(InboundRequest(body: body, receivedAt: request.receivedAt)),
                request.body.count < 256
            else { throw error }
            return decoded
        }
    }
}

enum LosesWhatIsLong: Flaw {
    static let rule = AdapterRule.limits
    static func spoil(
        _ request: InboundRequest, _ sound: (InboundRequest) throws(AdapterError) -> Decoded
    ) throws(AdapterError) -> Decoded {
        request.body.count > 500_000 ? Decoded() : try sound(request)
    }
}

enum RemembersTheLastRequest: Flaw {
    static let rule = AdapterRule.determinism
    private static let calls = Mutex(0)
    static func spoil(
        _ request: InboundRequest, _ sound: (InboundRequest) throws(AdapterError) -> Decoded
    ) throws(AdapterError) -> Decoded {
        var decoded = try sound(request)
        decoded.truncated = calls.withLock {
            $0 += 1
            return $0
        }
        return decoded
    }
}

enum TakesTheTimeForIdentity: Flaw {
    static let rule = AdapterRule.identity
    static func spoil(
        _ request: InboundRequest, _ sound: (InboundRequest) throws(AdapterError) -> Decoded
    ) throws(AdapterError) -> Decoded {
        var decoded = try sound(request)
        var signals: [Signal] = []
        for each in decoded.signals { signals.append(try signal(named: each.name, request.receivedAt.description)) }
        decoded.signals = signals
        return decoded
    }
}

enum QuotesWhatItCannotRead: Flaw {
    static let rule = AdapterRule.secrets
    static func spoil(
        _ request: InboundRequest, _ sound: (InboundRequest) throws(AdapterError) -> Decoded
    ) throws(AdapterError) -> Decoded {
        do {
            return try sound(request)
        } catch {
            let near = String(decoding: request.body.suffix(40), as: UTF8.self)
            throw AdapterError(error.code, "\(error.message) near \(near)", offset: error.offset)
        }
    }
}

enum ReplaysTheBareItem: Flaw {
    static let rule = AdapterRule.replay
    static func spoil(
        _ request: InboundRequest, _ sound: (InboundRequest) throws(AdapterError) -> Decoded
    ) throws(AdapterError) -> Decoded {
        var decoded = try sound(request)
        decoded.rejected = decoded.rejected.map {
            RejectedItem(index: $0.index, reason: $0.reason, replay: Array($0.replay.dropFirst().dropLast()))
        }
        return decoded
    }
}

enum PointsBehindTheBody: Flaw {
    static let rule = AdapterRule.errors
    static func spoil(
        _ request: InboundRequest, _ sound: (InboundRequest) throws(AdapterError) -> Decoded
    ) throws(AdapterError) -> Decoded {
        do {
            return try sound(request)
        } catch {
            throw AdapterError(error.code, error.message, offset: request.body.count + 1)
        }
    }
}
