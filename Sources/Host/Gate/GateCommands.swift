import Redis
import SignalKit

/// The gate's scripts, and calls of them.
struct GateCommands: Sendable {
    let policies: [any GatePolicy]
    let clockKey: String
    let gate, rejects, again, restore, storms, settle, reading, heartbeat, session, endSession, recover,
        adopt: RedisScript
    /// The gate's call without its arguments: the same for each.
    private let call: RedisCommand

    init(_ configuration: HostConfiguration, _ composer: ScriptComposer) {
        policies = configuration.gatePolicies
        clockKey = StoreKeys.clock(configuration.state.prefix)
        gate = composer.gate(policies)
        call = .evalsha(gate, keys: [clockKey])
        rejects = composer.script("reject", PackageResources.reject_lua)
        // Of a full store too, since they were answered: one that can't be written would keep it shut, and full.
        again = composer.script("reject-again", PackageResources.reject_lua, flags: "allow-oom")
        restore = composer.restore(policies)
        reading = composer.script(
            "reading", "return {kit.take(kit.reading(ARGV[1]))}", flags: "allow-oom")
        storms = composer.script("restore-storms", PackageResources.restorestorms_lua, flags: "allow-oom")
        settle = composer.script("settle", PackageResources.settle_lua, flags: "allow-oom")
        heartbeat = composer.script(
            "heartbeat", PackageResources.hosts_lua + PackageResources.heartbeat_lua, flags: "allow-oom")
        session = composer.script("session", PackageResources.session_lua, flags: "allow-oom")
        endSession = composer.script("end-session", PackageResources.endsession_lua, flags: "allow-oom")
        recover = composer.script("recover", PackageResources.recover_lua, flags: "allow-oom")
        adopt = composer.script("adopt", PackageResources.adopt_lua, flags: "allow-oom")
    }

    var all: [RedisScript] {
        [gate, rejects, again, restore, storms, settle, reading, heartbeat, session, endSession, recover, adopt]
    }

    /// - Parameters:
    ///   - born: since when the store knows what it knows, as it was verified; the script refuses another one.
    ///   - offer: capacity of this host for what is begun.
    ///   - isForLater: documents may have to wait: they are stored as small as they can be.
    func gate(
        _ signals: ArraySlice<GateSignal>, born: Int64, offer: DispatchOffer? = nil, isForLater: Bool = false
    ) -> RedisCommand {
        var command = call
        command.reserve(signals.reduce(64) { $0 + ($1.document.map { $0.count + 512 } ?? Self.header) })
        command.add(born)
        command.add(offer?.argument ?? [])
        // Those of which it is told no more than this, one behind the other.
        var headers: [UInt8] = []
        headers.reserveCapacity(signals.count * Self.header)
        for item in signals {
            guard let document = item.document else {
                Self.write(item, to: &headers)
                continue
            }
            if !headers.isEmpty {
                command.add(headers)
                headers.removeAll(keepingCapacity: true)
            }
            Self.write(item, to: &headers)
            command.add(headers)
            headers.removeAll(keepingCapacity: true)
            command.add(isForLater ? StoredDocument.pack(document) : document)
            for policy in policies {
                for argument in policy.arguments(for: item.signal) { command.add(argument) }
            }
        }
        if !headers.isEmpty { command.add(headers) }
        return command
    }

    private static let header = 17 + 32

    /// `<BI6I6I4` and the fingerprint, as the driver unpacks it: 0 resolved, 1 firing, 2 firing and no more than this; startsAt,
    /// endsAt in ms; the reporter.
    private static func write(_ item: GateSignal, to out: inout [UInt8]) {
        func add(_ time: Timestamp?) {
            // 0 stands for unknown, and for what six bytes don't hold.
            var left = UInt64(exactly: time?.milliseconds ?? 0) ?? 0
            if left >= 1 << 48 { left = 0 }
            for _ in 0..<6 {
                out.append(UInt8(truncatingIfNeeded: left))
                left >>= 8
            }
        }
        out.append(item.document == nil ? 2 : item.signal.status == .firing ? 1 : 0)
        add(item.signal.startsAt)
        add(item.signal.endsAt)
        for shift in [0, 8, 16, 24] as [UInt32] { out.append(UInt8(truncatingIfNeeded: item.reporter.hash >> shift)) }
        item.fingerprint.append(to: &out)
    }

