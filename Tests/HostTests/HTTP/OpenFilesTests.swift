import Testing

@testable import Host

/// How a limit on open files is shared out.
@Suite struct OpenFilesTests {
    private func configuration(connections: Int, admin: Bool = true) -> HostConfiguration {
        HostConfiguration(
            server: .init(
                listen: .init(host: "127.0.0.1", port: 1), admin: admin ? .init(host: "127.0.0.1", port: 2) : nil,
                limits: .init(connections: connections)),
            state: .init(store: .embedded(directory: "unused"), timeout: .seconds(1), prefix: "test"), routes: [],
            policies: [], gatePolicies: [], sinks: [])
    }

    @Test func whatFitsIsLeftAsItIs() throws {
        let files = try OpenFiles(limit: 20_000, for: configuration(connections: 4_096), loops: 1)
        #expect(files.senders == 4_096 && files.operators == 4_096 && files.warning == nil)
    }

    @Test func whatDoesNotFitIsClampedForBothListenersWithAWarningThatNamesTheNumbers() throws {
        for limit in [150, 256, 1_024, 4_096, 8_192] {
            let files = try OpenFiles(limit: limit, for: configuration(connections: 4_096), loops: 1)
            #expect(files.senders + files.operators + 64 <= limit, "\(limit)")
            #expect(files.senders >= OpenFiles.fewest && files.operators >= OpenFiles.fewest, "\(limit)")
            let warning = try #require(files.warning)
            for number in [limit, files.senders, files.operators, 4_096] { #expect(warning.contains("\(number)")) }
        }
    }

    @Test func withoutAnAdminListenerAllIsForSenders() throws {
        let files = try OpenFiles(limit: 1_024, for: configuration(connections: 4_096, admin: false), loops: 1)
        #expect(files.operators == 0 && files.senders > 800)
    }

    @Test func whatIsTooLowIsAnErrorWithBothNumbers() {
        let error = #expect(throws: StartError.self) {
            try OpenFiles(limit: 64, for: configuration(connections: 10), loops: 4)
        }
        #expect(error?.description.contains("is 64, and the host needs") == true)
    }
}
