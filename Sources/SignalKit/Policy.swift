/// What surrounds the decision about one signal.
public struct PolicyContext: Sendable {
    /// The adapter that read the signal.
    public let adapter: PluginID
    public let receivedAt: Timestamp
    public init(adapter: PluginID, receivedAt: Timestamp) { (self.adapter, self.receivedAt) = (adapter, receivedAt) }
}

/// Why a policy could not decide.
public struct PolicyError: Error, Hashable, Sendable {
    public enum Code: String, Sendable, CaseIterable { case unavailable, timeout, rejected, bug }
    public let code: Code
    /// For the operator. No value from the signal.
    public let message: String
    public init(_ code: Code, _ message: String) { (self.code, self.message) = (code, message) }
}

/// A stage that decides in the host process, before the gate.
public protocol Policy: Plugin {
    /// What an error means here. Configuration may tighten it, never loosen it.
    static var failureMode: FailureMode { get }

    /// - Throws: `PolicyError` when it can't decide; `failureMode` says what follows.
    func evaluate(_ signal: Signal, _ context: PolicyContext) async throws(PolicyError) -> PolicyDecision
}

/// A constant of a gate policy, compiled into the script.
public struct GateSetting: Sendable, Equatable {
    public enum Value: Sendable, Equatable {
        /// Durations are milliseconds.
        case integer(Int64)
        case text(String)
    }
    public let name: String
    public let value: Value
    public init(_ name: String, _ value: Value) { (self.name, self.value) = (name, value) }
}

/// What a gate policy tells the script about one signal.
public enum GateArgument: Sendable, Equatable {
    case text(String)
    case bytes([UInt8])
    case integer(Int64)
}

/// A stage that decides inside the store, atomically with all the others. Closed by construction.
public protocol GatePolicy: Plugin {
    static var step: GateStep { get }

    /// Constants, read in Lua as `settings.<name>`.
    var settings: [GateSetting] { get }

    /// How many arguments `arguments(for:)` returns, always.
    static var argumentCount: Int { get }

    /// Read in Lua as `signal.arguments[1...]`.
    func arguments(for signal: Signal) -> [GateArgument]
}
