import Glibc
import TestSupport
import Testing

struct ChildProcessTests {
    /// One that kept a listening socket of a test's server open took connections, and answered none.
    @Test func aChildHoldsNothingThatIsOpenHere() async throws {
        let file = open("/dev/null", O_RDONLY)
        defer { close(file) }
        let listing = try await ChildProcess.run("ls", ["/proc/self/fd"])
        // 3 is the directory that ls reads.
        #expect(listing.output == "0\n1\n2\n3\n")
    }
}
