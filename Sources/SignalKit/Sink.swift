/// A member of a storm as its delivery lists it.
public struct StormMember: Sendable, Hashable {
    /// 64 hex digits.
    public let fingerprint: String
    public let episode: Int64
    public let name: String
    public let target: Target?
    public let firing: Bool

    public init(fingerprint: String, episode: Int64, name: String, target: Target?, firing: Bool) {
        self.fingerprint = fingerprint
        self.episode = episode
        self.name = name
        self.target = target
        self.firing = firing
    }
}

/// Many new problems of one group in a short time.
public struct Storm: Sendable, Hashable {
    /// 32 hex digits of the group, `-`, the clock at its opening.
    public let id: String
    /// What the members have in common: the label names of `by` with their values.
    public let group: [Identity.Field]
    /// All members ever, and those that still fire.
    public let members: Int
    public let firing: Int
    /// The first ones, `list_members` at most.
    public let listed: [StormMember]

    public init(id: String, group: [Identity.Field], members: Int, firing: Int, listed: [StormMember]) {
        (self.id, self.group, self.members, self.firing, self.listed) = (id, group, members, firing, listed)
    }
}

/// The latest state of one episode or storm, for one sink.
public struct Delivery: Sendable {
    public enum Kind: String, Sendable { case signal, storm }
    public enum State: String, Sendable { case firing, resolved, open, closed }
    /// Why an episode ended when its source did not say so.
    public enum Reason: String, Sendable { case expired, forgotten }

    /// Episodes that a sink was never told of.
    public struct Skipped: Sendable, Hashable {
        public let episodes: Int64
        /// The start of the first of them.
        public let first: Timestamp
        public init(episodes: Int64, first: Timestamp) { (self.episodes, self.first) = (episodes, first) }
    }

    /// `<fingerprint>-<episode>-<version>`: the same whenever this state is delivered again. Counts may have
    /// grown in between.
    public let id: String
    public let kind: Kind
    public let state: State
    /// 64 hex digits; of a storm, its id.
    public let fingerprint: String
    /// Readings of the store's clock, in ms: an order, and a date only roughly.
    public let episode: Int64
    public let version: Int64
    /// The episode before this one, if the record knew one.
    public let follows: Int64?
    public let count: Int64
    public let first: Timestamp
    public let last: Timestamp
    public let reason: Reason?
    /// Nil for a storm, and for an end by `reason` whose document the store no longer held. Made anew at each look:
    /// not every sink asks.
    public var signal: Signal? { makeSignal() }
    private let makeSignal: @Sendable () -> Signal?
    public let storm: Storm?
    /// This sink has had an earlier state of this episode, and said so. What is gone there since was taken away by
    /// somebody. Always false for a sink without `needsHistory`.
    public let isUpdate: Bool
    /// Episodes of this problem before this one that this sink was never told of: they began, and mostly ended, while the delivery
    /// waited. Nil when there are none.
    public let skipped: Skipped?
    /// A reading of the store's clock: of what came before it the store knows nothing, because it was empty then.
    public let knownSince: Int64
    /// The whole delivery as one JSON object without a line break: what `jsonl` writes and `webhook` posts.
    public let json: [UInt8]

    public init(
        id: String, kind: Kind, state: State, fingerprint: String, episode: Int64, version: Int64, follows: Int64?,
        count: Int64, first: Timestamp, last: Timestamp, reason: Reason?, signal: Signal?, storm: Storm?,
        isUpdate: Bool = false, skipped: Skipped? = nil, knownSince: Int64 = .max, json: [UInt8]
    ) {
        self.init(
            id: id, kind: kind, state: state, fingerprint: fingerprint, episode: episode, version: version,
            follows: follows, count: count, first: first, last: last, reason: reason, storm: storm, isUpdate: isUpdate,
            skipped: skipped, knownSince: knownSince, json: json
        ) { signal }
    }

