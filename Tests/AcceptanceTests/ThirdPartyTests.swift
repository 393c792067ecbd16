import Glibc
import Subprocess
import Testing

/// examples/third-party-adapter as a stranger finds it: from `git archive`, away from the working tree.
///
/// Everything is under `.build-example`, always at the same place: what depends on nothing of ours (the server, the
/// TLS library: minutes) is then compiled once for all runs, and only our own modules again. CI may keep that
/// directory between runs; without it the test takes as long as a first build.
@Suite(.serialized, .timeLimit(.minutes(40)))
struct ThirdPartyTests {
    private let root: String
    private var scratch: String { root + "/.build-example" }
    private var example: String { scratch + "/portcullis/examples/third-party-adapter" }

    init() async throws {
        root = try #require(#filePath.before("/Tests/AcceptanceTests/"))
        // The root's Package.resolved, when there is one, so that the host is built of the versions that we test.
        try await shell(
            """
            rm -rf "$1/portcullis" && mkdir -p "$1/portcullis"
            git -C "$0" archive HEAD | tar -x -C "$1/portcullis"
            if [ -f "$0/Package.resolved" ]; then
                cp "$0/Package.resolved" "$1/portcullis/examples/third-party-adapter/host/"
            fi
            """, root, root + "/.build-example")
    }

    @Test func theAdapterAloneFetchesNothing() async throws {
        let fetched = try await shell(
            """
            rm -rf "$1" && swift package --package-path "$0" --scratch-path "$1" resolve >&2
            ls "$1/checkouts" "$1/repositories" | grep -v : || true
            """, example, scratch + "/resolved")
        #expect(!fetched.contains("swift-nio") && !fetched.contains("hummingbird"), "\(fetched)")
    }

    @Test func itsTestOfOneLinePasses() async throws {
        let output = try await shell(
            #"swift test --package-path "$0" --scratch-path "$1" 2>&1"#, example, scratch + "/library")
        #expect(output.contains("Test run with 1 test"), "\(output.suffix(2_000))")
        let checkouts = try await shell(#"ls "$0/checkouts""#, scratch + "/library")
        #expect(!checkouts.contains("swift-nio"))
    }

    @Test func theHostWithTheAdapterTakesItsSignals() async throws {
        let directory = example + "/host"
        try await shell(
            #"swift build --package-path "$0" --scratch-path "$1" --product acme-portcullis 2>&1"#, directory,
            scratch + "/host")
        let (port, admin) = try freePorts()
        _ = try await run(
            .name("sh"),
            arguments: [
                "-c",
                """
                cd "$1" && sed "s/:8080/:$2/; s/:9090/:$3/" portcullis.yaml >ports.yaml
                exec "$0" serve --config ports.yaml >host.log 2>&1
                """,
                scratch + "/host/debug/acme-portcullis", directory, "\(port)", "\(admin)",
            ], input: .none, output: .discarded, error: .discarded
        ) { host in
            do {
                // A second between attempts, a minute in all: the host starts its own Redis first.
                try await shell(
                    #"curl -sf --retry 60 --retry-delay 1 --retry-max-time 60 --retry-all-errors "$0/readyz" || { cat "$1"; exit 1; }"#,
                    "http://127.0.0.1:\(admin)", directory + "/host.log")
                let incident = #"{"id":"INC-7","title":"Checkout is slow","state":"open","service":"checkout"}"#
                #expect(try await post([incident], port) == "201")
                #expect(try await post([incident], port) == "202")
                #expect(try await post([#"{"id":"INC-8"}"#], port) == "200")
                #expect(try await post([incident], port, cut: 1) == "400")
            } catch {
                Issue.record(error)
            }
            try host.send(signal: .terminate)
        }
    }

    /// The status of the answer to incidents, `cut` bytes of the body left out.
    private func post(_ incidents: [String], _ port: UInt16, cut: Int = 0) async throws -> String {
        let body = #"{"incidents":["# + incidents.joined(separator: ",") + "]}"
        return try await shell(
            #"curl -s -o /dev/null -w '%{http_code}' -m 10 -H 'content-type: application/json' -d "$1" "$0""#,
            "http://127.0.0.1:\(port)/api/v1/signals/acme-pager", String(body.dropLast(cut)))
    }
}

private struct ShellFailed: Error { let output: String }

/// Runs a script with `$0`, `$1`, …; its output, or what it said when it failed.
@discardableResult
private func shell(_ script: String, _ arguments: String...) async throws -> String {
    let result = try await run(
        .name("bash"), arguments: Arguments(["-euo", "pipefail", "-c", script] + arguments),
        output: .string(limit: 16 << 20), error: .string(limit: 16 << 20))
    let output = result.standardOutput
    guard result.terminationStatus.isSuccess else {
        throw ShellFailed(output: "\(output.suffix(4_000))\(result.standardError.suffix(4_000))")
    }
    return output
}

extension String {
    /// What stands before `mark`.
    fileprivate func before(_ mark: String) -> String? {
        firstRange(of: mark).map { String(self[..<$0.lowerBound]) }
    }
}

/// Two loopback ports that nobody listens on, both held until both are known.
private func freePorts() throws -> (UInt16, UInt16) {
    let (first, second) = (try BoundPort(), try BoundPort())
    defer {
        first.close()
        second.close()
    }
    return (first.port, second.port)
}

private struct BoundPort {
    private let socket: Int32
    let port: UInt16

    init() throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = socket
        // SAFETY: both calls read or fill exactly one sockaddr_in, which lives on this stack.
        let bound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard bound else { throw ShellFailed(output: "no free port: errno \(errno)") }
        port = UInt16(bigEndian: address.sin_port)
    }

    func close() { _ = Glibc.close(socket) }
}
