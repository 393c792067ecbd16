#!/usr/bin/env bash
# outage.sh EXECUTABLE [REQUESTS]: how long a sender waits for its 503 while Redis does not answer (SIGSTOP). The first
# one finds it out and waits for state.timeout; those after it are refused at once, and only they are counted.
set -euo pipefail

executable=$(realpath "$1")
requests=${2:-200}
work=$(mktemp -d /tmp/portcullis-outage.XXXXXX)
host=""

finish() {
    [ -z "$host" ] || kill "$host" 2>/dev/null || true
    [ -z "$host" ] || wait "$host" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

free_port() { # a port that nothing listens on
    local port
    while :; do
        port=$((12000 + RANDOM % 20000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

eventually() { # eventually WHAT COMMAND...: up to 20 s
    local what=$1
    shift
    for _ in $(seq 200); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "outage: never saw: $what" >&2
    tail -n 20 "$work/host.log" >&2
    exit 1
}

post() { # post COUNT: status and seconds of each, over one connection
    curl --silent --output /dev/null --max-time 10 --write-out '%{http_code} %{time_total}\n' \
        --json '[{"labels":{"alertname":"Outage"}}]' "http://127.0.0.1:$port/api/v2/alerts?[1-$1]"
}

store() { # store WORD: whether the host says so of its store
    curl --silent "http://127.0.0.1:$admin/readyz?verbose" | grep --quiet "^store: $1"
}

port=$(free_port)
admin=$(free_port)
cat >"$work/portcullis.yaml" <<YAML
server: {listen: 127.0.0.1:$port, admin: 127.0.0.1:$admin}
state: {redis: {embedded: {directory: $work/var}}}
adapters:
  - {use: prometheus, path: /api/v2/alerts, authenticate: none}
policies:
  - {use: deduplicate}
  - {use: persist, durability: fsync}
sinks:
  - {use: jsonl, name: file, path: $work/signals.jsonl, when_full: refuse}
YAML
"$executable" serve --config "$work/portcullis.yaml" >"$work/host.log" 2>&1 &
host=$!
eventually "the store open" store ok
post 1 >/dev/null

redis=$(cat "$work/var/redis.pid")
kill -STOP "$redis"
first=$(post 1)
post "$requests" >"$work/times"
kill -CONT "$redis"
eventually "the store open again" store ok

if grep --quiet --invert-match '^503 ' "$work/times"; then
    echo "outage: not every answer was a 503:" >&2
    cut -d ' ' -f 1 "$work/times" | sort | uniq -c >&2
    exit 1
fi
echo "Redis stopped (SIGSTOP), time of a 503 in ms:"
sort --key=2 --numeric-sort "$work/times" | awk -v first="${first#* }" '
    { time[NR] = $2 * 1000 }
    END {
        printf "  %-32s %9.2f\n", "the first, which finds it out", first * 1000
        printf "  %-32s %9.2f\n", "median of the " NR " after it", time[int((NR + 1) / 2)]
        printf "  %-32s %9.2f\n", "the slowest of them", time[NR]
    }'
