import Policies
import Redis
import SignalKit

/// The scripts of delivery, the sweeper and the operator. All carry `allow-oom`, or a full store would never drain.
struct DeliveryScripts: Sendable {
    let clockKey: String
    let prefix: String
    let claim, inFlight, release, acknowledge, retry, resume, bury, sweep, stats, replay, drop, letters, storms,
        queues: RedisScript
    /// Of `deduplicate`, for records that the sweeper ends and those that a replay restores.
    let cooldown: Duration

    init(_ configuration: HostConfiguration) {
        let composer = ScriptComposer(configuration)
        func script(_ name: String, _ body: [UInt8]) -> RedisScript {
            composer.script(name, body, flags: "allow-oom")
        }
        prefix = configuration.state.prefix
        clockKey = StoreKeys.clock(prefix)
        claim = script("claim", PackageResources.claim_lua)
        inFlight = script("in-flight", PackageResources.inflight_lua)
        release = script("release", PackageResources.release_lua)
        acknowledge = script("acknowledge", PackageResources.current_lua + PackageResources.acknowledge_lua)
        retry = script("retry", PackageResources.current_lua + PackageResources.retry_lua)
        resume = script("resume", PackageResources.resume_lua)
        bury = script("bury", PackageResources.bury_lua)
        sweep = script("sweep", PackageResources.sweep_lua)
        stats = script("stats", PackageResources.stats_lua)
        replay = script("replay", PackageResources.replay_lua)
        drop = script("drop", PackageResources.drop_lua)
        letters = script("letters", PackageResources.letters_lua)
        storms = script("storms", PackageResources.storms_lua)
        queues = script("queues", PackageResources.queues_lua)
        cooldown =
            configuration.gatePolicies.lazy.compactMap { $0 as? Deduplicate }.first?.cooldown ?? .minutes(15)
    }

    var all: [RedisScript] {
        [
            claim, inFlight, release, acknowledge, retry, resume, bury, sweep, stats, replay, drop, letters, storms,
            queues,
        ]
    }
}