    package init(
        id: String, kind: Kind, state: State, fingerprint: String, episode: Int64, version: Int64, follows: Int64?,
        count: Int64, first: Timestamp, last: Timestamp, reason: Reason?, storm: Storm?, isUpdate: Bool,
        skipped: Skipped?, knownSince: Int64, json: [UInt8], signal: @escaping @Sendable () -> Signal?
    ) {
        self.id = id
        self.kind = kind
        self.state = state
        self.fingerprint = fingerprint
        self.episode = episode
        self.version = version
        self.follows = follows
        self.count = count
        self.first = first
        self.last = last
        self.reason = reason
        makeSignal = signal
        self.storm = storm
        self.isUpdate = isUpdate
        self.skipped = skipped
        self.knownSince = knownSince
        self.json = json
    }
}

public struct DeliveryContext: Sendable {
    /// From 1.
    public let attempt: Int
    /// When the claim ends; a sink should be done or have given up by then.
    public let deadline: ContinuousClock.Instant
    public init(attempt: Int, deadline: ContinuousClock.Instant) { (self.attempt, self.deadline) = (attempt, deadline) }
}

/// Why a delivery did not happen.
public struct SinkError: Error, Hashable, Sendable {
    public enum Code: String, Sendable, CaseIterable {
        case unreachable, timeout, refused, overloaded, denied, invalid, full, bug
    }
    /// What an error speaks of.
    public enum Scope: String, Sendable {
        /// This delivery: each failure is one of its attempts.
        case delivery
        /// The whole sink, which would take no delivery now: unreachable, no permission, its disk is full. It uses up no
        /// attempts. The host pauses the sink, and tries one delivery at a time until one succeeds.
        case sink
    }
    public let code: Code
    /// For the operator. No secret, no content of the signal.
    public let message: String
    /// False: trying again can't help, the delivery goes to the dead letters.
    public let retryable: Bool
    public let scope: Scope

    /// An error about one delivery.
    public init(_ code: Code, _ message: String, retryable: Bool) {
        (self.code, self.message, self.retryable, scope) = (code, message, retryable, .delivery)
    }

    /// An error about the whole sink, which is always worth another try.
    public init(wholeSink code: Code, _ message: String) {
        (self.code, self.message, retryable, scope) = (code, message, true, .sink)
    }
}

/// Hands deliveries outward. Delivering the same delivery twice, or an older one after a newer, must be harmless.
public protocol Sink: Plugin {
    /// Whether the store should remember which episode this sink has last had, for `Delivery.isUpdate`. It costs some
    /// 100 bytes of Redis for each known problem; false if nothing is said.
    static var needsHistory: Bool { get }
    /// Deliveries that may be under way at once; 64 if nothing is said. More for a sink that takes many in one go.
    static var concurrency: Int { get }

    /// Returns when the delivery is as durable as this sink makes it. Called concurrently.
    /// - Throws: `SinkError`; a retryable one brings the episode back later, in its latest state. `SinkError.Scope` says what
    ///   becomes of its attempts.
    func deliver(_ delivery: Delivery, _ context: DeliveryContext) async throws(SinkError)

    /// Work beside the deliveries, such as deleting what is old. Called once, when deliveries begin, and cancelled when they end.
    func maintain() async

    /// Called once, after the last `deliver` has returned.
    func close() async
}

/// A sink that has many deliveries for little more than the price of one: lines of one file, rows of one transaction.
public protocol BatchSink: Sink {
    /// As `deliver`, for several that share their fate: each is delivered when it returns, or none counts as delivered.
    /// - Throws: `SinkError`; a retryable one brings all of them back later, so it should speak of what concerns all. After another
    ///   one they come one by one.
    func deliver(_ deliveries: [(delivery: Delivery, context: DeliveryContext)]) async throws(SinkError)
}

extension BatchSink {
    public func deliver(_ delivery: Delivery, _ context: DeliveryContext) async throws(SinkError) {
        try await deliver([(delivery, context)])
    }
}

extension Sink {
    public static var needsHistory: Bool { false }
    public static var concurrency: Int { 64 }
    public func maintain() async {}
    public func close() async {}
}
