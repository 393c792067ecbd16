let serverChanges: [Change] = [
    Change(
        "  listen: 127.0.0.1:8080\n", "",
        "f:2:3: server.listen: listen is required: address, host:port or [v6]:port"),
    Change(
        "  listen: 127.0.0.1:8080", "  listen: 8080",
        "f:2:11: server.listen: 8080 has no port: write host:port, such as 127.0.0.1:8080"),
    Change(
        "  listen: 127.0.0.1:8080", "  listen: ':8080'",
        "f:2:11: server.listen: the host is missing: write 0.0.0.0:8080 for all addresses"),
    Change(
        "  listen: 127.0.0.1:8080", "  listen: ::1:8080",
        "f:2:11: server.listen: an IPv6 address stands in brackets: [::1]:8080"),
    Change(
        "  listen: 127.0.0.1:8080", "  listen: 127.0.0.1:70000",
        "f:2:11: server.listen: 70000 is no port: 1 to 65535"),
    Change(
        "  listen: 127.0.0.1:8080", "  listen: [a, b]",
        "f:2:11: server.listen: expected host:port or [v6]:port, found a list"),
    Change(
        "  listen: 127.0.0.1:8080", "  listen: 'a b:1'",
        "f:2:11: server.listen: a b is no host name"),
    Change(
        "  admin: 127.0.0.1:9090", "  admin: 127.0.0.1:8080",
        "f:3:10: server.admin: 127.0.0.1:8080 is server.listen already"),
    Change(
        "  admin: 127.0.0.1:9090", "  admin: 0.0.0.0:9090",
        "f:3:10: server.admin: 0.0.0.0:9090 is off loopback, where anybody may ask: give admin_token_file, or listen on 127.0.0.1"
    ),
    Change(
        "  admin: 127.0.0.1:9090", "  admin_token_file: ./token",
        "f:3:21: server.admin_token_file: there is no admin listener: give admin as well"),
    Change(
        "  admin: 127.0.0.1:9090", "  admin_hosts: [portcullis]",
        "f:3:16: server.admin_hosts: there is no admin listener: give admin as well"),
    Change(
        "  admin: 127.0.0.1:9090", "  admin: 127.0.0.1:9090\n  admin_hosts: ['http://portcullis:9090']",
        "f:4:16: server.admin_hosts: http://portcullis:9090 is no host name: write it without scheme, port and path"),
    Change(
        "  admin: 127.0.0.1:9090", "  admin: 127.0.0.1:9090\n  admin_hosts: portcullis",
        "f:4:16: server.admin_hosts: expected a list of texts, found a value"),
    Change(
        "  admin: 127.0.0.1:9090", "  lisen: x",
        "f:3:3: server.lisen: unknown key lisen; did you mean listen?"),
    Change(
        "  admin: 127.0.0.1:9090", "  limits: {body: 1023}",
        "f:3:18: server.limits.body: 1023 is out of bounds: 1KiB to 1GiB"),
    Change(
        "  admin: 127.0.0.1:9090", "  limits: {body: 2GiB}",
        "f:3:18: server.limits.body: 2GiB is out of bounds: 1KiB to 1GiB"),
    Change(
        "  admin: 127.0.0.1:9090", "  limits: {in_flight: 0}",
        "f:3:23: server.limits.in_flight: 0 is out of bounds: 1 to 100000"),
    Change(
        "  admin: 127.0.0.1:9090", "  limits: {connections: 0}",
        "f:3:25: server.limits.connections: 0 is out of bounds: 1 to 100000"),
    Change(
        "  admin: 127.0.0.1:9090", "  limits: {in_flight_bytes: 1MiB}",
        "f:3:29: server.limits.in_flight_bytes: in_flight_bytes (1MiB) is below body (64MiB): a body of that size could never be taken"
    ),
    Change(
        "  admin: 127.0.0.1:9090", "  limits: {body: 512MiB}",
        "f:3:18: server.limits.body: in_flight_bytes (256MiB) is below body (512MiB): a body of that size could never be taken"
    ),
    Change(
        "  admin: 127.0.0.1:9090", "  limits: {deadline: 50ms}",
        "f:3:22: server.limits.deadline: 50ms is out of bounds: 100ms to 5m"),
    Change(
        "  admin: 127.0.0.1:9090", "  limits: {deadline: 6m}",
        "f:3:22: server.limits.deadline: 6m is out of bounds: 100ms to 5m"),
    Change(
        "  admin: 127.0.0.1:9090", "  limits: {header: 2m}",
        "f:3:20: server.limits.header: 2m is out of bounds: 1s to 1m"),
    Change(
        "  admin: 127.0.0.1:9090", "  limits: {idle: 5m}",
        "f:3:18: server.limits.idle: 5m is out of bounds: 5m1s to 1h"),
    Change(
        "  admin: 127.0.0.1:9090", "  limits: {deadline: 1s}",
        "f:5:3: state.timeout: 1s is not below server.limits.deadline (1s)"),
    Change(
        "  admin: 127.0.0.1:9090", "  limits: {headr: 1s}",
        "f:3:12: server.limits.headr: unknown key headr; did you mean header?"),
    Change(
        "  admin: 127.0.0.1:9090", "  tls: {certificate: ./c}",
        "f:3:8: server.tls.key: key is required: path"),
    Change(
        "  admin: 127.0.0.1:9090", "  tls: {certificate: ./c, key: ./k, client_ca: ./ca}",
        "f:3:48: server.tls.client_ca: client certificates are not in this version"),
    Change(
        "  admin: 127.0.0.1:9090", "  tls: yes",
        "f:3:8: server.tls: expected a mapping of keys, found a value"),
]

