import NIOCore
import SignalKit

/// Takes a request that was read whole.
protocol Taking: Sendable {
    /// - Parameters:
    ///   - eventLoop: of the request's connection, whose connection to the store is used.
    ///   - deadline: what is not decided by then is unavailable.
    func take(
        _ request: InboundRequest, route: HostConfiguration.Route, requestID: String, eventLoop: (any EventLoop)?,
        deadline: ContinuousClock.Instant
    ) async -> IntakeAnswer
}

/// What `/readyz` says.
protocol Readiness: Sendable {
    var storeShut: String? { get }
    var warnings: [String] { get }
}

/// Operator requests under `/api/v1` of the admin listener.
protocol OperatorAPI: Sendable {
    func answer(_ request: OperatorRequest) async -> OperatorAnswer
}

struct OperatorRequest: Sendable {
    let method: String
    /// After `/api/v1`: `/dead-letters/abc`.
    let path: String
    let query: [String: String]
    let requestID: String
}

enum OperatorAnswer: Sendable {
    case document(status: Int, [UInt8])
    case problem(Problem)
}
