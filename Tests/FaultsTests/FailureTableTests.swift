import Glibc
import Synchronization
import TestSupport
import Testing

/// The failure table that this product began with, measured on it: three Redis, three Sentinels, two hosts, and senders that
/// try again until they are told yes.
@Suite(.serialized) struct FailureTableTests {
    @Test func theTable() async throws {
        let group = try await RedisGroup(replicas: 2, down: 1_000)
        var plan = HostPlan(
            state: "  redis: {sentinel: {master: \(RedisGroup.name), nodes: [\(group.nodes)]}}\n  timeout: 500ms")
        plan.policies =
            "  - {use: deduplicate}\n  - {use: storm}\n  - {use: persist, durability: {replicas: 1}}"
        let hosts = [try await HostProcess(plan), try await HostProcess(plan)]
        let senders = RetryingSenders(hosts)
        let sending = Task { await senders.run(4) }
        try await senders.goOn(50)
        var rows: [String] = []
        func note(_ name: String, _ row: RetryingSenders.Window) {
            rows.append("\(name) | \(row.refused) of \(row.attempts) | \(row.seconds) | \(row.slowest)")
            #expect(row.unanswered == 0, "\(name): \(row.unanswered) without an answer")
            // A time-out of the store, once for the batch that it waits behind, and once for its own.
            #expect(row.slowestTime < .seconds(2), "\(name): \(row.slowest)")
        }

        var began = ContinuousClock.now
        let idle = try await replicas(of: group)
        idle[0].kill()
        try await senders.goOn(200)
        let one = senders.window(since: began)
        note("one replica down", one)
        #expect(one.refused == 0)
        try await idle[0].start()
        try await together(group)

        let found = try await failover(of: group, senders)
        note("master killed", found.window)
        rows.append("  of it the Sentinels' detection and election | | \(RetryingSenders.text(found.sentinels)) | ")
        #expect(
            found.outage <= found.sentinels + Self.ours,
            "the Sentinels took \(found.sentinels), senders saw \(found.outage)")

        for (name, all) in [("two replicas down", false), ("all down", true)] {
            began = .now
            var down = try await replicas(of: group)
            if all { down.append(try await self.master(of: group)) }
            for server in down { server.kill() }
            try await eventually("a 503", within: .seconds(10)) { senders.window(since: began).refused > 0 }
            let shut = ContinuousClock.now
            try await eventually("many 503", within: .seconds(30)) { senders.window(since: shut).refused > 100 }
            let meanwhile = senders.window(since: shut)
            #expect(meanwhile.refused == meanwhile.attempts, "\(name): something was taken")
            for server in down.reversed() { try await server.start() }
            try await senders.goOn(200)
            note(name, senders.window(since: began))
            try await together(group)
        }

        senders.stop()
        await sending.value
        let told = senders.told
        try await eventually("every problem in a sink", within: .seconds(60), every: .milliseconds(200)) {
            Set(try hosts.flatMap { try $0.deliveries().map(\.name) }).count >= told.count
        }
        var episodes: [String: Set<String>] = [:]
        for delivery in try hosts.flatMap({ try $0.deliveries() }) {
            episodes[delivery.name, default: []].insert(delivery.episode)
        }
        let lost = told.filter { episodes[$0] == nil }
        let twice = episodes.filter { $0.value.count > 1 }
        print(
            """
            what is down | 503 | seconds of 503 | slowest 503
            \(rows.joined(separator: "\n"))
            \(told.count) problems: duplicates \(twice.count), lost \(lost.count)
            """)
        #expect(lost.isEmpty)
        #expect(twice.isEmpty)
    }

    /// What a host may add to the time in which the Sentinels find another master.
    private static let ours = Duration.milliseconds(500)

    /// Kills the master until an outage was no longer than it may be, three times at most: a machine that stands still makes one
    /// longer, and nothing makes one shorter.
    private func failover(
        of group: RedisGroup, _ senders: RetryingSenders
    ) async throws -> (window: RetryingSenders.Window, outage: Duration, sentinels: Duration) {
        var left = 3
        while true {
            left -= 1
            let began = ContinuousClock.now
            let master = try await master(of: group)
            let killed = WallClock.now
            master.kill()
            try await eventually("another master", within: .seconds(60)) {
                try await group.masterPort() != master.port
            }
            try await senders.goOn(200)
            let window = senders.window(since: began)
            #expect(window.refused > 0)
            let switched = try #require(
                group.sentinels.compactMap { WallClock.switched(after: killed, in: $0.output) }.min())
            let outage = began.duration(to: try #require(window.end))
            let sentinels = Duration.milliseconds(switched - killed)
            try await master.start()
            try await together(group)
            if outage <= sentinels + Self.ours || left == 0 { return (window, outage, sentinels) }
            print("an outage of \(outage), of which the Sentinels took \(sentinels): once more")
        }
    }

    private func master(of group: RedisGroup) async throws -> RedisServer {
        let port = try await group.masterPort()
        return try #require(group.servers.first { $0.port == port })
    }

    private func replicas(of group: RedisGroup) async throws -> [RedisServer] {
        let port = try await group.masterPort()
        return group.servers.filter { $0.port != port }
    }

    /// Two replicas in step, and a master that all Sentinels take for one.
    private func together(_ group: RedisGroup) async throws {
        try await eventually("two replicas in step", within: .seconds(90), every: .milliseconds(100)) {
            let master = try await master(of: group)
            let info = try? await master.command("INFO", "replication").string
            return (info ?? "").split(whereSeparator: \.isNewline).filter { $0.contains("state=online") }.count == 2
        }
    }
}

