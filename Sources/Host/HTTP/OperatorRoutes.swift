import JSON
import Redis
import SignalKit

/// The operator API: what `portcullis status`, `storms`, `dead-letters` and `send` ask of a running host.
struct OperatorRoutes: OperatorAPI {
    let configuration: HostConfiguration
    let store: DeliveryStore
    let intake: Intake
    let readiness: any Readiness
    let started = ContinuousClock.now
    let wakeDelivery: @Sendable () -> Void

    func answer(_ request: OperatorRequest) async -> OperatorAnswer {
        let parts = request.path.split(separator: "/").map(String.init)
        do throws(RedisError) {
            switch (request.method, parts.first ?? "", parts.count) {
            case ("GET", "status", 1): return try await status()
            case ("GET", "storms", 1): return try await storms(most: most(request))
            case ("GET", "storms", 2): return try await storm(parts[1], most: most(request))
            case ("GET", "dead-letters", 1): return try await letters(request)
            case ("DELETE", "dead-letters", 1): return try await dropAll(request)
            case ("GET", "dead-letters", 2): return try await letter(parts[1])
            case ("DELETE", "dead-letters", 2): return try await drop(parts[1])
            case ("POST", "dead-letters", 2) where parts[1] == "replay": return try await replayAll(request)
            case ("POST", "dead-letters", 3) where parts[2] == "replay": return try await replay(parts[1])
            case ("POST", "send", 1): return await send(request)
            case ("GET", "send", 2): return try await sent(parts[1])
            default:
                return .problem(
                    Problem(
                        word: "unknown-path", title: "Nothing is served here", status: 404,
                        detail: "see portcullis --help"))
            }
        } catch {
            return .problem(
                Problem(
                    word: "unavailable", title: "The store can't be asked", status: 503,
                    detail: "the store answered: \(error.code.rawValue)"))
        }
    }

    private func most(_ request: OperatorRequest) -> Int {
        min(max(request.query["limit"].flatMap { Int($0) } ?? 100, 1), 10_000)
    }

    func document(_ status: Int = 200, _ body: (inout JSONWriter) -> Void) -> OperatorAnswer {
        var out = JSONWriter()
        out.beginObject()
        body(&out)
        out.endObject()
        return .document(status: status, out.bytes)
    }

    func missing(_ what: String) -> OperatorAnswer {
        .problem(Problem(word: "not-found", title: "Not found", status: 404, detail: what))
    }

    // MARK: Status

    private func status() async throws(RedisError) -> OperatorAnswer {
        let shut = readiness.storeShut
        // A store that is shut is an answer too.
        let stats = shut == nil ? try await store.stats() : DeliveryStore.Stats()
        return document { out in
            out.member("version", PortcullisHost.version)
            out.member("uptime_seconds", started.duration(to: .now).components.seconds)
            out.key("store")
            out.beginObject()
            out.member("state", shut == nil ? "open" : "shut")
            out.member("reason", shut)
            out.member("where", configuration.state.store.description)
            out.endObject()
            guard shut == nil else { return }
            out.key("queues")
            out.beginArray()
            for queue in stats.queues {
                out.beginObject()
                out.member("sink", queue.name)
                out.member("depth", queue.depth)
                out.member("oldest_age_seconds", queue.oldest.components.seconds)
                out.endObject()
            }
            out.endArray()
            out.member("storms_open", stats.stormsOpen)
            out.key("dead_letters")
            out.beginArray()
            for origin in stats.dead where origin.count > 0 {
                out.beginObject()
                out.member("origin", origin.origin)
                out.member("count", origin.count)
                out.member("bytes", origin.bytes)
                out.endObject()
            }
            out.endArray()
            out.key("counters")
            out.beginObject()
            for name in ["missed_firing", "expired", "forgotten"] { out.member(name, stats.counters[name] ?? 0) }
            out.endObject()
        }
    }

    // MARK: Storms

    private func storms(most: Int) async throws(RedisError) -> OperatorAnswer {
        let found = try await store.storms(nil, most: most)
        return document { out in
            out.key("storms")
            out.beginArray()
            for storm in found {
                out.beginObject()
                write(storm, to: &out)
                out.endObject()
            }
            out.endArray()
        }
    }

    private func storm(_ id: String, most: Int) async throws(RedisError) -> OperatorAnswer {
        guard let storm = try await store.storms(id, most: most).first else {
            return missing("no storm \(id.prefix(64))")
        }
        return document { out in
            write(storm, to: &out)
            out.key("listed")
            out.beginArray()
            for member in storm.listed { StormReading.write(member, to: &out) }
            out.endArray()
        }
    }

    private func write(_ storm: DeliveryStore.StormView, to out: inout JSONWriter) {
        out.member("id", storm.id)
        out.member("state", storm.state)
        out.key("group")
        out.raw(storm.group)
        out.member("members", storm.members)
        out.member("firing", storm.firing)
        out.member("opened", storm.opened.description)
        out.member("last", storm.last.description)
    }

    // MARK: Dead letters

