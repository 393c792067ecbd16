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

    /// - Parameter givesUp: after the first answer that is no 2xx.
    private func tell(
        _ host: HostProcess, _ alert: Alert, _ firing: Firing, resolved: Bool, from first: Duration = .milliseconds(50),
        givesUp: Bool = false
    ) async throws {
        var pause = first
        ledger.sending(firing)
        while true {
            let start = ContinuousClock.now
            let answer = try? await host.post(alert, timeout: .seconds(5))
            ledger.answered(firing, resolved: resolved, answer, after: start.duration(to: .now))
            if let answer, (200..<300).contains(answer.status) { return }
            if givesUp { return }
            guard ContinuousClock.now < deadline else {
                throw TestFailure("\(firing) is refused for ever: \(answer?.text ?? "no answer")")
            }
            // As a sender backs off.
            try await Task.sleep(for: pause)
            pause = min(pause * 2, first * 8)
        }
    }

    /// Problems that fire once, each told to one host, as fast as it answers: what a fault finds half done. Of those that are
    /// refused a third is never told again.
    func stream(_ prefix: String, most: Int, until over: Flag) async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for lane in 0..<Self.lanes {
                tasks.addTask {
                    for number in stride(from: lane, to: most, by: Self.lanes) where !over.isRaised {
                        let firing = Firing("\(prefix)s\(number)", 1)
                        try await tell(
                            hosts[number % hosts.count], firing.alert(resolved: false), firing, resolved: false,
                            from: .milliseconds(10), givesUp: number % 3 == 0)
                    }
                }
            }
            try await tasks.waitForAll()
        }
    }
    private static let lanes = 3
}
