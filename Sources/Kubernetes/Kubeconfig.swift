internal import Yams

/// A kubeconfig file. Of the ways to log in, those that need no other program are known.
struct Kubeconfig {
    private let path: String
    private let document: Node

    init(_ path: String, _ reading: inout FileReading) throws(KubernetesError) {
        self.path = path
        let text = String(decoding: try reading.bytes(path, "the kubeconfig"), as: UTF8.self)
        let root: Node?
        do { root = try Yams.compose(yaml: text) } catch { throw KubernetesError(.credentials, "\(path): no YAML") }
        guard let root, root.mapping != nil else { throw KubernetesError(.credentials, "\(path): no mapping") }
        document = root
    }

    func access(_ reading: inout FileReading) throws(KubernetesError) -> ServerAccess {
        let context = try current()
        let cluster = try named("clusters", "cluster", context["cluster"]?.string)
        guard let server = cluster["server"]?.string, server.hasPrefix("https://") || server.hasPrefix("http://") else {
            throw fault("the cluster has no server: URL")
        }
        guard server.hasPrefix("https://") || Self.isLoopback(server) else {
            throw fault("the cluster's server is http:// and not on this machine: credentials would travel in the open")
        }
        guard cluster["insecure-skip-tls-verify"]?.bool != true else {
            throw fault("insecure-skip-tls-verify is not supported: give certificate-authority-data")
        }
        for key in ["tls-server-name", "proxy-url"] where cluster[key] != nil { throw fault("\(key) is not supported") }
        var access = ServerAccess(url: server.hasSuffix("/") ? String(server.dropLast()) : server)
        access.authority = try bytes(cluster, "certificate-authority", &reading)
        access.namespace = context["namespace"]?.string
        guard let name = context["user"]?.string, !name.isEmpty else { return access }
        let user = try named("users", "user", name)
        for method in ["exec", "auth-provider", "username", "as"] where user[method] != nil {
            throw fault(
                "user \(name) logs in with \(method), which is not supported: use a token or a client certificate")
        }
        access.certificate = try bytes(user, "client-certificate", &reading)
        access.key = try bytes(user, "client-key", &reading)
        guard (access.certificate == nil) == (access.key == nil) else {
            throw fault("user \(name) has only one of client-certificate and client-key")
        }
        if let file = user["tokenFile"]?.string {
            let place = resolved(file)
            access.token = try Credentials.token(try reading.bytes(place, "the token"), place)
        } else if let token = user["token"]?.string {
            access.token = try Credentials.token(Array(token.utf8), "user \(name) in \(path)")
        }
        return access
    }

    private static func isLoopback(_ url: String) -> Bool {
        let rest = url.dropFirst("http://".count)
        guard !rest.contains("@") else { return false }
        return ["127.0.0.1", "localhost", "[::1]"].contains { host in
            rest.hasPrefix(host) && (rest.dropFirst(host.count).first.map { ":/".contains($0) } ?? true)
        }
    }

    private func current() throws(KubernetesError) -> Node {
        guard let name = document["current-context"]?.string, !name.isEmpty else { throw fault("no current-context") }
        return try named("contexts", "context", name)
    }

    private func named(_ list: String, _ key: String, _ name: String?) throws(KubernetesError) -> Node {
        guard let name else { throw fault("the context names nothing of \(list)") }
        guard let found = document[list]?.sequence?.first(where: { $0["name"]?.string == name })?[key] else {
            throw fault("\(list) has no \(name)")
        }
        return found
    }

    /// A PEM, from `<name>-data` in base64 or from the file that `<name>` names.
    private func bytes(
        _ node: Node, _ name: String, _ reading: inout FileReading
    ) throws(KubernetesError) -> [UInt8]? {
        if let text = node["\(name)-data"]?.string {
            guard let data = Base64.decoded(text) else { throw fault("\(name)-data is not base64") }
            return data
        }
        guard let file = node[name]?.string else { return nil }
        return try reading.bytes(resolved(file), name)
    }

    /// Relative to the kubeconfig's own directory, as kubectl has it.
    private func resolved(_ file: String) -> String {
        guard !file.hasPrefix("/"), let slash = path.lastIndex(of: "/") else { return file }
        return path[...slash] + file
    }

    private func fault(_ what: String) -> KubernetesError { KubernetesError(.credentials, "\(path): \(what)") }
}
