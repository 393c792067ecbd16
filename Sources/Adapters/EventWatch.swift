import JSON
import Kubernetes
import SignalKit

/// Events of one namespace, or of all: list, watch, and again. SENDERS.md has what a server answers when.
struct EventWatch: Sendable {
    /// Events of a page of a list.
    static let page = 500
    /// Lines of a watch that are handed over at once.
    static let batch = 256
    /// Watches that fail one after the other before their beginning is no longer believed in.
    static let tries = 3
    /// of the pause after a failure: doubled each time, up to the second
    static let pause = (first: Duration.milliseconds(500), most: Duration.seconds(30))
    /// of a `Retry-After` that is believed
    static let longest = Duration.seconds(300)
    /// what ends sooner has hardly begun
    static let hasty = Duration.seconds(2)

    let client: KubernetesClient
    /// Nil for all.
    let namespace: String?
    let feed: EventFeed
    let log: @Sendable (Services.Level, String) -> Void

    private var collection: String {
        guard let namespace else { return "/api/v1/events" }
        return "/api/v1/namespaces/\(KubernetesRequest.encoded(namespace))/events"
    }

    /// - Throws: `SourceError`, and `CancellationError`.
    func run() async throws {
        feed.watching(false)
        var position = try await feed.checkpoint()
        var failures = 0
        var hasty = 0
        while true {
            try Task.checkCancellation()
            let began = ContinuousClock.now
            let from = position
            do throws(EventWatchEnd) {
                if let from {
                    position = try await watch(from: from)
                } else {
                    position = try await list()
                }
                failures = 0
            } catch {
                switch error {
                case .store(let error): throw error
                case .expired(let why):
                    log(.info, "events\(place): listing again: \(why)")
                    position = nil
                case .failed(let error, let reached):
                    failures = reached == position ? failures + 1 : 1
                    position = reached
                    // What can't be watched from may be no resource version at all: that is a 500 without a reason.
                    if failures >= Self.tries, [.unavailable, .invalid, .garbage].contains(error.code) {
                        position = nil
                    }
                    try await wait(failures, error)
                    continue
                }
            }
            // A list that went well is followed by its watch at once.
            if from != nil || position == nil { try await calm(&hasty, since: began) }
        }
    }

    private var place: String { namespace.map { " of \($0)" } ?? "" }

    /// A server that ends what it has hardly begun, again and again, is not asked without a pause.
    private func calm(_ hasty: inout Int, since began: ContinuousClock.Instant) async throws {
        guard began.duration(to: .now) < Self.hasty else {
            hasty = 0
            return
        }
        hasty += 1
        if hasty > 1 { try await Task.sleep(for: Self.grown(hasty - 1) * Double.random(in: 0.8...1.2)) }
    }

    private static func grown(_ times: Int) -> Duration { min(pause.first * (1 << min(times - 1, 10)), pause.most) }

    private func wait(_ failures: Int, _ error: KubernetesError) async throws {
        // What was cancelled failed for that alone.
        try Task.checkCancellation()
        // Never sooner than the server says, and later by a little, so that hosts do not come together.
        let asked = error.retryAfter.map { min(max(.seconds($0), Self.pause.first), Self.longest) }
        let pause = asked ?? Self.grown(failures)
        log(.warning, "events\(place): \(error); again in \(pause.milliseconds) ms")
        try await Task.sleep(for: pause * Double.random(in: 1...1.2))
    }

    // MARK: Listing

    /// Page after page, of which one at a time is in memory.
    /// - Returns: where a watch goes on.
    private func list() async throws(EventWatchEnd) -> String {
        var version: String?
        var next = ""
        repeat {
            let more = next.isEmpty ? "" : "&continue=" + KubernetesRequest.encoded(next)
            let answer: KubernetesResponse
            do throws(KubernetesError) {
                let path = "\(collection)?limit=\(Self.page)\(more)"
                answer = try await client.send(KubernetesRequest(.get, path), within: .seconds(30))
            } catch {
                // The pages took longer than the server keeps their moment: what was taken is known by now.
                if error.code == .expired { throw .expired("a page came too late") }
                throw .failed(error, reached: nil)
            }
            guard let page = try? JSONDocument.ofTheServer(answer.body).root, page["kind"]?.equals("EventList") == true,
                let items = page["items"]?.array, let shown = page["metadata"]?["resourceVersion"]?.string
            else { throw .failed(KubernetesError(.garbage, "an answer that is no list of events"), reached: nil) }
            version = version ?? shown
            next = page["metadata"]?["continue"]?.string ?? ""
            let events = items.map { WatchedEvent($0) }
            try await fed(events, to: next.isEmpty ? version : nil, isWatching: false)
        } while !next.isEmpty
        return version ?? ""
    }

    private func fed(
        _ events: [WatchedEvent], to position: String?, isWatching: Bool
    ) async throws(EventWatchEnd) {
        do throws(SourceError) {
            try await feed.take(events, to: position, isWatching: isWatching)
        } catch {
            throw .store(error)
        }
    }

    // MARK: Watching

    /// - Returns: where it came to.
    private func watch(from: String) async throws(EventWatchEnd) -> String {
        var position = from
        var isSilent = true
        defer { feed.watching(false) }
        do {
            // Its own end, which a server holds to; ours is the belt.
            let seconds = Int.random(in: 240...360)
            let path =
                "\(collection)?watch=1&allowWatchBookmarks=true&timeoutSeconds=\(seconds)"
                + "&resourceVersion=\(KubernetesRequest.encoded(from))"
            let stream = try client.stream(KubernetesRequest(.get, path), within: .seconds(seconds + 30))
            try await stream.opened()
            feed.watching(true)
            while case let lines = try await stream.next(Self.batch), !lines.isEmpty {
                isSilent = false
                let read = WatchLines(lines)
                try await fed(read.events, to: read.position, isWatching: true)
                position = read.position ?? position
                if let error = read.error { throw error }
            }
        } catch let end as EventWatchEnd {
            throw end
        } catch {
            let error = error as? KubernetesError ?? KubernetesError(.interrupted, "\(error)")
            if error.code == .expired { throw .expired(error.message) }
            throw .failed(error, reached: position)
        }
        // Of events, a resource version that is too old can also give a 200 and a clean end, and one from the future a silence:
        // a watch that ended without a word is not believed.
        if isSilent { throw .expired("the watch ended without a line") }
        return position
    }
}

/// How listing or watching ended, when not as foreseen.
enum EventWatchEnd: Error {
    case store(SourceError)
    case expired(String)
    case failed(KubernetesError, reached: String?)
}
