import Logging
import Redis

extension HostConfiguration.Store: CustomStringConvertible {
    /// Where it is, without any secret.
    var description: String {
        switch self {
        case .embedded(let directory, _): "embedded \(directory)"
        case .tcp(let host, let port, let database, _, _, _):
            "redis \(HostConfiguration.Address(host: host, port: port))/\(database)"
        case .unix(let path, let database, _, _): "redis \(path)/\(database)"
        case .sentinel(let sentinel, _, _): "redis \(sentinel.master) by Sentinel"
        }
    }

    /// Where the store is, with the server that the host runs when it is embedded. The password is read at each connect.
    func located(_ log: Logger) -> (locator: any RedisLocator, embedded: EmbeddedRedis?) {
        func password(_ file: String?) -> @Sendable () throws -> String? {
            { try file.map { try SecretFile(path: $0).read() } }
        }
        switch self {
        case .embedded(let directory, let memory):
            let server = EmbeddedRedis(directory: directory, memory: memory, log: log)
            return (server.endpoint, server)
        case .tcp(let host, let port, let database, let username, let file, let tls):
            let server = RedisEndpoint(
                .tcp(host: host, port: port), database: database, username: username, password: password(file),
                tls: tls)
            return (server, nil)
        case .unix(let path, let database, let username, let file):
            let server = RedisEndpoint(
                .unix(path: path), database: database, username: username, password: password(file))
            return (server, nil)
        case .sentinel(let sentinel, let username, let file):
            let nodes = sentinel.nodes.map {
                RedisEndpoint(
                    .tcp(host: $0.host, port: $0.port), username: sentinel.username,
                    password: password(sentinel.passwordFile), tls: sentinel.tls)
            }
            let server = RedisEndpoint(
                .tcp(host: "unknown", port: 0), username: username, password: password(file),
                tls: sentinel.tls)
            return (Sentinels(master: sentinel.master, nodes: nodes, server: server), nil)
        }
    }
}
