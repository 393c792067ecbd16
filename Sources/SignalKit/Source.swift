/// Why a source could not be told, or could not write down, how far it has come.
public struct SourceError: Error, Hashable, Sendable {
    public enum Code: String, Sendable, CaseIterable {
        /// The store can't be asked now; what was asked may or may not have been done.
        case unavailable
        /// Another host runs this source by now.
        case superseded
    }
    public let code: Code
    /// For the operator.
    public let message: String

    public init(_ code: Code, _ message: String) { (self.code, self.message) = (code, message) }
}

/// What a source may do: hand bodies to its adapter, and keep in the store how far it has come. Everything it keeps is the
/// source's own, under its configured name, and reaches whichever host runs it next.
public protocol SignalIntake: Sendable {
    /// Takes a JSON body as if it had been posted to the adapter that the source feeds.
    /// - Returns: the HTTP status that a sender would have got; a source must not move on before it is 2xx.
    func take(_ body: [UInt8]) async -> Int

    /// Where this source had come to, in its own words.
    /// - Parameter part: of what it reads, if it reads several things: a namespace.
    /// - Returns: nil at the very first start, and after a week without a move.
    func checkpoint(_ part: String) async throws(SourceError) -> String?

    /// - Returns: for each key what `move` remembered within the last two hours, in the keys' order.
    func recall(_ keys: [String]) async throws(SourceError) -> [String?]

    /// Moves on, and remembers. Refused with `superseded` when this host is no longer the one that runs the source.
    /// - Parameter checkpoint: nil leaves it as it is.
    func move(
        _ part: String, to checkpoint: String?, remembering: [(key: String, value: String)]
    ) async throws(SourceError)

    /// Says whether nothing that happens now can be missed: the time for which that is not so is a metric. Nothing is read while
    /// `take` refuses, so a source says false meanwhile.
    func watching(_ part: String, _ isWatching: Bool)

    /// Says that the source left out items which the adapter can't read: a metric counts them.
    func dropped(_ count: Int)
}

/// Pulls signals from somewhere and feeds them to an adapter. One host at a time runs it.
public protocol SignalSource: Plugin {
    /// Adapters that can read what it fetches; a file that feeds it to another is refused.
    static var feeds: Set<PluginID> { get }

    /// Runs until cancelled. Throwing ends this run; the host starts it again with back-off.
    func run(_ intake: any SignalIntake) async throws
}
