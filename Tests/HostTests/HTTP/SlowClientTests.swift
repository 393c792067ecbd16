import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Host

/// Clients that do not read their answers, or do not end their bodies.
@Suite(.serialized) struct SlowClientTests {
    private func head(_ more: String) -> [UInt8] { Array("POST /in HTTP/1.1\r\nHost: x\r\n\(more)\r\n\r\n".utf8) }

    /// Pushes until the other side has closed.
    private func pushed(_ bytes: [UInt8], on connection: HTTPConnection) async throws -> Int {
        var count = 0
        try await eventually("the end of a connection that reads nothing", within: .seconds(30)) {
            guard let more = try connection.push(bytes) else { return true }
            count += more
            return false
        }
        return count
    }

    @Test(arguments: [true, false]) func requestsAheadOfUnreadAnswersWaitAndTheConnectionEnds(
        _ ofSenders: Bool
    ) async throws {
        try await Listeners.serving { served in
            let (port, path) = ofSenders ? (served.http.port, "/-/ready") : (served.admin.port, "/metrics")
            let connection = try HTTPConnection(port: port)
            let many = Array(String(repeating: "GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n", count: 2_000).utf8)
            _ = try await pushed(many, on: connection)
            let listener = ofSenders ? "senders" : "operators"
            #expect(
                try await served.metric(
                    "portcullis_connections_cut_total{listener=\"\(listener)\",reason=\"unread\"}") == 1)
            #expect(try await served.metric("portcullis_bytes_in_flight") == 0)
            #expect(try await served.metric("portcullis_requests_in_flight") == 0)
        }
    }

    @Test func anUnreadAnswerCountsAsInFlightAndEndsItsConnection() async throws {
        // 20 MB, more than two sockets' buffers hold.
        let intake = Listeners.Intake(deadLetters: 200_000)
        try await Listeners.serving(intake) { served in
            let connection = try HTTPConnection(port: served.http.port)
            _ = try connection.push(head("Content-Length: 2") + Array("[]".utf8))
            try await eventually("bytes in flight") { try await served.metric("portcullis_bytes_in_flight") > 10e6 }
            #expect(try await served.metric("portcullis_requests_in_flight") == 1)
            try await eventually("none", within: .seconds(20)) {
                try await served.metric("portcullis_bytes_in_flight") == 0
            }
            #expect(try await served.metric("portcullis_requests_in_flight") == 0)
            #expect(
                try await served.metric("portcullis_connections_cut_total{listener=\"senders\",reason=\"unread\"}") == 1
            )
        }
    }

    @Test(arguments: ["close", "keep-alive"]) func aSlowReaderHasAllOfItsAnswer(_ connection: String) async throws {
        let intake = Listeners.Intake(deadLetters: 100_000)
        try await Listeners.serving(intake) { served in
            // 10 MB at 1.2 MB/s take longer than any of the time limits.
            let run = try await ChildProcess.run(
                "curl",
                [
                    "--silent", "--show-error", "--limit-rate", "1200K", "--max-time", "60", "--data", "[]", "--header",
                    "Content-Type: application/json", "--header", "Connection: \(connection)", "--output", "/dev/null",
                    "--write-out", "%{http_code} %{size_download} %{time_total}",
                    "http://127.0.0.1:\(served.http.port)/in",
                ], within: .seconds(60))
            let words = run.output.split(separator: " ")
            #expect(words.first == "200", "\(run.output) \(run.errors)")
            #expect(words.dropFirst().first.flatMap { Int($0) } ?? 0 > 9_000_000, "\(run.output) \(run.errors)")
        }
    }

    @Test func bodiesThatNeverEndHoldNoPlaceInFlight() async throws {
        var limits = HostConfiguration.Limits()
        limits.inFlight = 2
        limits.deadline = .seconds(60)
        try await Listeners.serving(limits: limits) { served in
            var held: [HTTPConnection] = []
            for _ in 0..<20 {
                let connection = try HTTPConnection(port: served.http.port)
                _ = try connection.push(head("Content-Length: 100") + Array("[".utf8))
                held.append(connection)
                #expect(try await served.http.post("/in", "[]").status == 200)
            }
            // A body of no bytes in five seconds is answered long before its deadline.
            let answer = try await held[0].response()
            #expect(answer.status == 503 && answer.headers["connection"] == "close")
            #expect(answer.text.contains("the body came slower"))
            #expect(answer.headers["retry-after"] != nil)
        }
    }

    @Test func slowBodiesOfOneAddressHaveAShare() async throws {
        var limits = HostConfiguration.Limits()
        limits.inFlight = 4
        limits.deadline = .seconds(60)
        try await Listeners.serving(limits: limits) { served in
            func begun(_ source: UInt8) throws -> HTTPConnection {
                let connection = try HTTPConnection(port: served.http.port, source: source, timeout: .seconds(40))
                _ = try connection.push(head("Content-Length: 1000000"))
                return connection
            }
            let (first, second, other) = (try begun(2), try begun(2), try begun(3))
            let some = [UInt8](repeating: UInt8(ascii: " "), count: 1 << 10)
            // Faster than the least pace, so that the share alone can end one of them.
            try await eventually("an answer to one of two", within: .seconds(30), every: .milliseconds(100)) {
                for connection in [first, second, other] { _ = try connection.push(some) }
                return try await served.metric(
                    "portcullis_responses_total{route=\"/in\",status=\"503\"}") == 1
            }
            let refused = try await second.response()
            #expect(refused.status == 503 && refused.text.contains("slow bodies from one address"))
            for connection in [first, other] {
                let rest = [UInt8](repeating: UInt8(ascii: " "), count: 1_000_000)
                try await connection.send(rest)
                #expect(try await connection.response().status == 200)
            }
        }
    }
}
