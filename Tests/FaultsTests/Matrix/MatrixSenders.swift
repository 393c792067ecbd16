import TestSupport

/// Senders that are told the same, as Alertmanagers of one mesh, and that each tell every host until it says yes.
struct MatrixSenders: Sendable {
    let hosts: [HostProcess]
    let count: Int
    let ledger: Ledger
    let deadline: ContinuousClock.Instant

    /// Returns when every sender has a 2xx of every host.
    func tell(_ firing: Firing, resolved: Bool) async throws {
        let alert = firing.alert(resolved: resolved)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for host in hosts {
                for _ in 0..<count {
                    tasks.addTask { try await tell(host, alert, firing, resolved: resolved) }
                }
            }
            try await tasks.waitForAll()
        }
    }

    private func tell(_ host: HostProcess, _ alert: Alert, _ firing: Firing, resolved: Bool) async throws {
        var pause = Duration.milliseconds(50)
        while true {
            let start = ContinuousClock.now
            let answer = try? await host.post(alert, timeout: .seconds(5))
            ledger.answered(firing, resolved: resolved, answer, after: start.duration(to: .now))
            if let answer, (200..<300).contains(answer.status) { return }
            guard ContinuousClock.now < deadline else {
                throw TestFailure("\(firing) is refused for ever: \(answer?.text ?? "no answer")")
            }
            // As a sender backs off.
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(400))
        }
    }
}
