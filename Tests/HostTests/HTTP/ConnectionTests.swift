import NIOConcurrencyHelpers
import SignalKit
import TestSupport
import Testing

@testable import Host

/// What a connection may do, for how long, and what it is told when it can't go on.
@Suite(.serialized) struct ConnectionTests {
    @Test func aRequestIsAnsweredByItsDeadline() async throws {
        let (gate, open) = AsyncStream<Void>.makeStream()
        let intake = Listeners.Intake { for await _ in gate {} }
        var limits = HostConfiguration.Limits()
        limits.deadline = .milliseconds(300)
        try await Listeners.serving(intake, limits: limits) { served in
            let answer = try await served.http.post("/in", "[]")
            #expect(answer.status == 503)
            #expect(answer.headers["retry-after"] != nil)
            open.finish()
        }
    }

    @Test func aBodyThatNeverEndsIsAnsweredByTheDeadlineToo() async throws {
        var limits = HostConfiguration.Limits()
        limits.deadline = .milliseconds(300)
        let intake = Listeners.Intake()
        try await Listeners.serving(intake, limits: limits) { served in
            let connection = try HTTPConnection(port: served.http.port)
            try await connection.send(Array("POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[".utf8))
            #expect(try await connection.response().status == 503)
            #expect(intake.requests.withLockedValue { $0.isEmpty })
        }
    }

    @Test func aHeaderThatNeverEndsLosesItsConnection() async throws {
        var limits = HostConfiguration.Limits()
        limits.header = .milliseconds(300)
        try await Listeners.serving(limits: limits) { served in
            let connection = try HTTPConnection(port: served.http.port)
            try await connection.send(Array("POST /in HTTP/1.1\r\nHost:".utf8))
            try await connection.awaitEnd()
            // One that is quick enough keeps its connection.
            let other = try HTTPConnection(port: served.http.port)
            for _ in 0..<2 {
                try await other.send(Array("POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]".utf8))
                #expect(try await other.response().status == 200)
            }
        }
    }

    @Test func requestsPastTheBoundAreA503AtOnce() async throws {
        let (gate, open) = AsyncStream<Void>.makeStream()
        let intake = Listeners.Intake { for await _ in gate {} }
        var limits = HostConfiguration.Limits()
        limits.inFlight = 1
        try await Listeners.serving(intake, limits: limits) { served in
            async let held = served.http.post("/in", "[]")
            try await eventually("one in flight") { intake.requests.withLockedValue { $0.count } == 1 }
            #expect(try await served.http.post("/in", "[]").status == 503)
            open.finish()
            #expect(try await held.status == 200)
            #expect(try await served.http.post("/in", "[]").status == 200)
        }
    }

    @Test func aCutConnectionGivesItsRoomBack() async throws {
        let intake = Listeners.Intake()
        var limits = HostConfiguration.Limits()
        limits.inFlight = 1
        try await Listeners.serving(intake, limits: limits) { served in
            for _ in 0..<5 {
                let connection = try HTTPConnection(port: served.http.port)
                try await connection.send(Array("POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[".utf8))
                connection.close()
                try await eventually("room again") { try await served.http.post("/in", "[]").status == 200 }
            }
            #expect(intake.requests.withLockedValue { $0.allSatisfy { $0.body == Array("[]".utf8) } })
        }
    }

    @Test func anExpectingSenderIsToldToGoOn() async throws {
        try await Listeners.serving { served in
            // curl would wait half a minute for the word to go on, and gives up after ten seconds.
            let run = try await ChildProcess.run(
                "curl",
                [
                    "--silent", "--show-error", "--max-time", "10", "--expect100-timeout", "30", "--header",
                    "Expect: 100-continue",
                    "--header", "Content-Type: application/json", "--data", "[]", "--write-out", "%{http_code}",
                    "http://127.0.0.1:\(served.http.port)/in",
                ])
            #expect(run.output.hasSuffix("200"), "\(run.output)\(run.errors)")
        }
    }

