import JSON
public import SignalKit

/// Many new problems of one group in a short time become one object with a list of members.
public struct StormPolicy: GatePolicy {
    public static let id: PluginID = "storm"
    public static let step = GateStep(
        service: "storm detection", commands: ["HMGET", "UNLINK"],
        source: String(decoding: PackageResources.storm_lua, as: UTF8.self))
    public static let argumentCount = 4

    /// What members have in common: `name`, `namespace`, or the name of a label.
    public let by: [String]
    private let rateCount: Int
    private let ratePer: Duration
    private let spreadTargets: Int
    private let spreadPer: Duration
    private let flush: Duration
    private let quiet: Duration
    private let longest: Duration
    private let listMembers: Int
    private let groups = StormGroups()

    public init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        by = try config.texts("by", default: ["name", "namespace"], count: 1...16)
        (rateCount, ratePer) = try config.section("rate") { rate throws(ConfigError) in
            (
                try rate.integer("count", default: 10, in: 1...1_000),
                try rate.duration("per", default: .minutes(1), in: .seconds(1)...(.hours(24)))
            )
        }
        (spreadTargets, spreadPer) = try config.section("spread") { spread throws(ConfigError) in
            (
                try spread.integer("targets", default: 5, in: 1...1_000),
                try spread.duration("per", default: .minutes(2), in: .seconds(1)...(.hours(24)))
            )
        }
        flush = try config.duration("flush", default: .seconds(5), in: .milliseconds(100)...(.minutes(10)))
        quiet = try config.duration("quiet", default: .minutes(1), in: .seconds(1)...(.hours(24)))
        longest = try config.duration("longest", default: .minutes(30), in: .seconds(1)...(.hours(24 * 7)))
        listMembers = try config.integer("list_members", default: 500, in: 1...5_000)
        if Set(by).count != by.count { config.report("by", "names something twice") }
        if longest < quiet { config.report("longest", "is below quiet (\(ConfigReader.text(quiet))): raise it") }
    }

    public var settings: [GateSetting] {
        [
            GateSetting("rate_count", .integer(Int64(rateCount))),
            GateSetting("rate_per", .integer(ratePer.milliseconds)),
            GateSetting("spread_targets", .integer(Int64(spreadTargets))),
            GateSetting("spread_per", .integer(spreadPer.milliseconds)),
            GateSetting("flush", .integer(flush.milliseconds)),
            GateSetting("quiet", .integer(quiet.milliseconds)),
            GateSetting("longest", .integer(longest.milliseconds)),
            GateSetting("list_members", .integer(Int64(listMembers))),
        ]
    }

    public func arguments(for signal: Signal) -> [GateArgument] {
        let group = groups.group(by, by.map { value(of: $0, in: signal) })
        var member = JSONWriter(reserving: 192)
        member.beginObject()
        member.member("name", signal.name)
        if let target = signal.target {
            member.key("target")
            member.beginObject()
            member.member("kind", target.kind)
            member.member("namespace", target.namespace)
            member.member("name", target.name)
            member.endObject()
        }
        member.endObject()
        return [
            .bytes(group.key), .bytes(signal.target.map(StormGroups.mark) ?? []), .bytes(group.json),
            .bytes(member.bytes),
        ]
    }

    private func value(of name: String, in signal: Signal) -> String {
        switch name {
        case "name": signal.name
        case "namespace": signal.target?.namespace ?? signal.labels["namespace"] ?? ""
        default: signal.labels[name] ?? ""
        }
    }
}
