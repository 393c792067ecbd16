import Synchronization

/// Warnings that the API server sends with an answer (`Warning:` headers), such as a field that the kind does not have. The
/// same one comes with every answer: each is logged once an hour.
final class WarningLog: Sendable {
    static let interval = Duration.seconds(3_600)
    /// Different texts that are remembered; past it none is logged before the hour of an old one is over.
    static let most = 32

    private let log: @Sendable (String) -> Void
    private let told = Mutex<[String: ContinuousClock.Instant]>([:])

    init(_ log: @escaping @Sendable (String) -> Void) { self.log = log }

    func note(_ warnings: [String]) {
        guard !warnings.isEmpty else { return }
        let now = ContinuousClock.now
        let fresh = told.withLock { told in
            told = told.filter { $0.value.duration(to: now) < Self.interval }
            return warnings.filter { text in
                guard told.count < Self.most, told[text] == nil else { return false }
                told[text] = now
                return true
            }
        }
        for text in fresh { log("the API server warns: \(text)") }
    }
}
