import Redis
import SignalKit

/// The whole file, read and checked. Plugins are built; nothing is opened.
struct HostConfiguration: Sendable {
    struct Limits: Sendable {
        /// bytes of one body
        var body = 64 << 20
        /// requests at once
        var inFlight = 1_024
        /// bytes of all bodies in memory at once
        var inFlightBytes = 256 << 20
        /// held by a listener at once, idle ones too
        var connections = 4_096
        /// for a whole request, from its first byte to its answer
        var deadline: Duration = .seconds(8)
        /// for a request's header to arrive
        var header: Duration = .seconds(10)
        /// of a kept-alive connection; Prometheus holds its own for 5 minutes and does not replay a POST
        var idle: Duration = .seconds(330)
    }

    struct Address: Sendable, Equatable {
        var host: String
        var port: Int
    }

    struct TLS: Sendable, Equatable {
        var certificate: String
        var key: String
    }

    struct Server: Sendable {
        var listen: Address
        var admin: Address?
        var adminTokenFile: String?
        /// Names of the admin listener in `Host`, besides loopback and its own address.
        var adminHosts: [String] = []
        var limits: Limits
        var tls: TLS?
    }

    enum Authentication: Sendable, Equatable {
        case none
        case bearer(tokenFile: String)
        /// HMAC-SHA-256 of the body, hex, in `header`, with or without `sha256=` before it.
        case hmac(keyFile: String, header: String)
        /// A service account's token, which the API server vouches for and lets post to the route's path.
        case kubernetes(Kubernetes)

        struct Kubernetes: Sendable, Equatable {
            /// Nil in a pod.
            var kubeconfig: String?
            /// Those of which the token must be meant for one; none for the API server's own.
            var audiences: [String]
        }

        /// For `WWW-Authenticate`, which every 401 must have (RFC 9110, 15.5.2).
        var scheme: String {
            if case .hmac = self { "HMAC-SHA256" } else { "Bearer" }
        }
    }

    enum Store: Sendable, Equatable {
        /// The host runs its own redis-server under this directory.
        /// - memory: bytes of data that it may hold; nil for a share of the machine's.
        case embedded(directory: String, memory: Int? = nil)
        case tcp(
            host: String, port: Int, database: Int, username: String?, passwordFile: String?, tls: RedisTLS? = nil)
        case unix(path: String, database: Int, username: String?, passwordFile: String?)
        /// A master that these know of; each of the two kinds of servers has a login of its own.
        case sentinel(Sentinel, username: String?, passwordFile: String?)

        struct Sentinel: Sendable, Equatable {
            var master: String
            var nodes: [Address]
            var username: String?
            var passwordFile: String?
            /// With them, and with the servers that they know.
            var tls: RedisTLS?
        }
    }

    struct State: Sendable {
        var store: Store
        /// per command
        var timeout: Duration
        /// keys are `{prefix}:…`
        var prefix: String
        /// Tests only: Lua in front of every script, which defines `read_time`; nil for the server's own time.
        var prologue: String?
        /// How long a host waits for the replay buffers of others at a store that it meets for the first time.
        var peerWait: Duration

        /// - Parameter peerWait: nil for the usual one: an idle host sees another store within a second, and may hang at the old
        ///   one for a time-out before that.
        init(store: Store, timeout: Duration, prefix: String, peerWait: Duration? = nil, prologue: String? = nil) {
            (self.store, self.timeout, self.prefix, self.prologue) = (store, timeout, prefix, prologue)
            self.peerWait = peerWait ?? Self.usualPeerWait(timeout)
        }

        static func usualPeerWait(_ timeout: Duration) -> Duration { max(.seconds(2), timeout * 2) }
    }

    struct Route: Sendable {
        let adapter: PluginID
        let path: String
        let authentication: Authentication
        /// False when its senders report no ends: their problems end by time, and they are no reporter of one.
        var resolves = true
        let plugin: any SignalAdapter
    }

    struct SourceEntry: Sendable {
        /// What it keeps in the store goes by this.
        let name: PluginID
        let use: PluginID
        /// The adapter that reads what it fetches.
        let feeds: PluginID
        let plugin: any SignalSource
    }

    struct InProcessPolicy: Sendable {
        let id: PluginID
        let mode: FailureMode
        let plugin: any Policy
    }

    enum WhenFull: String, Sendable, CaseIterable {
        case refuse
        case deadLetter = "dead-letter"
    }

    struct SinkEntry: Sendable {
        let name: PluginID
        let use: PluginID
        let whenFull: WhenFull
        let plugin: any Sink
    }

    let server: Server
    let state: State
    let routes: [Route]
    let policies: [InProcessPolicy]
    /// In file order, `persist` last.
    let gatePolicies: [any GatePolicy]
    let sinks: [SinkEntry]
    var sources: [SourceEntry] = []
    /// What is allowed and probably not meant, by place in the file.
    var warnings: [ConfigError] = []
    /// Files that could not be used when the configuration was read. They are read again when they are needed.
    var fileWarnings: [ConfigError] = []
}
