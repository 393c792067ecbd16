internal import Glibc

/// How to reach the API server, and as whom.
struct ServerAccess: Sendable, Hashable {
    /// `https://10.0.0.1:443`, without a slash at its end.
    var url: String
    /// PEM of the authorities that the server's certificate must come from; nil for the system's.
    var authority: [UInt8]?
    /// PEM of the client's certificate and key.
    var certificate: [UInt8]?
    var key: [UInt8]?
    var token: String?
    var namespace: String?
}

/// Where the credentials come from. Their files are looked at for each request, because tokens rotate; secrets never appear in
/// an error.
public struct Credentials: Sendable {
    private enum Source: Sendable {
        case inCluster(directory: String, environment: [String: String])
        case kubeconfig(String)
    }
    private let source: Source
    private let remembered = Remembered<ServerAccess>()

    /// The service account of the pod: `KUBERNETES_SERVICE_HOST` and `_PORT`, and the files that the kubelet mounts.
    public static var inCluster: Credentials {
        var environment: [String: String] = [:]
        for name in ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"] {
            if let value = getenv(name) { environment[name] = String(cString: value) }
        }
        return inCluster(directory: "/var/run/secrets/kubernetes.io/serviceaccount", environment: environment)
    }

    static func inCluster(directory: String, environment: [String: String]) -> Credentials {
        Credentials(source: .inCluster(directory: directory, environment: environment))
    }

    /// A kubeconfig's current context: server, authority, client certificate, token.
    public static func kubeconfig(_ path: String) -> Credentials { Credentials(source: .kubeconfig(path)) }

    private init(source: Source) { self.source = source }

    func access() throws(KubernetesError) -> ServerAccess {
        try remembered.value { reading throws(KubernetesError) in
            switch source {
            case .kubeconfig(let path): return try Kubeconfig(path, &reading).access(&reading)
            case .inCluster(let directory, let environment):
                return try Self.inPod(directory, environment, &reading)
            }
        }
    }

    private static func inPod(
        _ directory: String, _ environment: [String: String], _ reading: inout FileReading
    ) throws(KubernetesError) -> ServerAccess {
        guard let host = environment["KUBERNETES_SERVICE_HOST"], let port = environment["KUBERNETES_SERVICE_PORT"]
        else {
            throw KubernetesError(
                .credentials, "not in a pod (no KUBERNETES_SERVICE_HOST): outside a cluster, give kubeconfig: FILE")
        }
        let token = try reading.bytes(directory + "/token", "the service account's token")
        return ServerAccess(
            url: "https://\(host.contains(":") ? "[\(host)]" : host):\(port)",
            authority: try reading.bytes(directory + "/ca.crt", "the cluster's authority"),
            token: try Self.token(token, directory + "/token"),
            namespace: (try? reading.bytes(directory + "/namespace", "")).map {
                String(String(decoding: $0, as: UTF8.self).prefix { !$0.isWhitespace })
            })
    }

    /// A header can't hold more than one line.
    static func token(_ bytes: [UInt8], _ place: String) throws(KubernetesError) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        let token = text.drop(while: \.isWhitespace).prefix { !$0.isWhitespace }
        guard !token.isEmpty, token.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw KubernetesError(.credentials, "\(place) holds no token")
        }
        return String(token)
    }
}
