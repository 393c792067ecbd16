import Dispatch
import Glibc
import JSON
import Synchronization
import TestSupport
import Testing

@testable import Host

/// An admin listener that gives its answers in turn, the last one for ever, and keeps what it was asked.
private final class CannedAdmin: Sendable {
    let port: Int
    private let socket: Int32
    private let asked = Mutex<[String]>([])

    init(_ answers: [(status: Int, body: String)]) throws {
        port = try freePort()
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let descriptor = socket
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 && listen(descriptor, 8) == 0
            }
        }
        guard bound else { throw TestFailure("can't listen on \(port)") }
        DispatchQueue(label: "canned").async { [self] in
            var rest = answers[...]
            while let answer = rest.first {
                let peer = accept(socket, nil, nil)
                guard peer >= 0 else { return }
                if rest.count > 1 { rest.removeFirst() }
                serve(peer, answer)
            }
        }
    }

    private func serve(_ peer: Int32, _ answer: (status: Int, body: String)) {
        defer { close(peer) }
        var request: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4_096)
        while !String(decoding: request, as: UTF8.self).contains("\r\n\r\n") {
            let count = recv(peer, &piece, piece.count, 0)
            guard count > 0 else { return }
            request += piece[..<count]
        }
        asked.withLock { $0.append(String(decoding: request, as: UTF8.self)) }
        let head = "HTTP/1.1 \(answer.status) X\r\nContent-Length: \(answer.body.utf8.count)\r\n\r\n"
        let bytes = Array((head + answer.body).utf8)
        _ = send(peer, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    func stop() { shutdown(socket, Int32(SHUT_RDWR)) }
    deinit { close(socket) }

    var requests: [String] { asked.withLock { $0 } }
    var lines: [String] {
        requests.map { $0.split(separator: "\r\n").first.map(String.init) ?? "" }
    }
}

@Suite struct CommandAdminTests {
    private let directory: TemporaryDirectory
    private let file: String

    init() throws {
        directory = try TemporaryDirectory()
        file = directory.file("portcullis.yaml")
    }

    private func ask(
        _ answers: [(status: Int, body: String)], _ words: String..., token: String? = nil
    ) async throws -> (printed: Printed, lines: [String], requests: [String]) {
        let admin = try CannedAdmin(answers)
        defer { admin.stop() }
        var text = fineFile.replacing("127.0.0.1:9090", with: "127.0.0.1:\(admin.port)")
        if let token {
            try Files.write(token + "\n", to: directory.file("token"))
            text = text.replacing("state:", with: "  admin_token_file: \(directory.file("token"))\nstate:")
        }
        try Files.write(text, to: file)
        let printed: Printed
        switch words.count {
        case 1: printed = await command(words[0], "--config", file)
        case 2: printed = await command(words[0], words[1], "--config", file)
        case 3: printed = await command(words[0], words[1], words[2], "--config", file)
        case 4: printed = await command(words[0], words[1], words[2], words[3], "--config", file)
        default: printed = await command(words[0], words[1], words[2], words[3], words[4], "--config", file)
        }
        return (printed, admin.lines, admin.requests)
    }

    private static let status = """
        {"version":"0.1.0","uptime_seconds":90,
        "store":{"state":"shut","reason":"refused","where":"redis 127.0.0.1:6379/0"},
        "queues":[{"sink":"file","depth":12,"oldest_age_seconds":61}],"storms_open":1,
        "dead_letters":[{"origin":"adapter/alertmanager","count":2}],"counters":{"missed_firing":4}}
        """

