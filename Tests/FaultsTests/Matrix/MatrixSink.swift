import JSON
import TestSupport

/// What a sink says of a firing, read from outside: files, and an API server's objects.
struct Shown: Sendable {
    let firing: Firing
    let isResolved: Bool
    let episode: String
    let version: Int
    let id: String
    /// Which file; nil for an object.
    let file: Int?
}

/// The sink of one cell: a file for each host, or one cluster for all of them.
final class MatrixSink: Sendable {
    let kind: Cell.SinkKind
    /// On the hosts' way to the API server.
    let proxy: FaultProxy?
    private let api: ChildProcess?
    private let directory: TemporaryDirectory
    private let port: Int

    init(_ kind: Cell.SinkKind, seed: UInt64) async throws {
        self.kind = kind
        directory = try TemporaryDirectory()
        guard kind == .kubernetes else {
            (proxy, api, port) = (nil, nil, 0)
            return
        }
        port = try freePort()
        let executable = try HostProcess.executable()
        let folder = executable[..<(executable.lastIndex(of: "/") ?? executable.startIndex)]
        let api = try ChildProcess(
            "\(folder)/test-api-server", [String(port), directory.file("unused")], in: directory, name: "api")
        self.api = api
        let proxy = try FaultProxy(to: port, seed: seed)
        self.proxy = proxy
        try Files.write(
            """
            current-context: here
            contexts: [{name: here, context: {cluster: c, user: u, namespace: matrix}}]
            clusters: [{name: c, cluster: {server: 'http://127.0.0.1:\(proxy.port)'}}]
            users: [{name: u, user: {}}]
            """, to: directory.file("kubeconfig"))
        try await eventually("an API server; \(api.errors)") { api.output.contains("listening") }
    }

    var name: String { kind == .jsonl ? "file" : "cluster" }

    var configuration: String {
        kind == .jsonl
            ? "  - {use: jsonl, name: file, path: '%', when_full: refuse}"
            : "  - {use: kubernetes, name: cluster, when_full: refuse, kubeconfig: '\(directory.file("kubeconfig"))', "
                + "timeout: 1s}"
    }

    /// Everything that is there now.
    func shown(_ hosts: [HostProcess]) async throws -> [Shown] {
        if kind == .jsonl {
            return try hosts.enumerated().flatMap { place, host in
                try host.delivered.map { try Self.line($0, file: place) }
            }
        }
        let answer = try await HTTP(port: port).get("/apis/portcullis.dev/v1alpha1/namespaces/matrix/signals")
        guard answer.status == 200, let items = try JSONDocument.parse(answer.body).root["items"]?.array else {
            throw TestFailure("the API server lists no objects: \(answer.text)")
        }
        return try items.map(Self.object)
    }

    private static func line(_ line: String, file: Int) throws -> Shown {
        let root = try JSONDocument.parse(Array(line.utf8)).root
        guard let text = root["signal"]?["annotations"]?["description"]?.string, let firing = Firing(text),
            let state = root["state"]?.string, let episode = root["episode"]?.string,
            let version = root["version"]?.string.flatMap({ Int($0) }), let id = root["id"]?.string
        else { throw TestFailure("not a delivery of what was sent: \(line)") }
        return Shown(
            firing: firing, isResolved: state == "resolved", episode: episode, version: version, id: id, file: file)
    }

    private static func object(_ object: JSONValue) throws -> Shown {
        guard let text = object["spec"]?["annotations"]?["description"]?.string, let firing = Firing(text),
            let name = object["metadata"]?["name"]?.string
        else { throw TestFailure("not an object of what was sent") }
        return Shown(
            firing: firing, isResolved: object["status"]?["state"]?.string == "resolved",
            episode: object["spec"]?["episode"]?.string ?? "",
            version: object["status"]?["version"]?.string.flatMap { Int($0) } ?? 0, id: name, file: nil)
    }
}