    private func write(_ letter: DeliveryStore.Letter, to out: inout JSONWriter) {
        out.member("id", letter.id)
        out.member("origin", letter.origin)
        out.member("reason", letter.reason)
        out.member("count", letter.count)
        out.member("first", letter.first.description)
        out.member("last", letter.last.description)
    }

    private func letters(_ request: OperatorRequest) async throws(RedisError) -> OperatorAnswer {
        let found = try await store.letters(origin: request.query["origin"], most: most(request))
        return document { out in
            out.member("total", found.total)
            out.key("dead_letters")
            out.beginArray()
            for letter in found.letters {
                out.beginObject()
                write(letter, to: &out)
                out.endObject()
            }
            out.endArray()
        }
    }

    private func letter(_ id: String) async throws(RedisError) -> OperatorAnswer {
        guard let found = try await store.letter(id) else { return missing("no dead letter \(id.prefix(64))") }
        return document { out in
            write(found.letter, to: &out)
            if let cut = found.cut {
                out.key("cut")
                out.beginObject()
                out.member("size", cut.size)
                out.member("kept", found.item.count)
                out.member("fnv1a", cut.digest)
                out.endObject()
            }
            out.member("item", String(decoding: found.item, as: UTF8.self))
        }
    }

    private func drop(_ id: String) async throws(RedisError) -> OperatorAnswer {
        let count = try await store.drop(letter: id)
        return count == 0 ? missing("no dead letter \(id.prefix(64))") : document { $0.member("dropped", count) }
    }

    private static let originNeeded = OperatorAnswer.problem(
        Problem(
            word: "usage", title: "An origin is needed", status: 400,
            detail: "say which: ?origin=adapter/<id> or ?origin=sink/<name>"))

    private func dropAll(_ request: OperatorRequest) async throws(RedisError) -> OperatorAnswer {
        guard let origin = request.query["origin"] else { return Self.originNeeded }
        var dropped = 0
        while true {
            let count = try await store.drop(origin: origin, most: 500)
            dropped += count
            if count < 500 { return document { $0.member("dropped", dropped) } }
        }
    }

    private enum Replayed { case done(status: Int), missing, refused(String) }

    /// An adapter's item takes the road of a request; a sink's goes back into its queue. Either way the letter goes last.
    private func replayed(_ id: String) async throws(RedisError) -> Replayed {
        switch try await store.replay(id) {
        case .missing: return .missing
        case .gone: return .refused("the store knows nothing of this problem any more; drop the letter: it is kept")
        case .busy:
            return .refused(
                "the problem fires again, or another end of it is not told yet: replay the letter later; it is kept")
        case .unowned(let sink):
            return .refused("no sink is called \(sink): configure it again, or drop the letter; it is kept")
        case .queued:
            wakeDelivery()
            return .done(status: 202)
        case .cut(let size):
            return .refused(
                "the item has \(size) bytes, and only its beginning was kept: have it sent again, or drop the letter")
        case .adapter(let origin, let item, let receivedAt):
            guard let route = configuration.routes.first(where: { "adapter/\($0.adapter)" == origin }) else {
                return .refused("no route of \(origin) is configured")
            }
            let request = InboundRequest(
                body: item, contentType: "application/json", receivedAt: receivedAt ?? Timestamp.now)
            let answer = await intake.take(
                request, route: route, requestID: "replay", eventLoop: nil,
                deadline: .now + configuration.server.limits.deadline)
            switch answer {
            case .refused(let refusal):
                let problem = StatusTable.problem(of: refusal)
                return .refused("\(problem.title): \(problem.detail)")
            case .taken(let outcome):
                // An item that is still no signal is the same dead letter again.
                if let letter = outcome.deadLetters.first { return .refused(letter.reason) }
                _ = try await store.drop(letter: id)
                return .done(status: StatusTable.summary(of: outcome).status)
            }
        }
    }

    private func replay(_ id: String) async throws(RedisError) -> OperatorAnswer {
        switch try await replayed(id) {
        case .missing: return missing("no dead letter \(id.prefix(64))")
        case .refused(let why):
            return .problem(
                Problem(word: "still-refused", title: "Not taken this time either", status: 409, detail: why))
        case .done(let status):
            return document { out in
                out.member("id", id)
                out.member("result", "replayed")
                out.member("status", status)
            }
        }
    }

    /// One pass over what is there at its start: what fails stays.
    private func replayAll(_ request: OperatorRequest) async throws(RedisError) -> OperatorAnswer {
        guard let origin = request.query["origin"] else { return Self.originNeeded }
        var count = 0
        var failures: [String: Int] = [:]
        for letter in try await store.letters(origin: origin, most: 10_000).letters {
            switch try await replayed(letter.id) {
            case .done: count += 1
            case .missing: break
            case .refused(let why): failures[why, default: 0] += 1
            }
        }
        return document { out in
            out.member("replayed", count)
            out.member("failed", failures.values.reduce(0, +))
            out.key("reasons")
            out.beginArray()
            for (why, _) in failures.sorted(by: { $0.value > $1.value }).prefix(10) { out.string(why) }
            out.endArray()
        }
    }
}
