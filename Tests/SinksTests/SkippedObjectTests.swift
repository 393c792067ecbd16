import JSON
import SignalKit
import TestAPIServer
import Testing

@testable import Sinks

/// Earlier episodes that have no object, because it could not be made in time.
@Suite(.serialized) struct SkippedObjectTests {
    @Test func anObjectSaysHowManyEpisodesBeforeItHaveNone() async throws {
        let rig = try await ObjectRig()
        let sink = try rig.sink()
        let skipped = Delivery.Skipped(episodes: 3, first: Timestamp(milliseconds: 1_000))
        try await rig.deliver(sink, ObjectRig.delivery(.firing, 5, 5, skipped: skipped))
        func told() -> JSONTree? { rig.server.objects("signals").first?.value["status"]?["skipped"] }
        let expected: JSONTree = ["episodes": 3, "first": "1970-01-01T00:00:01.000Z"]
        #expect(told() == expected)
        // It is told once, and stays.
        try await rig.deliver(sink, ObjectRig.delivery(.resolved, 5, 7, isUpdate: true))
        #expect(told() == expected)
    }
}
