/// Of a store behind Sentinel, with the policies of the standard build: the stand-in for `persist` asks for no durability.
let sentinelChanges: [Change] = [
    sentinel("{nodes: [s:1]}", "f:5:21: state.redis.sentinel.master: master is required: text"),
    sentinel("{master: m}", "f:5:21: state.redis.sentinel.nodes: nodes is required: list, 1 to 16 of host:port"),
    sentinel("{master: m, nodes: []}", "f:5:40: state.redis.sentinel.nodes: expected 1 to 16 of host:port, found 0"),
    sentinel(
        "{master: m, nodes: s:1}",
        "f:5:40: state.redis.sentinel.nodes: expected a list of Sentinels, 1 to 16 of host:port, found a value"),
    sentinel(
        "{master: m, nodes: [s:1, s, ':2', [x], s:0]}",
        "f:5:46: state.redis.sentinel.nodes[1]: s has no port: write host:port, such as 127.0.0.1:8080",
        "f:5:49: state.redis.sentinel.nodes[2]: the host is missing: write 0.0.0.0:2 for all addresses",
        "f:5:55: state.redis.sentinel.nodes[3]: expected host:port, found a list",
        "f:5:60: state.redis.sentinel.nodes[4]: 0 is no port: 1 to 65535"),
    sentinel(
        "{master: m, nodes: [s:1], pasword_file: p}",
        "f:5:47: state.redis.sentinel.pasword_file: unknown key pasword_file; did you mean password_file?"),
    // All that is wrong with it at once.
    sentinel(
        "{mastr: m, nodes: [s]}", "f:5:21: state.redis.sentinel.master: master is required: text",
        "f:5:22: state.redis.sentinel.mastr: unknown key mastr; did you mean master?",
        "f:5:40: state.redis.sentinel.nodes[0]: s has no port: write host:port, such as 127.0.0.1:8080"),
    sentinel(
        "{master: m, nodes: [x, s:1, t:1, s:1]}",
        "f:5:41: state.redis.sentinel.nodes[0]: x has no port: write host:port, such as 127.0.0.1:8080",
        "f:5:54: state.redis.sentinel.nodes[3]: s:1 is nodes[1] already: name each Sentinel once"),
    sentinel("m", "f:5:21: state.redis.sentinel: expected a mapping of keys, found a value"),
    sentinel(
        "{master: m, nodes: [s:1]}, url: redis://h",
        "f:5:10: state.redis: give one of embedded, url and sentinel, found url and sentinel"),
    sentinel(
        "{master: m, nodes: [s:1]}, embedded: {directory: d}, password_file: p",
        "f:5:10: state.redis: give one of embedded, url and sentinel, found embedded and sentinel",
        "f:5:89: state.redis.password_file: password_file goes with url or sentinel: the embedded server takes nobody but its host"
    ),
    sentinel("{master: m, nodes: [s:1]}", durability: "fsync", behindSentinel),
    // With whatever else is wrong, in its section or in others.
    sentinel(
        "{master: m}", durability: "fsync",
        "f:5:21: state.redis.sentinel.nodes: nodes is required: list, 1 to 16 of host:port", behindSentinel),
    sentinel(
        "{master: m, nodes: [s:1]}", durability: "fsync, bcklog: 1", behindSentinel,
        "f:10:39: policies[1].bcklog: unknown key bcklog; did you mean backlog?"),
    // Which of the two is meant, nobody knows.
    sentinel(
        "{master: m, nodes: [s:1]}, url: redis://h", durability: "fsync",
        "f:5:10: state.redis: give one of embedded, url and sentinel, found url and sentinel"),
    sentinel("{master: m, nodes: [s:1]}", durability: "{replicas: 1}"),
    sentinel("{master: m, nodes: [s:1]}", durability: "{unverified: it is ours}"),
]

