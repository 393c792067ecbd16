public import SignalKit

/// Lets the first report of an episode pass; its repeats, late retries and end stop here.
public struct Deduplicate: GatePolicy {
    public static let id: PluginID = "deduplicate"
    public static let step = GateStep(
        service: "deduplication", commands: [],
        source: String(decoding: PackageResources.deduplicate_lua, as: UTF8.self))
    public static let argumentCount = 0

    /// How long a firing record lives without word of its sender, when the sender gave no `endsAt` in the future.
    /// kube-prometheus repeats every 12 h (`repeat_interval`; Alertmanager itself every 4 h): two of those and a margin.
    public let retention: Duration
    /// How long a record lives after its end.
    public let cooldown: Duration
    /// How long after an end a firing that began before it counts as a late retry.
    public let late: Duration
    /// At most this often the sinks hear of a grown count.
    public let updateEvery: Duration

    public init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        retention = try config.duration("retention", default: .hours(26), in: .minutes(1)...(.hours(24 * 30)))
        cooldown = try config.duration("cooldown", default: .minutes(15), in: .seconds(1)...(.hours(24 * 7)))
        late = try config.duration("late", default: .minutes(6), in: .zero...(.hours(24)))
        updateEvery = try config.duration("update_every", default: .minutes(10), in: .seconds(1)...(.hours(24)))
        if cooldown < late {
            config.report(
                "cooldown",
                "\(ConfigReader.text(cooldown)) is below late (\(ConfigReader.text(late))): a record must outlive the time in "
                    + "which a late retry is told from a new firing; raise cooldown or lower late")
        }
    }

    public var settings: [GateSetting] {
        [
            GateSetting("retention", .integer(retention.milliseconds)),
            GateSetting("cooldown", .integer(cooldown.milliseconds)),
            GateSetting("late", .integer(late.milliseconds)),
            GateSetting("update_every", .integer(updateEvery.milliseconds)),
        ]
    }

    public func arguments(for signal: Signal) -> [GateArgument] { [] }
}
