import Glibc
import JSON
import TestAPIServer
import TestSupport

// The API server of the tests as a process, for benchmarks and to try things by hand:
//   test-api-server PORT KUBECONFIG [EVENTS]
// It writes a kubeconfig that leads to it, holds as many events as asked for, and runs until it is killed. Objects are in
// memory and go with it.

let arguments = CommandLine.arguments
guard arguments.count >= 3, let port = Int(arguments[1]) else {
    print("usage: test-api-server PORT KUBECONFIG [EVENTS]")
    throw TestFailure("no port and kubeconfig were given")
}
let server = try await TestAPIServer(port: port)
for number in 0..<(arguments.count > 3 ? Int(arguments[3]) ?? 0 : 0) {
    let name = "event-\(number)"
    server.create(
        "/api/v1/namespaces/shop/events",
        [
            "kind": "Event", "apiVersion": "v1", "metadata": ["name": .string(name), "uid": .string("uid-\(number)")],
            "involvedObject": [
                "kind": "Pod", "name": .string("pod-\(number)"), "namespace": "shop",
                "uid": .string("pod-uid-\(number)"),
            ],
            "reason": "BackOff", "type": "Warning", "count": 1,
            "message": .string("Back-off restarting failed container " + String(repeating: "x", count: 600)),
        ])
}
try Files.write(
    """
    apiVersion: v1
    kind: Config
    current-context: test
    contexts: [{name: test, context: {cluster: test, user: test, namespace: portcullis}}]
    clusters: [{name: test, cluster: {server: 'http://127.0.0.1:\(server.port)'}}]
    users: [{name: test, user: {}}]

    """, to: arguments[2])
// Not held back when it goes to a file.
let line = Array("listening on 127.0.0.1:\(server.port)\n".utf8)
_ = write(STDOUT_FILENO, line, line.count)
while true { try await Task.sleep(for: .seconds(3_600)) }