let stateChanges: [Change] = [
    Change(
        "  redis: {embedded: {directory: ./var}}", "  timeout: 1s",
        "f:5:3: state.redis: give one of embedded, url and sentinel, found none"),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {embedded: {directory: ./var}, url: redis://h}",
        "f:5:10: state.redis: give one of embedded, url and sentinel, found embedded and url"),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {embedded: {}}",
        "f:5:21: state.redis.embedded.directory: directory is required: path"),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {embedded: {directory: ./var, max_memory: 1MiB}}",
        "f:5:52: state.redis.embedded.max_memory: expected a size of 32MiB to 1024GiB"),
    Change(
        "  redis: {embedded: {directory: ./var}}", #"  redis: {embedded: {directory: "./var\0/x"}}"#,
        "f:5:33: state.redis.embedded.directory: a NUL can't stand here"),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {embedded: {directory: ./var, dir: x}}",
        "f:5:40: state.redis.embedded.dir: unknown key dir; known here: directory, max_memory"),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {url: http://h}",
        "f:5:16: state.redis.url: expected redis://[user@]host:port/db, rediss:// with TLS, or unix:///path?db=N"),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {url: redis://u:secret@h}",
        "f:5:16: state.redis.url: a password does not belong into the url: put it into a file and name it in password_file"
    ),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {url: redis://h:0}",
        "f:5:16: state.redis.url: 0 is no port: 1 to 65535"),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {url: redis://h:1/x}",
        "f:5:16: state.redis.url: a database is a number, 0 to 65535"),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {url: redis://h:1/0?x=1}",
        "f:5:16: state.redis.url: nothing may follow the database's number"),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {url: unix://x}",
        "f:5:16: state.redis.url: expected the absolute path of a socket, 107 bytes at most: unix:///run/redis.sock"),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {url: unix:///s?x=1}",
        "f:5:16: state.redis.url: only ?db=N may follow the socket's path"),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {url: unix:///s?db=99999}",
        "f:5:16: state.redis.url: a database is a number, 0 to 65535"),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {url: redis://u@h, username: v}",
        "f:5:39: state.redis.username: the url names a user already"),
    Change(
        "  redis: {embedded: {directory: ./var}}",
        "  redis: {embedded: {directory: ./var}, username: u, password_file: p}",
        "f:5:51: state.redis.username: username goes with url or sentinel: the embedded server takes nobody but its host",
        "f:5:69: state.redis.password_file: password_file goes with url or sentinel: the embedded server takes nobody but its host"
    ),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {embedded: {directory: ./var}}\n  timeout: 9ms",
        "f:6:12: state.timeout: 9ms is out of bounds: 10ms to 30s"),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {embedded: {directory: ./var}}\n  timeout: 10s",
        "f:6:12: state.timeout: 10s is not below server.limits.deadline (8s)"),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {embedded: {directory: ./var}}\n  prefix: a{b}",
        "f:6:11: state.prefix: expected 1 to 64 of a-z, 0-9, -, _ and ."),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {embedded: {directory: ./var}}\n  prefix: Upper",
        "f:6:11: state.prefix: expected 1 to 64 of a-z, 0-9, -, _ and ."),
    Change(
        "  redis: {embedded: {directory: ./var}}", "  redis: {embedded: {directory: ./var}}\n  prefixx: a",
        "f:6:3: state.prefixx: unknown key prefixx; did you mean prefix?"),
]
