import SignalKit

/// What became of one signal of a request, as the outcome document lists it.
struct SignalOutcome: Sendable {
    let fingerprint: Fingerprint
    let name: String
    let verdict: Verdict
    /// Known for accepted, duplicate, aggregated and resolved.
    let episode: Int64?
    let count: Int64?
}

/// A request that was answered: every signal has a verdict other than `unavailable`, every bad item is stored.
struct Outcome: Sendable {
    let signals: [SignalOutcome]
    /// Place in the request and reason, as stored.
    let deadLetters: [(index: Int, reason: String)]
}

/// A request that was not taken, and why. `StatusTable` gives each its status.
enum Refusal: Sendable, Equatable {
    /// Somebody could not vouch for a signal: `deduplication service unavailable`, with what follows it.
    case unavailable(detail: String)
    /// Every signal is confirmed, and some items that can't be read found no room as dead letters.
    case deadLettersFull(detail: String, items: Int)
    /// Past a host-wide bound, or the request's deadline.
    case overloaded(detail: String)
    case shuttingDown
    case malformed(message: String, offset: Int?, path: String?)
    /// The way that would be taken, as the answer names it: `Bearer`.
    case unauthenticated(scheme: String)
    case forbidden
    case unknownPath
    case wrongMethod(allowed: String)
    case tooLarge(limit: Int)
    case wrongMediaType
    /// The body is compressed.
    case wrongContentCoding
    /// A request that breaks a rule of HTTP/1.1.
    case badRequest(detail: String)
    /// What can't happen did. On the road of a signal nothing can throw what is not among these; the operator API may say it.
    case bug
}

enum IntakeAnswer: Sendable {
    case taken(Outcome)
    case refused(Refusal)
}
