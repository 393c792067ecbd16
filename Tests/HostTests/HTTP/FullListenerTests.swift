import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Host

/// Which connections a listener keeps when more come than it may hold.
@Suite(.serialized) struct FullListenerTests {
    private let post = Array("POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]".utf8)
    private let half = Array("POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[".utf8)

    private func limits(_ connections: Int) -> HostConfiguration.Limits {
        var limits = HostConfiguration.Limits()
        limits.connections = connections
        return limits
    }

    private func isAnswered(_ connection: HTTPConnection) async -> Bool {
        guard (try? connection.push(post)) != nil else { return false }
        return (try? await connection.response())?.status == 200
    }

    private func ended(_ served: Listeners, _ reason: String, listener: String = "senders") async throws -> Double {
        try await served.metric("portcullis_connections_cut_total{listener=\"\(listener)\",reason=\"\(reason)\"}")
    }

    @Test func aConnectionWithoutAFirstByteHasTheHeaderLimit() async throws {
        var limits = HostConfiguration.Limits()
        limits.header = .milliseconds(300)
        try await Listeners.serving(limits: limits) { served in
            for port in [served.http.port, served.admin.port] {
                let silent = try HTTPConnection(port: port)
                try await silent.awaitEnd()
                // One that has sent a request has the limit of idle ones.
                let used = try HTTPConnection(port: port)
                for _ in 0..<2 {
                    try await used.send(Array("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
                    let status = try await used.response().status
                    #expect(status == 200 || status == 404)
                    let other = try HTTPConnection(port: port)
                    try await other.awaitEnd()
                }
            }
            #expect(try await ended(served, "header") == 3)
            #expect(try await ended(served, "header", listener: "operators") == 3)
        }
    }

    @Test func anUnfinishedHandshakeHasTheHeaderLimit() async throws {
        let authority = try await TestAuthority()
        let pair = try await authority.issue("localhost")
        var limits = HostConfiguration.Limits()
        limits.header = .milliseconds(300)
        let tls = HostConfiguration.TLS(certificate: pair.certificate, key: pair.key)
        try await Listeners.serving(limits: limits, tls: tls) { served in
            let silent = try await eventually(find: "a listener") { try? HTTPConnection(port: served.http.port) }
            try await silent.awaitEnd()
            // The first bytes of a hello, and then nothing.
            let begun = try HTTPConnection(port: served.http.port)
            try await begun.send([0x16, 3, 1, 2, 0, 1])
            try await begun.awaitEnd()
        }
    }

    @Test func silentConnectionsMakeWay() async throws {
        try await Listeners.serving(limits: limits(3)) { served in
            let kept = try HTTPConnection(port: served.http.port)
            #expect(await isAnswered(kept))
            var silent: [HTTPConnection] = []
            for _ in 0..<20 {
                silent.append(try HTTPConnection(port: served.http.port))
                // A new sender gets through.
                #expect(try await served.http.post("/in", "[]").status == 200)
            }
            // And one that has shown itself keeps its connection.
            #expect(await isAnswered(kept))
            #expect(try await ended(served, "replaced") > 0)
            _ = silent
        }
    }

    @Test func probesAreAnsweredThoughTheListenerIsFull() async throws {
        try await Listeners.serving(limits: limits(3)) { served in
            var held: [HTTPConnection] = []
            for _ in 0..<10 {
                held.append(try HTTPConnection(port: served.admin.port))
                #expect(try await served.admin.get("/livez").status == 200)
            }
            // These have a request in work, so they keep their places.
            try await eventually("a full listener") {
                let busy = try HTTPConnection(port: served.admin.port)
                _ = try busy.push(Array("POST /api/v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[".utf8))
                held.append(busy)
                return (try? await served.admin.get("/api/v1/x"))?.status == 503
            }
            #expect(try await served.admin.get("/livez").status == 200)
            #expect(try await served.admin.get("/readyz").status == 200)
            _ = held
        }
    }

    @Test func theAddressWithTheMostConnectionsMakesWayFirst() async throws {
        try await Listeners.serving(limits: limits(4)) { served in
            let alone = try HTTPConnection(port: served.http.port, source: 2)
            #expect(await isAnswered(alone))
            var crowd: [HTTPConnection] = []
            for _ in 0..<3 {
                crowd.append(try HTTPConnection(port: served.http.port, source: 3))
                #expect(await isAnswered(crowd[crowd.count - 1]))
            }
            let new = try HTTPConnection(port: served.http.port, source: 4)
            #expect(await isAnswered(new))
            // The longest idle of the crowd.
            try await crowd[0].awaitEnd()
            #expect(await isAnswered(crowd[1]))
            #expect(await isAnswered(crowd[2]))
            #expect(await isAnswered(alone))
        }
    }

    @Test func aConnectionWithARequestInWorkKeepsItsPlace() async throws {
        let (gate, open) = AsyncStream<Void>.makeStream()
        let intake = Listeners.Intake { for await _ in gate {} }
        try await Listeners.serving(intake, limits: limits(2)) { served in
            var busy: [HTTPConnection] = []
            for place in 1...2 {
                busy.append(try HTTPConnection(port: served.http.port))
                try await busy[place - 1].send(post)
                try await eventually("work") { intake.requests.withLockedValue { $0.count } == place }
            }
            let third = try HTTPConnection(port: served.http.port)
            try await third.awaitEnd()
            #expect(
                try await served.metric("portcullis_connections_refused_total{listener=\"senders\"}") >= 1)
            open.finish()
            for connection in busy { #expect(try await connection.response().status == 200) }
        }
    }

    @Test func halfRequestsOnAllConnectionsDoNotLockOutASender() async throws {
        var limits = limits(4)
        limits.deadline = .seconds(60)
        try await Listeners.serving(limits: limits) { served in
            var held: [HTTPConnection] = []
            for _ in 0..<4 {
                held.append(try HTTPConnection(port: served.http.port))
                _ = try held[held.count - 1].push(half)
            }
            try await eventually("bytes of all") { try await served.metric("portcullis_bytes_in_flight") == 4 }
            // A first request has a second before it makes way.
            try await eventually("an answer", within: .seconds(10)) {
                (try? await served.http.post("/in", "[]"))?.status == 200
            }
        }
    }

    @Test func bodiesThatNeverEndMakeWayBeforeAGoodSender() async throws {
        var limits = limits(16)
        limits.deadline = .seconds(60)
        try await Listeners.serving(limits: limits) { served in
            let kept = try HTTPConnection(port: served.http.port, source: 2)
            #expect(await isAnswered(kept))
            var held: [HTTPConnection] = []
            for _ in 0..<15 {
                held.append(try HTTPConnection(port: served.http.port, source: 3))
                _ = try held[held.count - 1].push(half)
            }
            try await eventually("bytes of all") { try await served.metric("portcullis_bytes_in_flight") == 15 }
            // Each of these takes a place.
            for place in 0..<20 {
                held.append(try HTTPConnection(port: served.http.port, source: 3))
                _ = try held[held.count - 1].push(half)
                try await held[place].awaitEnd()
            }
            #expect(await isAnswered(kept))
            // A good newcomer of another address gets through too.
            #expect(try await served.http.post("/in", "[]").status == 200)
            #expect(await isAnswered(kept))
        }
    }

    @Test func oneAddressTakesNoPlaceOfAGoodSenderWithFewerConnections() async throws {
        let (gate, open) = AsyncStream<Void>.makeStream()
        let isHeld = NIOLockedValueBox(false)
        let intake = Listeners.Intake {
            guard isHeld.withLockedValue({ $0 }) else { return }
            for await _ in gate {}
        }
        try await Listeners.serving(intake, limits: limits(3)) { served in
            let kept = try HTTPConnection(port: served.http.port, source: 2)
            #expect(await isAnswered(kept))
            isHeld.withLockedValue { $0 = true }
            var busy: [HTTPConnection] = []
            for place in 1...2 {
                busy.append(try HTTPConnection(port: served.http.port, source: 3))
                try await busy[place - 1].send(post)
                try await eventually("work") { intake.requests.withLockedValue { $0.count } == place + 1 }
            }
            let third = try HTTPConnection(port: served.http.port, source: 3)
            try await third.awaitEnd()
            isHeld.withLockedValue { $0 = false }
            open.finish()
            for connection in busy { #expect(try await connection.response().status == 200) }
            #expect(await isAnswered(kept))
        }
    }
}
