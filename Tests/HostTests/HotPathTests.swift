import TestSupport
import Testing

@testable import Host

/// What Benchmarks/Micro measures does something.
struct HotPathTests {
    @Test func eachPartMakesSomething() throws {
        let alert = try Repository.text("Benchmarks/alert.json").replacing("STARTS", with: "2026-01-01T00:00:00.000Z")
            .replacing("ENDS", with: "2099-01-01T00:00:00.000Z")
        let path = try #require(HotPath(Array("[\(alert),\(alert.replacing("NAME", with: "B"))]".utf8)))
        #expect(path.count == 2)
        let made = path.parts.map { ($0.name, $0.run()) }
        #expect(made.first { $0.0 == "decode" }?.1 == 2)
        #expect(made.allSatisfy { $0.1 != 0 })
        // Of what is known, less is told.
        let calls = made.filter { $0.0.hasPrefix("gate call") }.map(\.1)
        #expect(calls.count == 2 && calls[0] > calls[1] + 1_000)
        #expect(HotPath(Array("{}".utf8)) == nil)
    }
}
