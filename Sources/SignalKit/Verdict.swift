/// What became of one signal. The raw value is the word in responses, metrics and logs.
public enum Verdict: String, Sendable, CaseIterable {
    /// A new episode, durably queued for every sink.
    case accepted
    /// The problem is known and already stored.
    case duplicate
    /// A member of a storm; the storm is what sinks get.
    case aggregated
    /// The end of an episode, durably queued.
    case resolved
    /// The end of something that was never seen.
    case ignored
    /// A policy does not want it.
    case filtered
    /// Stored with its reason, for a person to replay or drop.
    case deadLettered = "dead-lettered"
    /// Nobody could vouch for it; the sender must try again.
    case unavailable
}

/// What an in-process policy says of one signal.
public enum PolicyDecision: Sendable, Equatable {
    case pass
    /// Go on with this signal instead. Its identity must be unchanged.
    case replace(Signal)
    /// Stop here: the signal is not wanted. The reason is for `portcullis try` and debug logs.
    case filter(reason: String)
}

/// Declared by every policy type; there is no default.
public enum FailureMode: Sendable, Equatable {
    /// An error refuses the signal: the sender gets a 503.
    case closed
    /// An error skips this stage and labels the signal `degraded`. Say why that is right.
    case open(because: String)
}
