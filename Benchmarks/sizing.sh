#!/usr/bin/env bash
# sizing.sh [EXECUTABLE] [SIGNALS]: memory of Redis for each problem that is known, waits, is in a storm or is a dead letter, and of
# the host for each connection and each byte of a body. Redis's own count (used_memory) before and after, with everything else
# as it was; how the host was built does not change it. The host's is its resident memory, and a debug build has more of it.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
executable=${1:-$here/../.build/release/portcullis}
if [ ! -x "$executable" ]; then
    executable=$here/../.build/debug/portcullis
    echo "sizing: there is no release build; this is the debug one, so the host's own memory is not a release's" >&2
fi
executable=$(realpath "$executable")
signals=${2:-20000}
work=$(mktemp -d /tmp/portcullis-sizing.XXXXXX)
started=()

stop_all() { # ends, in reverse order, what this script started
    local place
    for ((place = ${#started[@]} - 1; place >= 0; place--)); do
        kill "${started[place]}" 2>/dev/null || true
        wait "${started[place]}" 2>/dev/null || true
    done
    started=()
}
trap 'stop_all; rm -rf "$work"' EXIT

free_port() { # a port that nothing listens on
    local port
    while :; do
        port=$((12000 + RANDOM % 20000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

eventually() { # eventually WHAT COMMAND...: up to 2 min
    local what=$1
    shift
    for _ in $(seq 1200); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "sizing: never saw: $what" >&2
    tail -n 20 "$work"/*.log >&2
    exit 1
}

metric() { # metric NAME: the sum over its series
    curl --silent "http://127.0.0.1:$admin/metrics" | awk -v name="$1" 'index($1, name) == 1 { sum += $2 } END { printf "%.0f", sum }'
}

store_open() { [ "$(metric portcullis_store_up)" = 1 ]; }
drained() { [ "$(metric portcullis_queue_depth)" = 0 ] && [ "$(metric portcullis_deliveries_total)" -ge "$1" ]; }
waiting() { [ "$(metric portcullis_queue_depth)" -ge "$1" ]; }
dead() { [ "$(metric portcullis_dead_letters)" -ge "$1" ]; }

start() { # start STORM SINK...: a host on an empty store; sets port, admin and host
    local storm=$1 sink
    shift
    port=$(free_port)
    admin=$(free_port)
    rm -rf "${work:?}/var"
    mkdir "$work/var"
    cat >"$work/portcullis.yaml" <<YAML
server: {listen: 127.0.0.1:$port, admin: 127.0.0.1:$admin, limits: {body: 64MiB, in_flight_bytes: 256MiB}}
state: {redis: {embedded: {directory: $work/var}}, timeout: 5s}
adapters:
  - {use: prometheus, path: /api/v2/alerts, authenticate: none}
policies:
  - {use: deduplicate}
$storm
  - {use: persist, durability: fsync, backlog: 1000000}
sinks:
YAML
    for sink in "$@"; do echo "  - $sink" >>"$work/portcullis.yaml"; done
    "$executable" serve --config "$work/portcullis.yaml" >"$work/host.log" 2>&1 &
    host=$!
    started+=("$host")
    eventually "the store open" store_open
}

used() { redis-cli -s "$work/var/redis.sock" info memory | tr -d '\r' | sed -n 's/^used_memory://p'; }

batches() { # batches COUNT BYTES KIND: bodies of 500 alerts into $work/body-*; an alert has an annotation of BYTES
    rm -f "$work"/body-*
    awk -v count="$1" -v bytes="$2" -v kind="$3" -v out="$work/body-" 'BEGIN {
        while (length(padding) < bytes) padding = padding "x"
        for (n = 0; n < count; n++) {
            file = sprintf("%s%06d", out, n / 500)
            name = kind == "storm" ? "Storm" : "Problem" n
            labels = "{\"alertname\":\"" name "\",\"namespace\":\"shop\",\"pod\":\"web-" n "\",\"severity\":\"page\"}"
            if (kind == "bad") labels = "{\"alertname\":" n "}"
            printf "%s{\"labels\":%s,\"annotations\":{\"description\":\"%s\"}}", n % 500 ? "," : "[", labels, padding >file
            if (n % 500 == 499 || n == count - 1) { print "]" >file; close(file) }
        }
    }'
}

post_all() { # posts all bodies, each until it is taken
    local body
    for body in "$work"/body-*; do
        eventually "a 2xx" curl --silent --fail --max-time 60 --json "@$body" "http://127.0.0.1:$port/api/v2/alerts"
    done
}

row() { printf '%-60s %10s\n' "$@"; }

each=0
store_row() { # store_row WHAT COUNT BEFORE: bytes of Redis for each; sets each
    each=$((($(used) - $3) / $2))
    row "$1" "$each B"
}

known() { # known WHAT BYTES STORM: problems that were delivered and still fire
    start "$3" "$jsonl"
    batches "$signals" "$2" plain
    local before
    before=$(used)
    post_all
    eventually "all delivered" drained "$signals"
    store_row "$1" "$signals" "$before"
    stop_all
}

backlog() { # backlog WHAT BYTES KIND STORM SINK...: problems that wait
    local what=$1 bytes=$2 kind=$3 storm=$4 before
    shift 4
    start "$storm" "$@"
    batches "$signals" "$bytes" "$kind"
    before=$(used)
    post_all
    # Of one storm there is one entry.
    [ "$kind" = storm ] || eventually "all waiting" waiting $((signals * $#))
    store_row "$what" "$signals" "$before"
    stop_all
}

letters() { # letters WHAT BYTES
    local before count=5000
    start '' "$jsonl"
    batches "$count" "$2" bad
    before=$(used)
    for body in "$work"/body-*; do curl --silent --output /dev/null --json "@$body" "http://127.0.0.1:$port/api/v2/alerts"; done
    eventually "all dead letters" dead "$count"
    store_row "$1" "$count" "$before"
    stop_all
}

jsonl="{use: jsonl, name: file, path: $work/var/signals.jsonl, when_full: refuse}"
printf 'current-context: c\ncontexts: [{name: c, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]\n' >"$work/kubeconfig"
silent() { echo "{use: kubernetes, name: $1, namespace: gate, kubeconfig: $work/kubeconfig, when_full: refuse}"; }
storm='  - {use: storm}'

echo "machine: $(nproc) cores, $(uname -r); $(redis-server --version | cut -d ' ' -f 1-3); $signals signals each"
echo
row "Redis, for each" "memory"
known "problem that fires, delivered" 100 ''
known "  the same with 4 000 bytes more to say" 4100 ''
known "  the same with its storm window (2 to 4 min)" 100 "$storm"
backlog "problem that fires and waits for one sink" 100 plain '' "$(silent one)"
short=$each
backlog "  the same with 4 000 bytes more to say" 4100 plain '' "$(silent one)"
row "  so for each byte of its document" "$(awk -v a="$short" -v b="$each" 'BEGIN { printf "%.2f B", (b - a) / 4000 }')"
backlog "  the same waiting for two sinks" 100 plain '' "$(silent one)" "$(silent two)"
row "  so for each further sink" "$((each - short)) B"
backlog "member of a storm that waits" 100 storm "$storm" "$(silent one)"
letters "dead letter" 100
short=$each
letters "  the same of 4 000 bytes more" 4100
row "  so for each byte of the item" "$(awk -v a="$short" -v b="$each" 'BEGIN { printf "%.2f B", (b - a) / 4000 }')"

resident() { awk '/^VmRSS/ { print $2 }' "/proc/$host/status"; }
peak() { awk '/^VmHWM/ { print $2 }' "/proc/$host/status"; }

echo
row "the host" "memory"
start "$storm" "$jsonl"
# Until what only the start needed has gone back (decision 0018).
sleep 5
batches 2000 100 plain
post_all
eventually "all delivered" drained 2000
row "at rest, after 2 000 signals" "$(($(resident) / 1024)) MiB"

connections=1000
# The code that a connection needs is there.
for _ in 1 2 3 4 5 6 7 8; do
    exec {descriptor}<>"/dev/tcp/127.0.0.1/$port"
    printf 'GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n' >&"$descriptor"
    read -r _ <&"$descriptor"
    exec {descriptor}>&-
done
before=$(resident)
descriptors=()
for ((n = 0; n < connections; n++)); do
    exec {descriptor}<>"/dev/tcp/127.0.0.1/$port"
    printf 'GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n' >&"$descriptor"
    descriptors+=("$descriptor")
done
for descriptor in "${descriptors[@]}"; do read -r _ <&"$descriptor"; done
row "idle connection" "$((($(resident) - before) * 1024 / connections)) B"
for descriptor in "${descriptors[@]}"; do exec {descriptor}>&-; done

size=$((8 << 20))
head -c "$size" /dev/zero | tr '\0' ' ' >"$work/blank"
before=$(resident)
descriptors=()
for _ in 1 2 3 4 5 6 7 8; do
    exec {descriptor}<>"/dev/tcp/127.0.0.1/$port"
    printf 'POST /api/v2/alerts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n' $((size + 2)) >&"$descriptor"
    descriptors+=("$descriptor")
done
for descriptor in "${descriptors[@]}"; do cat "$work/blank" >&"$descriptor"; done
holding() { [ "$(metric portcullis_bytes_in_flight)" -ge $((8 * size)) ]; }
eventually "eight bodies in memory" holding
row "byte of a body that is being read" "$(awk -v kib=$(($(resident) - before)) -v bytes=$((8 * size)) 'BEGIN { printf "%.1f B", kib * 1024 / bytes }')"
for descriptor in "${descriptors[@]}"; do
    printf '[]' >&"$descriptor"
    read -r _ <&"$descriptor"
    exec {descriptor}>&-
done
stop_all

start "$storm" "$jsonl"
batches 20000 400 plain
{ cat "$work"/body-*; } | sed 's/^\[/,/; s/]$//' | tr -d '\n' | sed 's/^,/[/; s/$/]/' >"$work/whole"
before=$(peak)
curl --silent --output /dev/null --max-time 60 --json "@$work/whole" "http://127.0.0.1:$port/api/v2/alerts"
row "byte of a body of $(($(stat --format=%s "$work/whole") >> 20)) MiB (20 000 alerts) that is decided" \
    "$(awk -v kib=$(($(peak) - before)) -v bytes="$(stat --format=%s "$work/whole")" 'BEGIN { printf "%.1f B", kib * 1024 / bytes }')"
