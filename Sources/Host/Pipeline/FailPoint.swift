import Glibc
import NIOConcurrencyHelpers

/// Instants at which a host may die with a promise half kept. `PORTCULLIS_FAILPOINT=<name>[:<hit>]` kills the process there,
/// at the first or the given hit, after the name was written to `PORTCULLIS_FAILPOINT_LOG`; without it nothing happens.
enum FailPoint: String, Sendable, CaseIterable {
    /// The gate has decided and written; the sender knows nothing yet.
    case gateReplied = "gate-replied"
    /// The sender has its answer.
    case answered
    /// A delivery is this host's for the length of the lease: claimed, or handed over.
    case claimed
    case sinkWritten = "sink-written"
    case sinkSynced = "sink-synced"
    /// The API server has an object whose state is still to be written.
    case objectCreated = "object-created"

    private static let armed = Armed(environment: "PORTCULLIS_FAILPOINT")

    @Sendable static func hit(_ point: FailPoint) { armed?.hit(point) }

    /// For sinks, which name the point.
    @Sendable static func hit(named name: String) {
        if armed != nil, let point = FailPoint(rawValue: name) { hit(point) }
    }

    private final class Armed: Sendable {
        private let point: FailPoint
        private let left: NIOLockedValueBox<Int>

        init?(environment: String) {
            guard let text = getenv(environment).map({ String(cString: $0) }), !text.isEmpty else { return nil }
            let parts = text.split(separator: ":")
            guard let point = FailPoint(rawValue: String(parts[0])) else { return nil }
            self.point = point
            left = NIOLockedValueBox(parts.count > 1 ? Int(parts[1]) ?? 1 : 1)
        }

        func hit(_ point: FailPoint) {
            guard point == self.point else { return }
            let last = left.withLockedValue { left in
                left -= 1
                return left == 0
            }
            guard last else { return }
            if let log = getenv("PORTCULLIS_FAILPOINT_LOG"), let file = fopen(log, "a") {
                fputs("\(point.rawValue)\n", file)
                fclose(file)
            }
            kill(getpid(), SIGKILL)
        }
    }
}