    @Test func statusIsPrintedForPeople() async throws {
        let (printed, lines, requests) = try await ask([(200, Self.status)], "status", token: "hush")
        #expect(printed.code == 0, "\(printed.err)")
        #expect(
            printed.out == [
                "portcullis 0.1.0, up 1m30s", "store   shut: refused (redis 127.0.0.1:6379/0)", "storms  1 open",
                "so far  missed firing 4", "", "SINK  WAITING  OLDEST", "file       12    1m1s", "",
                "DEAD LETTERS OF       COUNT", "adapter/alertmanager      2",
            ])
        #expect(lines == ["GET /api/v1/status HTTP/1.1"])
        #expect(requests[0].lowercased().contains("\r\nauthorization: bearer hush\r\n"))
    }

    @Test func jsonIsTheHostsOwnDocument() async throws {
        let (printed, _, requests) = try await ask([(200, Self.status)], "status", "--output", "json")
        #expect(printed.out == [Self.status])
        #expect(!requests[0].lowercased().contains("authorization"))
    }

    @Test func deadLettersAreListedShownReplayedAndDropped() async throws {
        let letter = #"{"id":"abc","origin":"sink/file","reason":"full","count":3,"first":"F","last":"L","item":"{}"}"#
        let list = try await ask(
            [(200, #"{"total":5,"dead_letters":[\#(letter)]}"#)], "dead-letters", "list", "--origin", "sink/file")
        #expect(list.lines == ["GET /api/v1/dead-letters?limit=100&origin=sink%2Ffile HTTP/1.1"])
        #expect(
            list.printed.out == [
                "ID   ORIGIN     COUNT", "abc  sink/file      3", "    last L: full", "1 of 5; --limit shows more",
            ])
        let shown = try await ask([(200, letter)], "dead-letters", "show", "abc")
        #expect(shown.lines == ["GET /api/v1/dead-letters/abc HTTP/1.1"] && shown.printed.out.last == "{}")
        let replayed = try await ask(
            [(200, #"{"id":"abc","result":"replayed","status":201}"#)], "dead-letters", "replay", "abc")
        #expect(replayed.lines == ["POST /api/v1/dead-letters/abc/replay HTTP/1.1"])
        #expect(replayed.printed.out == ["replayed abc (201)"])
        let some = try await ask(
            [(200, #"{"replayed":5,"failed":1,"reasons":["still bad"]}"#)], "dead-letters", "replay", "--origin",
            "sink/a")
        #expect(some.lines == ["POST /api/v1/dead-letters/replay?origin=sink%2Fa HTTP/1.1"])
        #expect(some.printed.code == 1 && some.printed.out == ["replayed 5, refused again 1", "    still bad"])
        let dropped = try await ask([(200, #"{"dropped":1}"#)], "dead-letters", "drop", "abc")
        #expect(dropped.lines == ["DELETE /api/v1/dead-letters/abc HTTP/1.1"] && dropped.printed.out == ["dropped 1"])
    }

    @Test func stormsAreListedAndShown() async throws {
        let storm = """
            {"id":"aa-1","state":"open","group":{"name":"NodeDown"},"members":12,"firing":9,"opened":"O","last":"L",
            "listed":[{"fingerprint":"ff","episode":"1","name":"NodeDown","target":{"kind":"node","name":"n1"},"firing":true}]}
            """
        let list = try await ask([(200, #"{"storms":[\#(storm)]}"#)], "storms")
        #expect(list.lines == ["GET /api/v1/storms?limit=100 HTTP/1.1"])
        #expect(
            list.printed.out == [
                "ID    STATE  FIRING  MEMBERS", "aa-1  open        9       12",
                "    name=\"NodeDown\" opened O, last L",
            ])
        let one = try await ask([(200, storm)], "storms", "aa-1")
        #expect(one.lines == ["GET /api/v1/storms/aa-1?limit=500 HTTP/1.1"])
        #expect(one.printed.out.last == "NodeDown  node n1  yes     ff")
    }

    @Test func sendWaitsForEverySink() async throws {
        let taken = (200, #"{"fingerprint":"ff","episode":"5","verdict":"accepted"}"#)
        let sent = try await ask(
            [
                taken, (404, "{}"), (200, #"{"sinks":[{"name":"file","state":"queued"}]}"#),
                (200, #"{"sinks":[{"name":"file","state":"delivered"}]}"#),
            ], "send")
        #expect(sent.printed.code == 0, "\(sent.printed.err)")
        #expect(sent.printed.out == ["accepted: fingerprint ff, episode 5", "file: queued", "file: delivered"])
        #expect(sent.lines.count == 4 && sent.lines[0] == "POST /api/v1/send HTTP/1.1")
        #expect(sent.lines[3] == "GET /api/v1/send/ff HTTP/1.1")

        let late = try await ask(
            [taken, (200, #"{"sinks":[{"name":"file","state":"queued"}]}"#)], "send", "--timeout", "300ms")
        #expect(
            late.printed.code == 1 && late.printed.err[0].contains("not delivered within 300ms, still queued: file"))
        let lost = try await ask([taken, (200, #"{"sinks":[{"name":"file","state":"dead-lettered"}]}"#)], "send")
        #expect(lost.printed.code == 1 && lost.printed.err[0].contains("sink/file"))
        let refused = try await ask([(503, #"{"detail":"deduplication service unavailable"}"#)], "send")
        #expect(refused.printed.code == 1)
        #expect(refused.printed.err[0].hasPrefix("portcullis: deduplication service unavailable (503 from 127.0.0.1:"))
    }

    @Test func aProblemIsToldInItsOwnWords() async throws {
        let refused = try await ask(
            [(404, #"{"title":"t","detail":"no such dead letter"}"#)], "dead-letters", "show", "x")
        #expect(refused.printed.code == 1 && refused.printed.err[0].contains("no such dead letter (404"))
        let odd = try await ask([(200, "<html>")], "status")
        #expect(odd.printed.code == 1 && odd.printed.err[0].contains("not JSON"))
    }

    @Test func whatSendersWroteMovesNoCursor() async throws {
        var writer = JSONWriter()
        writer.string(ControlCharacterTests.hostile)
        let text = String(decoding: writer.bytes, as: UTF8.self)
        let status = """
            {"version":\(text),"store":{"state":\(text),"reason":\(text),"where":\(text)},"storms_open":1,
            "queues":[{"sink":\(text),"depth":1}],"dead_letters":[{"origin":\(text),"count":2}],"counters":{\(text):4}}
            """
        let storm = """
            {"id":\(text),"state":\(text),"group":{\(text):\(text)},"members":1,"firing":1,"opened":\(text),"last":\(text),
            "listed":[{"name":\(text),"target":{"kind":\(text),"namespace":\(text),"name":\(text)},"fingerprint":\(text)}]}
            """
        let letter =
            #"{"id":\#(text),"origin":\#(text),"reason":\#(text),"first":\#(text),"last":\#(text),"item":\#(text)}"#
        let answers: [(words: [String], body: String)] = [
            (["status"], status), (["storms"], #"{"storms":[\#(storm)]}"#), (["storms", "x"], storm),
            (["dead-letters", "list"], #"{"dead_letters":[\#(letter)]}"#), (["dead-letters", "show", "x"], letter),
        ]
        for (words, body) in answers {
            for form in [[], ["--output", "json"]] {
                let admin = try CannedAdmin([(200, body)])
                defer { admin.stop() }
                try Files.write(fineFile.replacing("127.0.0.1:9090", with: "127.0.0.1:\(admin.port)"), to: file)
                let printed = await command(words: words + form + ["--config", file])
                #expect(printed.code == 0, "\(printed.err)")
                #expect(ControlCharacterTests.obeyed(printed.out) == [], "\(words): \(printed.out)")
                if !form.isEmpty { _ = try JSONDocument.parse(Array(printed.out[0].utf8)) }
            }
        }
        let refused = try await ask([(409, #"{"detail":\#(text)}"#)], "dead-letters", "replay", "x")
        #expect(refused.printed.code == 1 && ControlCharacterTests.obeyed(refused.printed.err) == [])
    }

    @Test func whereNobodyListensIsSaid() async throws {
        let port = try freePort()
        try Files.write(fineFile.replacing("127.0.0.1:9090", with: "127.0.0.1:\(port)"), to: file)
        let printed = await command("status", "--config", file)
        #expect(printed.code == 1)
        #expect(
            printed.err == [
                "portcullis: no host answers at 127.0.0.1:\(port) (Connection refused): is `portcullis serve` running with this configuration?"
            ])
        try Files.write(fineFile.replacing("  admin: 127.0.0.1:9090\n", with: ""), to: file)
        let none = await command("status", "--config", file)
        #expect(none.code == 2 && none.err[0].contains("no server.admin"))
    }
}
