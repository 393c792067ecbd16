import NIOConcurrencyHelpers
import SignalKit
import TestSupport
import Testing

@testable import Host

/// What goes over a sender's connection, to the byte.
@Suite(.serialized) struct WireTests {
    private func head(_ id: String, _ more: String = "Content-Length: 2") -> String {
        "POST /in HTTP/1.1\r\nHost: x\r\nX-Request-Id: \(id)\r\n\(more)\r\n\r\n"
    }

    private func answer(_ status: String, id: String, _ more: String = "") -> String {
        let body = #"{"outcome":"empty","request_id":"\#(id)","signals":[],"dead_letters":[]}"#
        return "HTTP/1.1 \(status)\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n"
            + "X-Request-Id: \(id)\r\n\(more)\r\n\(body)"
    }

    private func exchange(_ served: Listeners, _ text: String, thenEnd: Bool = false) async throws -> String {
        let connection = try HTTPConnection(port: served.http.port)
        try await connection.send(Array(text.utf8))
        if thenEnd { try await connection.endWriting() }
        return try await connection.textToEnd()
    }

    @Test func requestsInARowAreAnsweredInTheirOrder() async throws {
        let intake = Listeners.Intake { try? await Task.sleep(for: .milliseconds(20)) }
        try await Listeners.serving(intake) { served in
            let many = (0..<40).map { head("r\($0)") + "[]" }.joined()
            let last = head("last", "Content-Length: 2\r\nConnection: close") + "[]"
            let told = try await exchange(served, many + last)
            #expect(told == (0..<40).map { answer("200 OK", id: "r\($0)") }.joined() + answer("200 OK", id: "last"))
            #expect(intake.requests.withLockedValue { $0.count } == 41)
        }
    }