    @Test func everyRequestHasItsLineInTheLog() async throws {
        try await Listeners.serving { served in
            func line(_ id: String) async throws -> [String] {
                let lines = try await eventually(find: "the line of \(id)") {
                    let lines = served.log.requests(id, "status", "route", "bytes")
                    return lines.isEmpty ? nil : lines
                }
                #expect(lines.count == 1)
                return lines[0]
            }
            _ = try await served.http.post("/in", "[]", headers: ["X-Request-Id": "taken"])
            #expect(try await line("taken") == ["200", "/in", "2"])
            _ = try await served.http.get("/elsewhere", headers: ["X-Request-Id": "lost"])
            #expect(try await line("lost") == ["404", "other", "0"])
            _ = try await served.http.get("/-/ready", headers: ["X-Request-Id": "aside"])
            #expect(try await line("aside") == ["200", "other", "0"])
            let connection = try HTTPConnection(port: served.http.port)
            let head = "POST /in HTTP/1.1\r\nHost: x\r\nX-Request-Id: half\r\nContent-Length: 10\r\n\r\n["
            try await connection.send(Array(head.utf8))
            connection.close()
            #expect(try await line("half") == ["cut", "/in", "1"])
        }
    }

    @Test func aSenderThatIsStillAtItsBodySeesItsDeadlinesAnswer() async throws {
        var limits = HostConfiguration.Limits()
        limits.deadline = .milliseconds(300)
        try await Listeners.serving(limits: limits) { served in
            let connection = try HTTPConnection(port: served.http.port)
            let rest = [UInt8](repeating: UInt8(ascii: " "), count: 4 << 20)
            try await connection.send(
                Array("POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: \(rest.count + 1)\r\n\r\n[".utf8))
            let answer = try await connection.response()
            #expect(answer.status == 503 && answer.headers["connection"] == "close")
            // On a connection that is closed with bytes unread, these would be met with a reset.
            #expect(try await connection.send(rest))
            try await connection.awaitEnd()
        }
    }

    @Test func whoComesWhileAHostStopsIsToldSo() async throws {
        let (gate, open) = AsyncStream<Void>.makeStream()
        let intake = Listeners.Intake { for await _ in gate {} }
        var limits = HostConfiguration.Limits()
        limits.deadline = .seconds(60)
        let request = Array("POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]".utf8)
        try await Listeners.serving(intake, limits: limits) { served in
            let kept = try HTTPConnection(port: served.http.port)
            try await kept.send(Array("GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
            #expect(try await kept.response().status == 200)
            let busy = try HTTPConnection(port: served.http.port)
            try await busy.send(request)
            try await eventually("a request in work") { !intake.requests.withLockedValue { $0.isEmpty } }

            async let stop: Void = served.host.stopSenders()
            try await eventually("its word") { try await served.admin.get("/readyz").status == 503 }
            try await kept.send(request)
            let refused = try await kept.response()
            #expect(refused.status == 503 && refused.headers["connection"] == "close")
            #expect(refused.text.contains("shutting-down"))
            #expect(refused.headers["retry-after"] != nil)
            #expect(try await served.http.post("/in", "[]").status == 503)
            #expect(intake.requests.withLockedValue { $0.count } == 1)

            open.finish()
            let finished = try await busy.response()
            #expect(finished.status == 200 && finished.headers["connection"] == "close")
            await stop
        }
    }

    @Test func anIdleConnectionIsClosedInTheEnd() async throws {
        let (gate, open) = AsyncStream<Void>.makeStream()
        let intake = Listeners.Intake { for await _ in gate {} }
        var limits = HostConfiguration.Limits()
        limits.idle = .seconds(2)
        let request = Array("POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]".utf8)
        try await Listeners.serving { patient in
            try await Listeners.serving(intake, limits: limits) { served in
                let kept = try HTTPConnection(port: patient.http.port)
                try await kept.send(request)
                #expect(try await kept.response().status == 200)
                let busy = try HTTPConnection(port: served.http.port)
                try await busy.send(request)
                try await eventually("a request in work") { !intake.requests.withLockedValue { $0.isEmpty } }

                let idle = try HTTPConnection(port: served.http.port)
                try await idle.send(Array("GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
                #expect(try await idle.response().status == 200)
                try await idle.awaitEnd()
                // One whose request is in work is not idle, and one of a host with more patience has its time.
                open.finish()
                #expect(try await busy.response().status == 200)
                try await busy.awaitEnd()
                try await kept.send(request)
                #expect(try await kept.response().status == 200)
            }
        }
    }
}
