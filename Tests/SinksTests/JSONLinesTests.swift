import Glibc
import SignalKit
import Sinks
import TestSupport
import Testing

/// The file that a delivery is a line of.
@Suite struct JSONLinesTests {
    private let directory: TemporaryDirectory
    private var path: String { directory.file("out/signals.jsonl") }

    init() throws { directory = try TemporaryDirectory() }

    private func sink(_ more: (String, String)..., at path: String? = nil) throws -> JSONLines {
        let mark = ConfigMark(line: 1, column: 1)
        let entries = ([("path", path ?? self.path)] + more).map {
            ConfigNode.Entry(key: $0.0, mark: mark, value: ConfigNode(.scalar($0.1, plain: true), mark: mark))
        }
        var reader = ConfigReader(ConfigNode(.map(entries), mark: mark), path: "sinks[0]")
        let sink = try JSONLines(&reader, .silent)
        guard reader.errors.isEmpty else { throw reader.errors[0] }
        return sink
    }

    private func delivery(_ name: String, _ episode: Int64, _ version: Int64, padding: Int = 0) -> Delivery {
        let id = "\(name)-\(episode)-\(version)"
        let text = "{\"id\":\"\(id)\",\"padding\":\"\(String(repeating: "x", count: padding))\"}"
        return Delivery(
            id: id, kind: .signal, state: .firing, fingerprint: name, episode: episode, version: version, follows: nil,
            count: 1,
            first: Timestamp(milliseconds: episode), last: Timestamp(milliseconds: version), reason: nil, signal: nil,
            storm: nil, json: Array(text.utf8))
    }

    private func context(attempt: Int = 1) -> DeliveryContext {
        DeliveryContext(attempt: attempt, deadline: .now + .seconds(60))
    }

    private func ids(_ path: String? = nil) -> [String] {
        Files.lines(path ?? self.path).map { String($0.dropFirst(7).prefix { $0 != "\"" }) }
    }

    @Test func aDeliveryIsALine() async throws {
        let sink = try sink()
        try await sink.deliver(delivery("a", 1, 1), context())
        try await sink.deliver(delivery("a", 1, 2), context())
        #expect(ids() == ["a-1-1", "a-1-2"])
        #expect(Files.text(path)?.hasSuffix("}\n") == true)
    }

    @Test func whatIsDeliveredTwiceIsThereOnce() async throws {
        let sink = try sink()
        for attempt in 1...3 { try await sink.deliver(delivery("a", 1, 1), context(attempt: attempt)) }
        #expect(ids() == ["a-1-1"])
    }

    @Test func anEarlierHostsLineIsFoundBeforeItIsWrittenAgain() async throws {
        let first = try sink()
        try await first.deliver(delivery("a", 1, 1), context())
        await first.close()
        let second = try sink()
        try await second.deliver(delivery("a", 1, 1), context(attempt: 2))
        try await second.deliver(delivery("b", 2, 2), context(attempt: 2))
        #expect(ids() == ["a-1-1", "b-2-2"])
    }

    @Test func theFileBeforeTheCurrentOneIsLookedThroughToo() async throws {
        let first = try sink(("max_size", "4096"))
        try await first.deliver(delivery("a", 1, 1, padding: 3_000), context())
        try await first.deliver(delivery("b", 2, 2, padding: 3_000), context())
        #expect(ids("\(path).1") == ["a-1-1"])
        await first.close()
        let second = try sink(("max_size", "4096"))
        try await second.deliver(delivery("a", 1, 1, padding: 3_000), context(attempt: 2))
        #expect(ids() == ["b-2-2"])
    }

    @Test func everyOrderOfStatesEndsTheSame() async throws {
        func permutations(_ items: [Delivery]) -> [[Delivery]] {
            guard items.count > 1 else { return [items] }
            return items.indices.flatMap { place -> [[Delivery]] in
                var rest = items
                let one = rest.remove(at: place)
                return permutations(rest).map { [one] + $0 }
            }
        }
        let states = [delivery("a", 1, 1), delivery("a", 1, 2), delivery("a", 1, 3), delivery("a", 4, 4)]
        for (place, order) in permutations(states).enumerated() {
            let file = directory.file("\(place).jsonl")
            let sink = try sink(at: file)
            for delivery in order {
                try await sink.deliver(delivery, context())
                try await sink.deliver(delivery, context(attempt: 2))
            }
            #expect(ids(file).last == "a-4-4")
            #expect(Set(ids(file)).count == ids(file).count)
            // Nothing older follows something newer.
            #expect(ids(file) == ids(file).sorted())
        }
    }

