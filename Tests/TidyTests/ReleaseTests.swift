import TestSupport
import Testing

/// A release build has no fail points. `make build` asks the executable itself.
@Suite struct ReleaseTests {
    private static let file = "Sources/FailPoints/FailPoint.swift"

    /// Whether the module, compiled with these flags, names the variable that arms a fail point.
    private static func isArmed(_ flags: [String]) async throws -> Bool {
        let directory = try TemporaryDirectory()
        let object = directory.file("FailPoint.o")
        let built = try await ChildProcess.run(
            "swiftc",
            ["-O", "-package-name", "portcullis", "-module-name", "FailPoints", "-parse-as-library", "-c"]
                + flags + [Repository.path(file), "-o", object])
        #expect(built.end == .exited(0), "\(built.errors)")
        // Not as text: an object file is none.
        let found = try await ChildProcess.run("grep", ["--count", "--text", "PORTCULLIS_FAILPOINT", object])
        return found.end == .exited(0)
    }

    @Test func onlyABuildThatAsksForFailPointsHasThem() async throws {
        #expect(try await !Self.isArmed([]))
        #expect(try await Self.isArmed(["-D", "FAILPOINTS"]))
    }

    @Test func onlyADebugBuildAsksForFailPoints() throws {
        let lines = try Repository.text("Package.swift").split(separator: "\n").filter { $0.contains("FAILPOINTS") }
        #expect(lines == [#"let failPoints: [SwiftSetting] = [.define("FAILPOINTS", .when(configuration: .debug))]"#])
    }

    @Test func noOtherSourceReadsTheVariable() throws {
        let readers = Repository.files().filter { path in
            path.hasPrefix("Sources/") && Files.text(Repository.path(path))?.contains("PORTCULLIS_FAILPOINT") == true
        }
        #expect(readers == [Self.file])
    }
}