    /// - Parameter answered: the letters were answered for already, and are written again if they are missing.
    func rejects(_ letters: ArraySlice<GateDeadLetter>, answered: Bool) -> RedisCommand {
        var command = RedisCommand.evalsha(answered ? again : rejects, keys: [clockKey])
        command.add(answered ? 1 : 0)
        for letter in letters {
            command.add("adapter/\(letter.origin)")
            command.add(letter.identity)
            command.add(Int64(letter.item.index))
            command.add(letter.item.reason)
            command.add(letter.item.replay)
            command.add(letter.receivedAt.milliseconds)
            command.add(letter.item.cut.map { String($0.size) } ?? "")
            command.add(letter.item.cut.map { String($0.digest, radix: 16) } ?? "")
        }
        return command
    }

    /// Takes a reading of the clock that is above `floor`.
    func reading(above floor: Int64) -> RedisCommand {
        .evalsha(reading, keys: [clockKey], arguments: [String(floor)])
    }

    func restore(_ signals: ArraySlice<ReplayMemory.Signal>) -> RedisCommand {
        let count = policies.reduce(0) { $0 + type(of: $1).argumentCount }
        var command = RedisCommand.evalsha(restore, keys: [clockKey])
        for signal in signals {
            command.add(signal.fingerprint.bytes)
            command.add(signal.record.bytes)
            command.add(signal.document)
            if signal.arguments.isEmpty {
                for _ in 0..<count { command.add("") }
            } else {
                for argument in signal.arguments { command.add(argument) }
            }
        }
        return command
    }

    func restore(_ storms: ArraySlice<ReplayMemory.Storm>) -> RedisCommand {
        var command = RedisCommand.evalsha(self.storms, keys: [clockKey])
        for storm in storms {
            command.add(storm.id)
            command.add(storm.version)
        }
        return command
    }

    /// - Parameters:
    ///   - server: at which `host` has restored its replay buffer.
    ///   - waits: for which other hosts it waits.
    ///   - peers: the hosts that it knows.
    func settle(_ server: String, _ host: String, waits: StoreRecovery.Waits, peers: [String]) -> RedisCommand {
        .evalsha(settle, keys: [clockKey], arguments: [server, host, waits.rawValue] + peers)
    }

    /// - Parameter born: the birth of the store that was verified.
    func heartbeat(_ host: String, born: Int64, _ session: SessionID) -> RedisCommand {
        .evalsha(
            heartbeat, keys: [clockKey],
            arguments: [
                host, String(StoreRecovery.lease.milliseconds), String(born), String(session.number), session.token,
            ])
    }

    /// - Parameter number: 0 for a new session.
    func session(_ number: Int64, _ token: String, isAlone: Bool) -> RedisCommand {
        .evalsha(
            session, keys: [clockKey],
            arguments: [String(number), token, isAlone ? "1" : "0", String(StoreSchema.versions.upperBound)])
    }

    /// - Parameter seen: its token with the counter that was seen last; the token alone by its own host.
    func endSession(_ number: Int64, seen: String) -> RedisCommand {
        .evalsha(endSession, keys: [clockKey], arguments: [String(number), seen])
    }

    func recover(most: Int64) -> RedisCommand {
        .evalsha(recover, keys: [clockKey], arguments: [String(most)])
    }

    func adopt(_ held: ArraySlice<HeldDelivery>, at session: SessionID) -> RedisCommand {
        var command = RedisCommand.evalsha(adopt, keys: [clockKey])
        command.add(session.number)
        command.add(session.token)
        for item in held {
            command.add(item.sink.description)
            command.add(item.member)
            command.add(item.call.number)
        }
        return command
    }
}

extension RedisCommand {
    fileprivate mutating func add(_ argument: GateArgument) {
        switch argument {
        case .text(let text): add(text)
        case .bytes(let bytes): add(bytes)
        case .integer(let number): add(number)
        }
    }
}