    @Test func anOperatorsRequestsInARowAreAnsweredInTheirOrder() async throws {
        try await Listeners.serving { served in
            let connection = try HTTPConnection(port: served.admin.port)
            let paths = (0..<40).map { "/api/v1/r\($0)" }
            let requests = paths.map { "GET \($0) HTTP/1.1\r\nHost: localhost\r\n\r\n" }.joined()
            // Ended behind them, as a command does that needs nothing more.
            _ = try connection.push(Array(requests.utf8))
            try await connection.endWriting()
            let told = try await connection.textToEnd()
            let bodies = told.split(separator: "\r\n").filter { $0.contains("\"path\"") }.joined()
            #expect(
                bodies.split(separator: "\"path\":\"").dropFirst().map { "/api/v1" + $0.prefix { $0 != "\"" } } == paths
            )
        }
    }

    @Test func aSenderThatEndsItsSideHasItsAnswersStill() async throws {
        let intake = Listeners.Intake { try? await Task.sleep(for: .milliseconds(50)) }
        try await Listeners.serving(intake) { served in
            let told = try await exchange(served, head("a") + "[]" + head("b") + "[]", thenEnd: true)
            #expect(told == answer("200 OK", id: "a") + answer("200 OK", id: "b"))
        }
    }

    @Test func aBodyInChunksIsOneBody() async throws {
        let intake = Listeners.Intake()
        try await Listeners.serving(intake) { served in
            let connection = try HTTPConnection(port: served.http.port)
            for piece in [
                head("c", "Transfer-Encoding: chunked"), "1\r\n[\r\n", "3\r\n1, \r\n2\r\n2]\r\n", "0\r\n\r\n",
            ] {
                try await connection.send(Array(piece.utf8))
            }
            #expect(try await connection.response().status == 200)
            #expect(intake.requests.withLockedValue { $0.map(\.body) } == [Array("[1, 2]".utf8)])
        }
    }

    @Test func whatIsNoHTTPIsToldSoOnce() async throws {
        let intake = Listeners.Intake { try? await Task.sleep(for: .milliseconds(50)) }
        try await Listeners.serving(intake) { served in
            func isRefusal(_ text: Substring) async throws -> Bool {
                guard let start = text.firstRange(of: "X-Request-Id: ")?.upperBound else { return false }
                let id = String(text[start...].prefix { !$0.isNewline })
                let line = try await eventually(find: "its line") { served.log.requests(id, "status").first }
                return text.hasPrefix("HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\n")
                    && text.contains("\r\nConnection: close\r\n") && text.contains("\"request_id\":\"\(id)\"")
                    && text.ranges(of: "HTTP/1.1 400").count == 1 && line == ["400"]
            }
            for bytes in [
                "GARBAGE\r\n\r\nGARBAGE\r\n\r\n", "POST /in HTTP/1.1\r\nHost: a\0b\r\nContent-Length: 2\r\n\r\n[]",
                head("b", "Content-Length: 2\r\nContent-Length: 3") + "[]",
                // Two ways to say how long a body is are how a request is smuggled.
                head("b", "Content-Length: 2\r\nTransfer-Encoding: chunked") + "0\r\n\r\n",
            ] {
                #expect(try await isRefusal(exchange(served, bytes)[...]), "\(bytes)")
            }
            let behind = try await exchange(served, head("a") + "[]" + "GARBAGE\r\n\r\n")
            let first = answer("200 OK", id: "a")
            #expect(behind.hasPrefix(first))
            #expect(try await isRefusal(behind.dropFirst(first.count)))
            #expect(try await isRefusal(exchange(served, "POST /in HT", thenEnd: true)[...]))
            #expect(intake.requests.withLockedValue { $0.count } == 1)
        }
    }

    @Test func aMalformedChunkIsABadRequest() async throws {
        let intake = Listeners.Intake()
        try await Listeners.serving(intake) { served in
            for chunks in ["2\r\n[]\r\nnone\r\n", "2\r\n[]", "-1\r\n[]\r\n", "2\r\n[]x\r\n0\r\n\r\n"] {
                let connection = try HTTPConnection(port: served.http.port)
                let isWhole = chunks != "2\r\n[]"
                // What follows is unread when the answer is sent; it must not become a reset that hides the answer.
                let rest = isWhole ? String(repeating: "rest\r\n", count: 1_000) : "\n\n\n"
                _ = try connection.push(Array((head("n", "Transfer-Encoding: chunked") + chunks + rest).utf8))
                let answer = try await connection.response()
                #expect(answer.status == 400 && answer.headers["connection"] == "close", "\(chunks)")
                #expect(answer.headers["content-type"] == "application/problem+json")
                #expect(answer.text.contains("bad-request"))
                try await connection.endWriting()
                try await connection.awaitEnd()
            }
            #expect(intake.requests.withLockedValue { $0.isEmpty })
            let line = try await eventually(find: "its line") { served.log.requests("n", "status", "bytes").first }
            #expect(line == ["400", "2"])
        }
    }

    @Test(arguments: [true, false]) func aRequestHasOneHost(_ ofSenders: Bool) async throws {
        try await Listeners.serving { served in
            let (port, path) = ofSenders ? (served.http.port, "/-/ready") : (served.admin.port, "/livez")
            let cases: [(version: String, hosts: [String], status: Int)] =
                [
                    ("1.1", ["Host: x"], 200), ("1.1", ["Host:"], 200), ("1.1", ["Host: [::1]:8080"], 200),
                    ("1.0", [], 200), ("1.1", [], 400), ("1.1", ["Host: x", "Host: y"], 400),
                    ("1.1", ["Host: x", "host: x"], 400), ("1.0", ["Host: x", "Host: y"], 400),
                ] + ["x, y", "x y", "x/y", "user@x", "x\"y"].map { ("1.1", ["Host: \($0)"], 400) }
            for (version, hosts, status) in cases {
                let fields = (hosts + ["Connection: close"]).map { $0 + "\r\n" }.joined()
                let request = Array("GET \(path) HTTP/\(version)\r\n\(fields)\r\n".utf8)
                let answer = try await HTTP(port: port).send(request)
                #expect(answer.status == status, "\(version) \(hosts)")
            }
        }
    }

    @Test func aCompressedBodyIsRefusedByItsCoding() async throws {
        try await Listeners.serving { served in
            for path in ["/in", "/api/v2/alerts"] {
                for coding in ["gzip", "GZIP", "deflate", "br", "zstd", "identity, gzip"] {
                    let refused = try await served.http.post(
                        path, [0x1f, 0x8b, 8, 0], headers: ["Content-Encoding": coding])
                    #expect(refused.status == 415, "\(coding)")
                    #expect(refused.text.contains("content coding"), "\(refused.text)")
                    #expect(refused.headers["accept-encoding"] == "identity")
                    #expect(refused.headers["content-type"] == "application/problem+json")
                }
                let plain = try await served.http.post(path, "[]", headers: ["Content-Encoding": "identity"])
                #expect(plain.status == 200)
            }
        }
    }

    @Test func aHeadersRequestHasNoBodyInItsAnswer() async throws {
        try await Listeners.serving { served in
            let told = try await exchange(
                served, "HEAD /-/ready HTTP/1.1\r\nHost: x\r\nX-Request-Id: h\r\nConnection: close\r\n\r\n")
            #expect(
                told
                    == "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\nX-Request-Id: h\r\n\r\n"
            )
        }
    }

    @Test func aSenderThatAsksForAnotherProtocolIsAnsweredInThisOne() async throws {
        try await Listeners.serving { served in
            let request = head("u", "Content-Length: 2\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c") + "[]"
            let told = try await exchange(served, request + head("lost") + "[]")
            #expect(told == answer("200 OK", id: "u", "Connection: close\r\n"))
        }
    }

    @Test func anOldSendersConnectionEndsWithItsAnswer() async throws {
        try await Listeners.serving { served in
            let request = "POST /in HTTP/1.0\r\nX-Request-Id: o\r\nContent-Length: 2\r\n\r\n[]"
            let told = try await exchange(served, request)
            #expect(told == answer("200 OK", id: "o"))
        }
    }

    @Test func aRefusedBodyIsReadPastAndTheConnectionLivesOn() async throws {
        try await Listeners.serving { served in
            let refused =
                head("r", "Content-Type: text/plain\r\nContent-Length: 3000") + String(repeating: " ", count: 3_000)
            let last = head("last", "Content-Length: 2\r\nConnection: close") + "[]"
            let told = try await exchange(served, refused + last)
            #expect(told.hasPrefix("HTTP/1.1 415 Unsupported Media Type\r\nContent-Type: application/problem+json\r\n"))
            #expect(told.hasSuffix(answer("200 OK", id: "last")))
        }
    }

    @Test func aLargeBodyIsWorkedOnBesideTheLoop() async throws {
        let intake = Listeners.Intake()
        try await Listeners.serving(intake) { served in
            let large = [UInt8](repeating: UInt8(ascii: " "), count: 3 << 20)
            let answer = try await served.http.post("/in", large)
            #expect(answer.status == 200)
            #expect(intake.requests.withLockedValue { $0.map(\.body.count) } == [large.count])
        }
    }

    @Test func aProxysFormOfAPathAndAQueryLeadToTheSameRoute() async throws {
        try await Listeners.serving { served in
            for path in ["/in?a=b", "http://x:1/in", "http://x/in?c"] {
                let answer = try await served.http.post(path, "[]")
                #expect(answer.status == 200, "\(path)")
            }
            let answer = try await served.http.post("http://x", "[]")
            #expect(answer.status == 404)
        }
    }
}
