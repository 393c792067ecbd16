import JSON
import TestSupport
import Testing

/// Bad input is told, not lost; and it never harms its neighbours.
@Suite(.serialized) struct BadInputTests {
    private static let sample = Alert.webhook([Alert("Sample", ("namespace", "shop"))])

    /// A body that is no document of the adapter's: 400, a problem, and nothing stored.
    private func expectRefused(
        _ host: HostProcess, _ path: String, _ body: [UInt8], _ why: String,
        at location: SourceLocation = #_sourceLocation
    ) async throws {
        let answer = Answer(try await host.http.post(path, body))
        #expect(answer.status == 400, "\(why): \(answer.text)", sourceLocation: location)
        if path == HostProcess.batchPath {
            #expect(
                answer.document?.string != nil, "\(why): not a JSON string: \(answer.text)", sourceLocation: location)
        } else {
            #expect(answer.response.headers["content-type"] == "application/problem+json", sourceLocation: location)
            #expect(answer.document?["status"]?.integer == 400, sourceLocation: location)
        }
    }

    @Test(arguments: [HostProcess.webhookPath, HostProcess.batchPath])
    func whatIsNoDocumentOfTheSendersIsA400(_ path: String) async throws {
        let host = try await HostProcess(.embedded())
        var bodies: [(String, [UInt8])] = [
            ("not JSON", Array("alert: fire".utf8)), ("nothing", []), ("blanks", Array("  \n".utf8)),
            ("a string", Array("\"x\"".utf8)),
            ("a number", Array("1".utf8)), ("null", Array("null".utf8)), ("two documents", Array("[] []".utf8)),
            (
                "300 deep",
                Array(String(repeating: "[", count: 300).utf8) + Array(String(repeating: "]", count: 300).utf8)
            ),
            ("invalid UTF-8", Array("[{\"labels\":{\"alertname\":\"A\"}}".utf8) + [0xff, 0xfe] + Array("]".utf8)),
        ]
        let webhook = path == HostProcess.webhookPath
        bodies.append(webhook ? ("an array", Array("[]".utf8)) : ("an object", Array("{}".utf8)))
        if webhook {
            bodies.append(("another version", Array(#"{"version":"3","alerts":[]}"#.utf8)))
            bodies.append(("alerts is no list", Array(#"{"version":"4","status":"firing","alerts":{}}"#.utf8)))
            let deep = String(repeating: "[", count: 300) + String(repeating: "]", count: 300)
            bodies.append(("300 deep in an unknown field", Array((#"{"x":\#(deep),"# + Self.sample.dropFirst()).utf8)))
        }
        for (why, body) in bodies { try await expectRefused(host, path, body, why) }
        #expect(host.delivered.isEmpty)
        #expect(try await host.post(Alert("Good")).status == 201)
    }

    @Test func aFaultInJSONIsToldWithItsPlace() async throws {
        let host = try await HostProcess(.embedded())
        let broken = #"{"version":"4",%"status":"firing","receiver":"shop","alerts":[]}"#
        let answer = Answer(try await host.http.post(HostProcess.webhookPath, broken))
        #expect(answer.status == 400)
        #expect(
            answer.document?["offset"]?.integer == 15 || answer.detail.contains("15"), "no offset in \(answer.text)")
        #expect(!answer.text.contains("shop"), "an answer repeats its request: \(answer.text)")
    }

    @Test func aBodyTruncatedAtAnyByteIsA400() async throws {
        let host = try await HostProcess(.embedded())
        for (path, sample) in [
            (HostProcess.webhookPath, Self.sample), (HostProcess.batchPath, Alert.batch([Alert("Sample")])),
        ] {
            let bytes = Array(sample.utf8)
            for length in 0..<bytes.count {
                let answer = try await host.http.post(path, Array(bytes[..<length]))
                #expect(answer.status == 400, "\(path) cut at \(length): \(answer.text)")
            }
        }
        #expect(host.delivered.isEmpty)
    }

    @Test func aSenderThatDiesInItsRequestLeavesNothing() async throws {
        let host = try await HostProcess(.embedded())
        let bytes = Array(Self.sample.utf8)
        let head = "POST \(HostProcess.webhookPath) HTTP/1.1\r\nHost: x\r\nContent-Length: \(bytes.count)\r\n\r\n"
        for length in [0, 1, bytes.count / 2, bytes.count - 1] {
            let connection = try HTTPConnection(port: host.port)
            try await connection.send(Array(head.utf8) + bytes[..<length])
            if length.isMultiple(of: 2) { connection.reset() } else { connection.close() }
        }
        #expect(try await host.post(Alert("Sample", ("namespace", "shop"))).status == 201)
        #expect(try await host.deliveries(1).count == 1)
    }

    @Test func aBodyOverTheLimitIsA413() async throws {
        let host = try await HostProcess(.embedded())
        let count = 65 << 20
        let body = [UInt8](repeating: UInt8(ascii: " "), count: count)
        let announced = Answer(try await host.http.post(HostProcess.webhookPath, body))
        #expect(announced.status == 413)

        let chunk =
            Array("100000\r\n".utf8) + [UInt8](repeating: UInt8(ascii: " "), count: 1 << 20) + Array("\r\n".utf8)
        var stream = Array(
            "POST \(HostProcess.webhookPath) HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
        for _ in 0..<65 { stream += chunk }
        let unannounced = try await host.http.send(stream + Array("0\r\n\r\n".utf8), timeout: .seconds(60))
        #expect(unannounced.status == 413)
        #expect(try await host.post(Alert("Good")).status == 201)
    }

    @Test func twentyThousandAlertsInOneBodyAreTaken() async throws {
        var plan = HostPlan.embedded()
        // For the debug build: it takes 8 to 13 s for these 20 MB, a release build 2 s, well within the usual 8 s.
        plan.limits = "deadline: 60s"
        let host = try await HostProcess(plan)
        let alerts = (0..<20_000).map { place in
            var alert = Alert("Load\(place)", ("namespace", "shop"))
            alert.description = String(repeating: "x", count: 900)
            return alert
        }
        let answer = Answer(
            try await host.http.post(HostProcess.webhookPath, Alert.webhook(alerts), timeout: .seconds(90)))
        #expect(answer.status == 201, "\(answer.text.prefix(300))")
        #expect(answer.verdicts.count == 20_000)
        #expect(answer.verdicts.allSatisfy { $0 == "accepted" })
        let delivered = try await host.deliveries(20_000, within: .seconds(180))
        #expect(Set(delivered.map(\.name)).count == 20_000)
        #expect(delivered.count == 20_000)
    }

    @Test func moreBytesInFlightThanTheBoundAreA503() async throws {
        var plan = HostPlan.embedded()
        plan.limits = "body: 1MiB, in_flight_bytes: 2MiB, deadline: 30s"
        let host = try await HostProcess(plan)
        let size = 900 << 10
        let head = "POST \(HostProcess.webhookPath) HTTP/1.1\r\nHost: x\r\nContent-Length: \(size)\r\n\r\n"
        let most = Array(head.utf8) + [UInt8](repeating: UInt8(ascii: " "), count: size - 1)
        let whole = [UInt8](repeating: UInt8(ascii: " "), count: size)
        try await host.http.holding(most) {
            try await host.http.holding(most) {
                // A third before both are in would take room from them, and one of them would be refused instead.
                try await eventually("both bodies in memory") {
                    try await host.metric("portcullis_bytes_in_flight") == Double(2 * (size - 1))
                }
                #expect(try await host.http.post(HostProcess.webhookPath, whole).status == 503)
            }
        }
        try await eventually("room again") {
            try await host.http.post(HostProcess.webhookPath, Alert.webhook([Alert("Good")])).status == 201
        }
    }

    /// Items of a batch that can't be read, with a word of the reason that the sender is given.
    private static let badItems: [(String, String, String)] = [
        ("no labels", #"{"status":"firing","labels":{},"startsAt":"2026-08-01T12:00:00Z"}"#, "labels"),
        ("labels left out", #"{"status":"firing","startsAt":"2026-08-01T12:00:00Z"}"#, "labels"),
        ("a bad time", #"{"status":"firing","labels":{"alertname":"A"},"startsAt":"yesterday"}"#, "startsAt"),
        (
            "a key twice",
            #"{"status":"firing","labels":{"alertname":"A","pod":"a","pod":"b"},"startsAt":"2026-08-01T12:00:00Z"}"#,
            "labels"
        ),
        (
            "a label that is no text",
            #"{"status":"firing","labels":{"alertname":1},"startsAt":"2026-08-01T12:00:00Z"}"#, "labels"
        ),
        (
            "a value of 1 MiB",
            #"{"status":"firing","labels":{"alertname":"A","x":"\#(String(repeating: "v", count: 1 << 20))"},"startsAt":"2026-08-01T12:00:00Z"}"#,
            "label"
        ),
        ("no object", "7", ""),
    ]

    @Test func aBadItemIsADeadLetterAndItsNeighboursGoOn() async throws {
        let host = try await HostProcess(.embedded())
        for (place, (why, item, word)) in Self.badItems.enumerated() {
            let good = Alert.webhook([Alert("Good\(place)"), Alert("Fine\(place)")])
            // Between the two good ones.
            let cut = try #require(good.range(of: ["}", ",", "{", "\"", "s", "t", "a", "t"]))
            let body = good[...cut] + "," + item + good[good.index(after: cut)...]
            let answer = Answer(try await host.http.post(HostProcess.webhookPath, String(body)))
            #expect(answer.status == 201, "\(why): \(answer.text.prefix(400))")
            #expect(answer.verdicts == ["accepted", "accepted"], "\(why)")
            #expect(answer.deadLetters.keys.sorted() == [1], "\(why): \(answer.text.prefix(400))")
            #expect(answer.deadLetters[1]?.contains(word) == true, "\(why): \(answer.deadLetters)")
            #expect(!answer.text.contains("vvvv"), "an answer repeats its request")

            let alone = Answer(try await host.http.post(HostProcess.batchPath, "[\(item)]"))
            #expect(alone.status == 200, "\(why) alone: \(alone.text.prefix(400))")
        }
        let list = try await host.command("dead-letters", "list")
        #expect(list.end == .exited(0), "\(list.errors)")
        #expect(list.output.contains("startsAt"), "\(list.output)")
    }

    @Test func aLettersReasonAndPlaceAreAnsweredWhenNothingElseWasSent() async throws {
        let host = try await HostProcess(.embedded())
        let body = #"{"version":"4","status":"firing","alerts":[\#(Self.badItems[2].1)]}"#
        for _ in 0..<2 {
            let answer = Answer(try await host.http.post(HostProcess.webhookPath, body))
            #expect(answer.status == 200)
            #expect(answer.deadLetters[0]?.contains("startsAt") == true, "\(answer.text)")
        }
    }

    @Test func theStatusOfAnAlertCountsNotThatOfItsGroup() async throws {
        let host = try await HostProcess(.embedded())
        let firing = Alert("Disagreeing")
        let body = Alert.webhook([firing], groupStatus: "resolved")
        #expect(Answer(try await host.http.post(HostProcess.webhookPath, body)).verdicts == ["accepted"])
        let ended = Alert.webhook([firing.resolved()], groupStatus: "firing")
        #expect(Answer(try await host.http.post(HostProcess.webhookPath, ended)).verdicts == ["resolved"])
    }
}

extension String {
    /// The place of the first of `characters` where they follow each other.
    fileprivate func range(of characters: [Character]) -> Index? {
        indices.first { self[$0...].starts(with: characters) }
    }
}
