import JSON
import SignalKit

/// One signal, and what each in-process policy says of it, until one ends its way.
struct Trial: Sendable {
    struct Word: Sendable {
        let policy: PluginID
        /// `pass`, `replace`, `filter`, `unavailable`
        let decision: String
        let reason: String
    }

    /// As the adapter made it.
    let signal: Signal
    private(set) var words: [Word] = []

    init(_ signal: Signal, _ policies: [HostConfiguration.InProcessPolicy], _ context: PolicyContext) async {
        self.signal = signal
        var current = signal
        for policy in policies {
            switch await PolicyChain(policies: [policy]).decide(current, context) {
            case .pass(let next):
                words.append(Word(policy: policy.id, decision: next == current ? "pass" : "replace", reason: ""))
                current = next
            case .filtered(_, let reason):
                words.append(Word(policy: policy.id, decision: "filter", reason: reason))
                return
            case .unavailable(_, let message):
                words.append(Word(policy: policy.id, decision: "unavailable", reason: message))
                return
            }
        }
    }

    /// What the request would come to at least: the gate has its say when all of them pass.
    var passes: Bool { words.allSatisfy { $0.decision == "pass" || $0.decision == "replace" } }
}

struct TryReport {
    /// Its id and where it comes from.
    let adapter: String
    let trials: [Trial]
    let decoded: Decoded

    var lines: [String] {
        var lines = ["\(adapter): signals: \(trials.count), items that can't be read: \(decoded.rejected.count)"]
        if decoded.skipped > 0 { lines.append("not asked for: \(decoded.skipped)") }
        if decoded.truncated > 0 { lines.append("the sender left out \(decoded.truncated) more") }
        for trial in trials {
            let signal = trial.signal
            lines.append("")
            lines.append(
                [signal.name.printable, signal.status.rawValue, signal.severity?.printable].compactMap(\.self)
                    .joined(separator: ", "))
            func say(_ name: String, _ value: String?) {
                guard let value, !value.isEmpty else { return }
                lines.append("  " + name + String(repeating: " ", count: 13 - name.count) + value.printable)
            }
            say("fingerprint", Fingerprint(signal.identity).description)
            say("identity", Self.pairs(signal.identity.fields.map { ($0.name, $0.value) }))
            say("target", signal.target.map(Self.target))
            say("starts", signal.startsAt?.description)
            say("ends", signal.endsAt?.description)
            say("labels", Self.pairs(signal.labels.entries.map { ($0.name, $0.value) }))
            say("annotations", Self.pairs(signal.annotations.entries.map { ($0.name, $0.value) }))
            say("link", signal.link)
            for word in trial.words {
                say(word.policy.description, word.reason.isEmpty ? word.decision : "\(word.decision): \(word.reason)")
            }
            say("then", trial.passes ? "to the gate" : nil)
        }
        if !decoded.rejected.isEmpty { lines.append("") }
        for item in decoded.rejected {
            lines.append("item \(item.index) would be a dead letter: \(item.reason.printable)")
        }
        return lines
    }

    private static func pairs(_ pairs: [(String, String)]) -> String {
        pairs.map { "\($0)=\"\($1)\"" }.joined(separator: " ")
    }

    private static func target(_ target: Target) -> String {
        "\(target.kind) \(target.namespace.map { $0 + "/" } ?? "")\(target.name)"
    }

    var document: JSONTree {
        let signals = trials.map { trial -> JSONTree in
            let signal = trial.signal
            var members: [String: JSONTree] = [
                "name": .string(signal.name), "status": .string(signal.status.rawValue),
                "fingerprint": .string(Fingerprint(signal.identity).description),
                "identity": Self.object(signal.identity.fields.map { ($0.name, $0.value) }),
                "labels": Self.object(signal.labels.entries.map { ($0.name, $0.value) }),
                "annotations": Self.object(signal.annotations.entries.map { ($0.name, $0.value) }),
                "passes": .boolean(trial.passes),
                "policies": .array(
                    trial.words.map {
                        [
                            "policy": .string($0.policy.description), "decision": .string($0.decision),
                            "reason": .string($0.reason),
                        ]
                    }),
            ]
            members["severity"] = signal.severity.map { .string($0) }
            members["starts_at"] = signal.startsAt.map { .string($0.description) }
            members["ends_at"] = signal.endsAt.map { .string($0.description) }
            members["link"] = signal.link.map { .string($0) }
            if let target = signal.target {
                var parts: [String: JSONTree] = ["kind": .string(target.kind), "name": .string(target.name)]
                parts["namespace"] = target.namespace.map { .string($0) }
                members["target"] = .object(parts)
            }
            return .object(members)
        }
        return [
            "adapter": .string(adapter), "signals": .array(signals), "truncated": .integer(Int64(decoded.truncated)),
            "skipped": .integer(Int64(decoded.skipped)),
            "rejected": .array(
                decoded.rejected.map { ["index": .integer(Int64($0.index)), "reason": .string($0.reason)] }),
        ]
    }

    private static func object(_ pairs: [(String, String)]) -> JSONTree {
        .object(Dictionary(pairs.map { ($0.0, JSONTree.string($0.1)) }) { first, _ in first })
    }
}