let tlsChanges: [Change] = [
    store("{url: rediss://h}"),
    store("{url: rediss://h, tls: {}}"),
    store("{url: rediss://h, tls: {server_name: redis.test}}"),
    store("{sentinel: {master: m, nodes: [s:1]}, tls: {}}", durability: "{replicas: 1}"),
    store(
        "{url: redis://h, tls: {}}",
        "f:5:32: state.redis.tls: the url begins with redis://, which is plain text: write rediss://, or remove tls"),
    store(
        "{url: unix:///r, tls: {}}",
        "f:5:32: state.redis.tls: on a unix socket there is nothing to encrypt: remove tls"),
    store(
        "{embedded: {directory: d}, tls: {}}",
        "f:5:42: state.redis.tls: the embedded server listens on a unix socket, where there is nothing to encrypt: remove tls"
    ),
    store(
        "{url: rediss://h, tls: {certificate: c}}",
        "f:5:47: state.redis.tls.certificate: certificate goes with key: give both, or none"),
    store(
        "{url: rediss://h, tls: {key: k}}",
        "f:5:39: state.redis.tls.key: key goes with certificate: give both, or none"),
    store(
        "{url: rediss://h, tls: {server_name: 10.0.0.1}}",
        "f:5:47: state.redis.tls.server_name: 10.0.0.1 is an address: leave server_name out, the address that is connected to is verified"
    ),
    store(
        "{url: rediss://h, tls: {server_name: redis_1}}",
        "f:5:47: state.redis.tls.server_name: expected a name of letters, digits, - and ."),
    store(
        "{url: rediss://h, tls: {insecure: true}}",
        "f:5:34: state.redis.tls.insecure: unknown key insecure; known here: ca, certificate, key, server_name"),
    store("{url: rediss://h, tls: yes}", "f:5:33: state.redis.tls: expected a mapping of keys, found a value"),
    // Which of the two is meant, nobody knows.
    store(
        "{url: redis://h, embedded: {directory: d}, tls: {}}",
        "f:5:10: state.redis: give one of embedded, url and sentinel, found embedded and url"),
]

let durabilityChanges: [Change] = [
    durability("{replicas: 0}", "f:10:43: policies[1].durability.replicas: expected a number of replicas, 1 to 16"),
    durability("{replicas: 17}", "f:10:43: policies[1].durability.replicas: expected a number of replicas, 1 to 16"),
    durability("{replicas: x}", "f:10:43: policies[1].durability.replicas: expected a number of replicas, 1 to 16"),
    durability("{replicas: '1'}", "f:10:43: policies[1].durability.replicas: expected a number of replicas, 1 to 16"),
    durability("{replicas: }", "f:10:43: policies[1].durability.replicas: expected a number of replicas, 1 to 16"),
    durability("{replicas: 1, unverified: both}", noDurability),
    durability("replicas", noDurability),
    durability("{replica: 1}", noDurability),
    durability("{replicas: 1}"),
    durability("{replicas: 16}"),
    durability("fsync"),
    Change(
        "durability: fsync", "durability: {replicas: 1}",
        "f:10:43: policies[1].durability.replicas: the embedded server has no replicas: give fsync"),
    Change(
        "durability: fsync", "backlog: 9",
        "f:10:5: policies[1].durability: durability is required: fsync, {replicas: N}, or {unverified: \"<why the store is durable>\"}"
    ),
]

private let behindSentinel =
    "f:10:32: policies[1].durability: with Sentinel give {replicas: 1} or more: an fsync on a master that is then failed over saves nobody"
private let noDurability =
    "f:10:32: policies[1].durability: expected fsync, {replicas: N}, or {unverified: \"<why the store is durable>\"}"

private func sentinel(_ text: String, durability: String = "{replicas: 2}", _ complaints: String...) -> Change {
    Change(store: "sentinel: \(text)", durability: durability, complaints)
}

private func store(_ text: String, durability: String = "fsync", _ complaints: String...) -> Change {
    var change = Change("{embedded: {directory: ./var}}", text, complaints)
    change.second = ("durability: fsync", "durability: \(durability)")
    return change
}

private func durability(_ text: String, _ complaints: String...) -> Change {
    Change(store: "url: redis://h", durability: text, complaints)
}

extension Change {
    fileprivate init(store: String, durability: String, _ complaints: [String]) {
        self.init("embedded: {directory: ./var}", store, complaints)
        second = ("durability: fsync", "durability: \(durability)")
    }
}
