#!/usr/bin/env bash
# kubernetes.sh EXECUTABLE TEST-API-SERVER: objects/s that the `kubernetes` sink makes, and what a relist costs a host in time
# and memory, for 5 000 events and for ten times as many. The API server is that of the tests, on this machine, in memory.
set -euo pipefail

executable=$(realpath "$1")
api=$(realpath "$2")
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d /tmp/portcullis-bench.XXXXXX)
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

eventually() { # eventually WHAT COMMAND...: up to 60 s
    local what=$1
    shift
    for _ in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "bench: never saw: $what" >&2
    tail -n 20 "$work"/*.log >&2
    exit 1
}

start() { # start EVENTS SOURCES SINK [TYPES]: an API server and a host; sets port, admin and host
    port=$(free_port)
    admin=$(free_port)
    rm -rf "${work:?}/var"
    mkdir "$work/var"
    "$api" 0 "$work/kubeconfig" "$1" >"$work/api.log" 2>&1 &
    started+=($!)
    eventually "the API server" grep --quiet listening "$work/api.log"
    cat >"$work/portcullis.yaml" <<YAML
server: {listen: 127.0.0.1:$port, admin: 127.0.0.1:$admin}
state: {redis: {embedded: {directory: $work/var}}}
adapters:
  - {use: prometheus, path: /api/v2/alerts, authenticate: none}
  - {use: kubernetes-events, path: /events, authenticate: none, types: [${4:-Warning}]}
sources: $2
policies:
  - {use: deduplicate}
  - {use: persist, durability: fsync, backlog: 1000000}
sinks:
  - $3
YAML
    "$executable" serve --config "$work/portcullis.yaml" >"$work/host.log" 2>&1 &
    host=$!
    started+=("$host")
    eventually "the store open" bash -c "curl --silent http://127.0.0.1:$admin/metrics | grep --quiet '^portcullis_store_up 1'"
}

metric() { # metric NAME: the sum over its series
    curl --silent "http://127.0.0.1:$admin/metrics" | awk -v name="$1" 'index($1, name) == 1 { sum += $2 } END { printf "%.0f", sum }'
}

delivered() { metric 'portcullis_deliveries_total{sink="cluster",result="delivered"}'; }

echo "machine: $(nproc) cores, $(uname -r)"

start 0 '[]' "{use: kubernetes, name: cluster, namespace: portcullis, kubeconfig: $work/kubeconfig, when_full: refuse}"
wrk --threads 1 --connections 1 --duration 3s --script "$here/post.lua" "http://127.0.0.1:$port/api/v2/alerts" \
    -- new 16 >"$work/wrk.log"
before=$(delivered)
sleep 10
after=$(delivered)
echo "sink kubernetes: $(((after - before) / 10)) objects/s made and brought up to date, of a backlog of $(metric portcullis_queue_depth)"
stop_all

relist() { # relist EVENTS TYPES WHAT
    start "$1" "[{use: kubernetes-events-watch, feeds: kubernetes-events, kubeconfig: $work/kubeconfig}]" \
        "{use: jsonl, name: file, path: $work/var/signals.jsonl, when_full: refuse}" "$2"
    local from took peak
    from=$(date +%s%N)
    eventually "all events taken" bash -c "[ \"\$(curl --silent http://127.0.0.1:$admin/metrics | sed -n 's/^portcullis_received_total{adapter=\"kubernetes-events\"} //p')\" -ge $1 ]"
    took=$((($(date +%s%N) - from) / 1000000))
    peak=$(awk '/VmHWM/ { print $2 }' "/proc/$host/status")
    echo "a list of $1 events, $3: taken in $took ms; the host's memory had been $((peak / 1024)) MiB at most"
    stop_all
}

for events in 5000 50000; do
    relist "$events" Normal "none of which is asked for"
    relist "$events" Warning "each a new problem for jsonl"
done