/// Each tells one problem after the other, in turn to every host, and the same again until it is told yes.
private final class RetryingSenders: Sendable {
    private struct Attempt: Sendable {
        let began: ContinuousClock.Instant
        let took: Duration
        /// Nil without an answer.
        let status: Int?
    }
    private struct State: Sendable {
        var attempts: [Attempt] = []
        var told: [String] = []
        var stopped = false
    }
    private let hosts: [HostProcess]
    private let state = Mutex(State())

    init(_ hosts: [HostProcess]) { self.hosts = hosts }

    /// Problems that were told and taken.
    var told: [String] { state.withLock { $0.told } }
    func stop() { state.withLock { $0.stopped = true } }

    func run(_ count: Int) async {
        await withTaskGroup(of: Void.self) { tasks in
            for sender in 0..<count { tasks.addTask { await self.send(sender) } }
        }
    }

    /// Waits until so many more have been taken.
    func goOn(_ count: Int) async throws {
        let before = told.count
        try await eventually("\(count) more that are taken", within: .seconds(120)) { told.count >= before + count }
    }

    private func send(_ sender: Int) async {
        var (number, turn) = (0, sender)
        while !state.withLock({ $0.stopped }) {
            let name = "Row\(sender)x\(number)"
            number += 1
            while true {
                let host = hosts[turn % hosts.count]
                turn += 1
                let began = ContinuousClock.now
                let status = (try? await host.post(Alert(name)))?.status
                state.withLock { state in
                    state.attempts.append(Attempt(began: began, took: began.duration(to: .now), status: status))
                }
                if let status, (200..<300).contains(status) { break }
                try? await Task.sleep(for: .milliseconds(50))
            }
            state.withLock { $0.told.append(name) }
            try? await Task.sleep(for: .milliseconds(10))
        }
    }

    struct Window: Sendable {
        var attempts = 0
        var refused = 0
        var unanswered = 0
        var slowestTime = Duration.zero
        var start: ContinuousClock.Instant?
        /// Of the last 503.
        var end: ContinuousClock.Instant?

        var seconds: String {
            start.flatMap { start in end.map { RetryingSenders.text(start.duration(to: $0)) } } ?? "0"
        }
        var slowest: String { refused > 0 ? RetryingSenders.text(slowestTime) : "-" }
    }

    /// What became of attempts that began after `time`.
    func window(since time: ContinuousClock.Instant) -> Window {
        state.withLock { state in
            var window = Window()
            for attempt in state.attempts where attempt.began >= time {
                window.attempts += 1
                if attempt.status == nil { window.unanswered += 1 }
                guard attempt.status == 503 else { continue }
                window.refused += 1
                window.slowestTime = max(window.slowestTime, attempt.took)
                window.start = min(window.start ?? attempt.began, attempt.began)
                window.end = max(window.end ?? attempt.began, attempt.began + attempt.took)
            }
            return window
        }
    }

    /// Seconds with three places.
    static func text(_ time: Duration) -> String {
        let milliseconds = time.components.seconds * 1_000 + time.components.attoseconds / 1_000_000_000_000_000
        let rest = String(milliseconds % 1_000)
        return "\(milliseconds / 1_000).\(String(repeating: "0", count: 3 - rest.count))\(rest)"
    }
}

/// Times of day in ms, as the Sentinels write them.
private enum WallClock {
    static var now: Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var parts = tm()
        localtime_r(&time.tv_sec, &parts)
        return ((Int(parts.tm_hour) * 60 + Int(parts.tm_min)) * 60 + Int(parts.tm_sec)) * 1_000 + time.tv_nsec
            / 1_000_000
    }

    /// Of the first `+switch-master` after a time: `123:X 25 Nov 2026 21:36:17.123 # +switch-master …`; later than midnight counts on.
    static func switched(after time: Int, in log: String) -> Int? {
        for line in log.split(separator: "\n") where line.contains("+switch-master") {
            let words = line.split(separator: " ")
            guard words.count > 4 else { continue }
            let parts = words[4].split { ":.".contains($0) }.compactMap { Int($0) }
            guard parts.count == 4 else { continue }
            var found = ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1_000 + parts[3]
            if found < time - 43_200_000 { found += 86_400_000 }
            if found >= time { return found }
        }
        return nil
    }
}
