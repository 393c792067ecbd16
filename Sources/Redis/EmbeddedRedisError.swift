/// Why the embedded store can't run. The message names the directory and says what to do.
public struct EmbeddedRedisError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Code: String, Sendable, CaseIterable {
        /// The directory can't be made or written.
        case directory
        /// Another host has the directory.
        case locked
        /// No `redis-server` on the path.
        case missing
        /// It was started and ended again, or could not be started.
        case failed
        /// It does not answer.
        case unresponsive
        /// A server left behind by an earlier host runs with settings that do not protect the data.
        case settings
    }

    public let code: Code
    public let message: String

    init(_ code: Code, _ message: String) { (self.code, self.message) = (code, message) }

    public var description: String { message }
}
