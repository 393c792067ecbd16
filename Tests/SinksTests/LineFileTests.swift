import Glibc
import SignalKit
import TestSupport
import Testing

@testable import Sinks

/// What the file remembers of itself, and its lock.
@Suite struct LineFileTests {
    private let directory: TemporaryDirectory
    private var path: String { directory.file("signals.jsonl") }

    init() throws { directory = try TemporaryDirectory() }

    private func file(remembered: Int = 4) -> LineFile {
        LineFile(path: path, maxSize: 1 << 20, keep: 1, remembered: remembered)
    }

    private func delivery(_ name: String) -> Delivery {
        Delivery(
            id: "\(name)-1-1", kind: .signal, state: .firing, fingerprint: name, episode: 1, version: 1, follows: nil,
            count: 1, first: Timestamp(milliseconds: 1), last: Timestamp(milliseconds: 1), reason: nil, signal: nil,
            storm: nil, json: Array("{\"id\":\"\(name)-1-1\"}".utf8))
    }

    private var ids: [String] { Files.lines(path).map { String($0.dropFirst(7).prefix { $0 != "\"" }) } }

    @Test(arguments: [(0o700, 0o600), (0o750, 0o640), (0o755, 0o640)] as [(mode_t, mode_t)])
    func theFileIsPrivateInAPrivateDirectory(_ folder: mode_t, _ expected: mode_t) throws {
        let old = umask(0o022)
        defer { umask(old) }
        #expect(chmod(directory.path, folder) == 0)
        var file = file()
        try file.append([(delivery("a"), again: false)])
        file.close()
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == expected)
    }

    @Test func whatFollowsManyNewOnesInABatchIsStillNotWrittenTwice() throws {
        var earlier = file()
        try earlier.append([(delivery("a"), again: false)])
        earlier.close()
        var file = file()
        let new = ["b", "c", "d", "e", "f"]
        try file.append(new.map { (delivery($0), again: false) } + [(delivery("a"), again: true)])
        #expect(ids == ["a", "b", "c", "d", "e", "f"].map { "\($0)-1-1" })
        file.close()
    }

    @Test func whatIsLearntOfOneMakesNoOtherForgotten() throws {
        var file = file()
        try file.append(["a", "b", "c", "d"].map { (delivery($0), again: false) })
        try file.append([(delivery("a"), again: true), (delivery("e"), again: true)])
        try file.append(["a", "b", "c", "d", "e"].map { (delivery($0), again: true) })
        #expect(ids == ["a", "b", "c", "d", "e"].map { "\($0)-1-1" })
        file.close()
    }

    @Test func aClosedFileIsFreeEvenIfAChildHasACopyOfItsDescriptor() throws {
        var first = file()
        try first.append([(delivery("a"), again: false)])
        let open = try #require(
            Files.names(in: "/proc/self/fd").compactMap { Int32($0) }.first { number in
                var mine = stat()
                var named = stat()
                return fstat(number, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino
                    && mine.st_dev == named.st_dev
            })
        // As a fork makes one, until its exec.
        let copy = dup(open)
        defer { close(copy) }
        first.close()
        var second = file()
        try second.append([(delivery("b"), again: false)])
        #expect(ids == ["a-1-1", "b-1-1"])
        second.close()
    }
}
