import JSON
import Redis
import SignalKit

/// Makes a delivery of what `claim.lua` answers.
enum DeliveryDocument {
    /// Nil when the reply is not of its shape.
    static func build(_ member: QueueMember, _ kind: String, _ view: [RedisValue]) -> Delivery? {
        switch kind {
        case "signal" where view.count >= 7: signal(member, view)
        case "storm" where view.count == 12: storm(member, view)
        default: nil
        }
    }

    /// kind, record, told, born, whether it has an object of its own, skipped episodes, the first of them (a reading), document (left
    /// out of the reply when there is none)
    private static func signal(_ member: QueueMember, _ view: [RedisValue]) -> Delivery? {
        guard let record = view[1].bytesValue.flatMap({ PackedRecord($0) }), let told = view[2].int,
            let born = view[3].int, let count = view[5].int, let first = view[6].int
        else { return nil }
        let skipped =
            count > 0
            ? Delivery.Skipped(episodes: count, first: Timestamp(milliseconds: min(first / 1_000, record.last))) : nil
        var document: [UInt8]?
        if view.count > 7 {
            document = view[7].bytesValue.flatMap(StoredDocument.unpack)
            guard document != nil else { return nil }
        }
        return signal(member, record, document, isUpdate: told == 1, skipped: skipped, born: born)
    }

    /// Nil when the record says neither firing nor resolved.
    static func signal(
        _ member: QueueMember, _ record: PackedRecord, _ document: [UInt8]?, isUpdate: Bool,
        skipped: Delivery.Skipped? = nil, born: Int64
    ) -> Delivery? {
        guard let state = record.state else { return nil }
        let fields = Fields(
            kind: .signal, state: state, fingerprint: member.name, episode: record.episode, version: record.version,
            follows: record.follows > 0 ? record.follows : nil, count: record.count,
            last: Timestamp(milliseconds: record.last),
            reason: record.reason, isUpdate: isUpdate, skipped: skipped, knownSince: born)
        let name = fields.fingerprint
        return fields.delivery(
            signal: { document.flatMap { SignalDocument.decode($0, fingerprint: name) } }, storm: nil
        ) { out in
            guard let document else { return }
            out.key("signal")
            out.raw(document)
        }
    }

    /// kind, state, total, firing, opened, version, last, group, members with episodes, their summaries, told, born
    private static func storm(_ member: QueueMember, _ view: [RedisValue]) -> Delivery? {
        guard let state = view[1].string.flatMap(Delivery.State.init(rawValue:)), let total = view[2].int,
            let firing = view[3].int, let opened = view[4].int, let version = view[5].int, let last = view[6].int,
            let group = view[7].bytesValue, let listed = view[8].list, let summaries = view[9].list,
            let told = view[10].int, let born = view[11].int,
            let members = StormReading.members(listed, summaries), let named = StormReading.group(group)
        else { return nil }
        let storm = Storm(
            id: member.name, group: named, members: Int(total), firing: Int(firing), listed: members)
        let fields = Fields(
            kind: .storm, state: state, fingerprint: member.name, episode: opened, version: version, follows: nil,
            count: total, last: Timestamp(milliseconds: last), reason: nil, isUpdate: told == 1, knownSince: born)
        return fields.delivery(signal: { nil }, storm: storm) { out in
            out.key("storm")
            out.beginObject()
            out.member("id", storm.id)
            out.key("group")
            out.raw(group)
            out.member("members", storm.members)
            out.member("firing", storm.firing)
            out.key("listed")
            out.beginArray()
            for member in members { StormReading.write(member, to: &out) }
            out.endArray()
            out.endObject()
        }
    }

    /// The fields of every delivery. A start comes from a reading, a last sighting from the server's time. Readings may be ahead of the
    /// time (decision 0025): no start is written that is later than the last sighting.
    private struct Fields {
        let kind: Delivery.Kind
        let state: Delivery.State
        let fingerprint: String
        let episode, version: Int64
        let follows: Int64?
        let count: Int64
        let last: Timestamp
        let reason: Delivery.Reason?
        let isUpdate: Bool
        var skipped: Delivery.Skipped?
        var knownSince = Int64.max
        var first: Timestamp { min(Timestamp(milliseconds: episode / 1_000), last) }

        func delivery(
            signal: @escaping @Sendable () -> Signal?, storm: Storm?, content: (inout JSONWriter) -> Void
        ) -> Delivery {
            let id = "\(fingerprint)-\(episode)-\(version)"
            var out = JSONWriter(reserving: 1_024)
            out.beginObject()
            out.member("id", id)
            out.member("kind", kind.rawValue)
            out.member("state", state.rawValue)
            out.member("fingerprint", fingerprint)
            // As text: many readers of JSON lose the end of a 64-bit number.
            out.member("episode", String(episode))
            out.member("version", String(version))
            out.member("follows", follows.map(String.init))
            out.member("count", count)
            out.member("first", first.description)
            out.member("last", last.description)
            out.member("reason", reason?.rawValue)
            if let skipped {
                out.key("skipped")
                out.beginObject()
                out.member("episodes", skipped.episodes)
                out.member("first", skipped.first.description)
                out.endObject()
            }
            content(&out)
            out.endObject()
            return Delivery(
                id: id, kind: kind, state: state, fingerprint: fingerprint, episode: episode, version: version,
                follows: follows, count: count, first: first, last: last, reason: reason, storm: storm,
                isUpdate: isUpdate, skipped: skipped, knownSince: knownSince, json: out.bytes, signal: signal)
        }
    }
}

/// Members and groups of storms as the store keeps them.
enum StormReading {
    /// - Parameters:
    ///   - listed: fingerprint, episode, fingerprint, episode, …
    ///   - summaries: of each, `f` or `r` and JSON.
    static func members(_ listed: [RedisValue], _ summaries: [RedisValue]) -> [StormMember]? {
        guard listed.count == summaries.count * 2 else { return nil }
        var members: [StormMember] = []
        for (place, summary) in summaries.enumerated() {
            guard let fingerprint = listed[place * 2].bytesValue, let episode = listed[place * 2 + 1].int else {
                return nil
            }
            guard let bytes = summary.bytesValue, let state = bytes.first else { continue }
            let root = try? JSONDocument.parse(Array(bytes.dropFirst())).root
            var target: Target?
            if let found = root?["target"], let kind = found["kind"]?.string, let name = found["name"]?.string {
                target = Target(kind: kind, namespace: found["namespace"]?.string, name: name)
            }
            members.append(
                StormMember(
                    fingerprint: Hex.text(fingerprint), episode: episode, name: root?["name"]?.string ?? "",
                    target: target, firing: state == UInt8(ascii: "f")))
        }
        return members
    }

    static func group(_ bytes: [UInt8]) -> [Identity.Field]? {
        guard let object = try? JSONDocument.parse(bytes).root.object else { return nil }
        return object.map { Identity.Field($0.key, $0.value.string ?? "") }
    }

    static func write(_ member: StormMember, to out: inout JSONWriter) {
        out.beginObject()
        out.member("fingerprint", member.fingerprint)
        out.member("episode", String(member.episode))
        out.member("name", member.name)
        if let target = member.target {
            out.key("target")
            out.beginObject()
            out.member("kind", target.kind)
            out.member("namespace", target.namespace)
            out.member("name", target.name)
            out.endObject()
        }
        out.member("firing", member.firing)
        out.endObject()
    }
}
