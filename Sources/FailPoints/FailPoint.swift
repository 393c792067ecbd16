#if FAILPOINTS
    import Glibc
    import Synchronization
#endif

/// Instants at which a host may die with a promise half kept.
///
/// Only a debug build has them (`FAILPOINTS`, Package.swift; decision 0028). There `PORTCULLIS_FAILPOINT=<name>[:<hit>]` kills the process at the
/// first or the given hit, after it wrote the name to the file `PORTCULLIS_FAILPOINT_LOG`. In a release build `hit` is empty, and
/// the host reads neither variable.
package enum FailPoint: Sendable {
    /// The gate has decided and written; the sender has no answer yet.
    case gateReplied
    /// The sender has its answer.
    case answered
    /// A delivery is this host's for the length of the lease: claimed, or handed over.
    case claimed
    /// The lines are written, and not yet on the disk.
    case sinkWritten
    case sinkSynced
    /// The API server has an object whose state is still to be written.
    case objectCreated

    #if FAILPOINTS
        package static func hit(_ point: FailPoint) { armed?.hit(point) }

        private static let armed = Armed()

        private static let names: [String: FailPoint] = [
            "gate-replied": .gateReplied, "answered": .answered, "claimed": .claimed, "sink-written": .sinkWritten,
            "sink-synced": .sinkSynced, "object-created": .objectCreated,
        ]

        private final class Armed: Sendable {
            private let name: String
            private let point: FailPoint
            private let left: Mutex<Int>

            init?() {
                guard let text = getenv("PORTCULLIS_FAILPOINT").map({ String(cString: $0) }), !text.isEmpty else {
                    return nil
                }
                let parts = text.split(separator: ":")
                name = String(parts[0])
                guard let point = FailPoint.names[name] else { return nil }
                self.point = point
                left = Mutex(parts.count > 1 ? Int(parts[1]) ?? 1 : 1)
            }

            func hit(_ point: FailPoint) {
                guard point == self.point else { return }
                let isLast = left.withLock { left in
                    left -= 1
                    return left == 0
                }
                guard isLast else { return }
                if let log = getenv("PORTCULLIS_FAILPOINT_LOG"), let file = fopen(log, "a") {
                    fputs("\(name)\n", file)
                    fclose(file)
                }
                kill(getpid(), SIGKILL)
            }
        }
    #else
        @inlinable package static func hit(_ point: FailPoint) {}
    #endif
}