    @Test func theEndOfWhatTheFileNeverHeldIsNotWritten() async throws {
        let sink = try sink()
        try await sink.deliver(delivery("a", 0, 5), context())
        #expect(ids().isEmpty)
        try await sink.deliver(delivery("b", 1, 1), context())
        try await sink.deliver(delivery("b", 0, 5), context())
        #expect(ids() == ["b-1-1", "b-0-5"])
    }

    @Test func aTornLastLineIsCutAway() async throws {
        let first = try sink()
        try await first.deliver(delivery("a", 1, 1), context())
        await first.close()
        let whole = try #require(Files.text(path))
        try Files.write(whole + "{\"id\":\"b-2-2\",\"padd", to: path)
        let second = try sink()
        try await second.deliver(delivery("b", 2, 2), context(attempt: 2))
        #expect(ids() == ["a-1-1", "b-2-2"])
        #expect(Files.text(path)?.hasPrefix(whole) == true)
    }

    @Test func aFileOfNothingButATornLineIsCutToNothing() async throws {
        let first = try sink()
        try await first.deliver(delivery("a", 1, 1), context())
        await first.close()
        try Files.write(String(repeating: "y", count: 200_000), to: path)
        let second = try sink()
        try await second.deliver(delivery("b", 2, 2), context())
        #expect(ids() == ["b-2-2"])
    }

    @Test func theFileRotatesBySizeAndKeepsItsNumber() async throws {
        let sink = try sink(("max_size", "4096"), ("keep", "2"))
        for place in 1...5 { try await sink.deliver(delivery("a", Int64(place), 1, padding: 3_000), context()) }
        #expect(ids() == ["a-5-1"])
        #expect(ids("\(path).1") == ["a-4-1"])
        #expect(ids("\(path).2") == ["a-3-1"])
        #expect(!Files.exists("\(path).3"))
    }

    @Test func aFileThatWasMovedAwayIsMadeAnew() async throws {
        let sink = try sink()
        try await sink.deliver(delivery("a", 1, 1), context())
        #expect(rename(path, path + ".moved") == 0)
        try await sink.deliver(delivery("b", 2, 2), context())
        #expect(ids() == ["b-2-2"])
    }

    @Test func oneFileHasOneHost() async throws {
        let first = try sink()
        try await first.deliver(delivery("a", 1, 1), context())
        let second = try sink()
        let error = await #expect(throws: SinkError.self) { try await second.deliver(delivery("b", 2, 2), context()) }
        #expect(error?.retryable == true)
        #expect(error?.message.contains("another host") == true)
        await first.close()
        try await second.deliver(delivery("b", 2, 2), context())
        #expect(ids() == ["a-1-1", "b-2-2"])
    }

    @Test func aDirectoryThatCannotBeMadeIsARetryableError() async throws {
        try Files.write("a file", to: directory.file("out"))
        let sink = try sink()
        let error = await #expect(throws: SinkError.self) { try await sink.deliver(delivery("a", 1, 1), context()) }
        #expect(error?.retryable == true)
        Files.remove(directory.file("out"))
        try await sink.deliver(delivery("a", 1, 1), context(attempt: 2))
        #expect(ids() == ["a-1-1"])
    }

    @Test func aFullDiskIsARetryableError() async throws {
        let sink = try sink(at: "/dev/full")
        let error = await #expect(throws: SinkError.self) { try await sink.deliver(delivery("a", 1, 1), context()) }
        #expect(error?.retryable == true)
    }

    @Test func manyAtOnceAreAllThere() async throws {
        let sink = try sink()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for place in 0..<500 { group.addTask { try await sink.deliver(delivery("f\(place)", 1, 1), context()) } }
            try await group.waitForAll()
        }
        #expect(Set(ids()).count == 500)
        #expect(ids().count == 500)
    }
}
