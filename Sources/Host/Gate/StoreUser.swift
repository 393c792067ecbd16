import Policies
import SignalKit

/// The users of Redis's ACL that a configuration needs, with the rights that they need and no others.
struct StoreUser {
    /// For every Redis server: what follows `ACL SETUSER`.
    let server: String
    /// For every Sentinel; nil without them.
    let sentinel: String?
    /// What a person has to know besides.
    var notes: [String] = []

    init(_ configuration: HostConfiguration) {
        let state = configuration.state
        var (name, database, isEmbedded): (String?, Int, Bool) = (nil, 0, false)
        var sentinels: HostConfiguration.Store.Sentinel?
        switch state.store {
        case .embedded:
            isEmbedded = true
            notes.append("state.redis is embedded: that server takes nobody but its host, and needs no user")
        case .tcp(_, _, let number, let username, _, _), .unix(_, let number, let username, _):
            (name, database) = (username, number)
        case .sentinel(let watched, let username, _): (name, sentinels) = (username, watched)
        }
        if name == nil || name == Self.everybody, !isEmbedded {
            notes.append("state.redis has no username of its own yet: add username: \(Self.usual)")
        }
        let rights =
            Self.sent(configuration.durability, database: database)
            + CanaryCalls(configuration.gatePolicies.map { type(of: $0).step }).commands.map { $0.lowercased() }
        server =
            Self.beginning(name ?? Self.usual) + "resetchannels resetkeys ~{\(state.prefix)}:* -@all "
            + rights.map { "+\($0)" }.joined(separator: " ")
        sentinel = sentinels.map {
            Self.beginning($0.username ?? Self.usual + "-sentinel")
                + "resetkeys -@all +sentinel|get-master-addr-by-name +subscribe resetchannels &+switch-master"
        }
    }

    /// Besides what its scripts run. `AUTH` needs no right.
    static func sent(_ durability: Persist.Durability, database: Int) -> [String] {
        var words = ["role", "info"]
        switch durability {
        case .fsync: words.append("config|get")
        case .replicas: words.append("wait")
        case .unverified: break
        }
        if database != 0 { words.append("select") }
        // The name in CLIENT LIST is a courtesy, and without it works all the same.
        return words + ["client|setname", "script|exists", "script|load", "evalsha"]
    }

    private static let usual = "portcullis"
    private static let everybody = "default"

    /// Redis reads its log as the user `default`, who must keep all rights.
    private static func beginning(_ name: String) -> String { "\(name == everybody ? usual : name) on >PASSWORD " }
}
