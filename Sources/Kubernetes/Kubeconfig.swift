internal import Glibc
internal import Synchronization
internal import Yams

/// A kubeconfig file, read again when it changes. Of the ways to log in, those that need no other program are known.
final class Kubeconfig: Sendable {
    private struct Stamp: Hashable { let inode, seconds, nanoseconds, size: Int }
    private let path: String
    private let read = Mutex<(stamp: Stamp, access: ServerAccess)?>(nil)

    init(_ path: String) { self.path = path }

    func access() throws(KubernetesError) -> ServerAccess {
        var status = stat()
        guard stat(path, &status) == 0 else { return try parse() }
        let stamp = Stamp(
            inode: Int(status.st_ino), seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec,
            size: status.st_size)
        if let known = read.withLock({ $0 }), known.stamp == stamp { return known.access }
        let access = try parse()
        // A token in a file of its own rotates without this one.
        if tokenFile == nil { read.withLock { $0 = (stamp, access) } }
        return access
    }

    private var tokenFile: String? {
        guard let document = try? document(), let context = try? current(document) else { return nil }
        return (try? named("users", "user", context["user"]?.string, document))?["tokenFile"]?.string
    }

    private func parse() throws(KubernetesError) -> ServerAccess {
        let document = try document()
        let context = try current(document)
        let cluster = try named("clusters", "cluster", context["cluster"]?.string, document)
        guard let server = cluster["server"]?.string, server.hasPrefix("https://") || server.hasPrefix("http://") else {
            throw fault("the cluster has no server: URL")
        }
        guard cluster["insecure-skip-tls-verify"]?.bool != true else {
            throw fault("insecure-skip-tls-verify is not supported: give certificate-authority-data")
        }
        guard cluster["tls-server-name"] == nil else { throw fault("tls-server-name is not supported") }
        var access = ServerAccess(url: server.hasSuffix("/") ? String(server.dropLast()) : server)
        access.authority = try bytes(cluster, "certificate-authority")
        access.namespace = context["namespace"]?.string
        guard let name = context["user"]?.string, !name.isEmpty else { return access }
        let user = try named("users", "user", name, document)
        for method in ["exec", "auth-provider", "username", "as"] where user[method] != nil {
            throw fault(
                "user \(name) logs in with \(method), which is not supported: use a token or a client certificate")
        }
        access.certificate = try bytes(user, "client-certificate")
        access.key = try bytes(user, "client-key")
        guard (access.certificate == nil) == (access.key == nil) else {
            throw fault("user \(name) has only one of client-certificate and client-key")
        }
        if let file = user["tokenFile"]?.string {
            let place = resolved(file)
            access.token = try Credentials.token(try Credentials.read(place, "the token"), place)
        } else if let token = user["token"]?.string {
            access.token = try Credentials.token(Array(token.utf8), "user \(name) in \(path)")
        }
        return access
    }

    private func document() throws(KubernetesError) -> Node {
        let text = String(decoding: try Credentials.read(path, "the kubeconfig"), as: UTF8.self)
        let root: Node?
        do { root = try Yams.compose(yaml: text) } catch { throw fault("no YAML") }
        guard let root, root.mapping != nil else { throw fault("no mapping") }
        return root
    }

    private func current(_ document: Node) throws(KubernetesError) -> Node {
        guard let name = document["current-context"]?.string, !name.isEmpty else { throw fault("no current-context") }
        return try named("contexts", "context", name, document)
    }

    private func named(_ list: String, _ key: String, _ name: String?, _ document: Node) throws(KubernetesError) -> Node
    {
        guard let name else { throw fault("the context names nothing of \(list)") }
        guard let found = document[list]?.sequence?.first(where: { $0["name"]?.string == name })?[key] else {
            throw fault("\(list) has no \(name)")
        }
        return found
    }

    /// A PEM, from `<name>-data` in base64 or from the file that `<name>` names.
    private func bytes(_ node: Node, _ name: String) throws(KubernetesError) -> [UInt8]? {
        if let text = node["\(name)-data"]?.string {
            guard let data = Base64.decoded(text) else { throw fault("\(name)-data is not base64") }
            return data
        }
        guard let file = node[name]?.string else { return nil }
        return try Credentials.read(resolved(file), name)
    }

    /// Relative to the kubeconfig's own directory, as kubectl has it.
    private func resolved(_ file: String) -> String {
        guard !file.hasPrefix("/"), let slash = path.lastIndex(of: "/") else { return file }
        return path[...slash] + file
    }

    private func fault(_ what: String) -> KubernetesError { KubernetesError(.credentials, "\(path): \(what)") }
}
