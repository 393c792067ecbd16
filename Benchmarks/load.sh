#!/usr/bin/env bash
# load.sh EXECUTABLE [SECONDS]: requests/s and alerts/s through a host with its own Redis (AOF, an fsync before each
# answer), for one alert and for 64 a request, new and repeated; beside the very same script calls sent to Redis
# alone, and beside Alertmanager's /api/v2/alerts. Every run starts with an empty store; sender and servers share this machine.
set -euo pipefail

executable=$(realpath "$1")
seconds=${2:-5}
connections=32
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d /tmp/portcullis-bench.XXXXXX)
started=()

stop() { # stop PID
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

stop_all() { # ends, in reverse order, what this script started
    local place
    for ((place = ${#started[@]} - 1; place >= 0; place--)); do
        stop "${started[place]}"
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

eventually() { # eventually WHAT COMMAND...: up to 20 s
    local what=$1
    shift
    for _ in $(seq 200); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "bench: never saw: $what" >&2
    tail -n 20 "$work"/*.log >&2
    exit 1
}

start_host() { # start_host STORE: a host on a fresh directory; sets port and admin
    port=$(free_port)
    admin=$(free_port)
    rm -rf "${work:?}/var"
    mkdir "$work/var"
    cat >"$work/portcullis.yaml" <<YAML
server: {listen: 127.0.0.1:$port, admin: 127.0.0.1:$admin}
state: {redis: $1}
adapters:
  - {use: prometheus, path: /api/v2/alerts, authenticate: none}
policies:
  - {use: deduplicate}
  - {use: storm}
  - {use: persist, durability: fsync, backlog: 1000000}
sinks:
  - {use: jsonl, name: file, path: $work/var/signals.jsonl, when_full: refuse}
YAML
    "$executable" serve --config "$work/portcullis.yaml" >"$work/host.log" 2>&1 &
    started+=($!)
    eventually "the store open" bash -c "curl --silent http://127.0.0.1:$admin/metrics | grep --quiet '^portcullis_store_up 1'"
}

empty() { # forgets everything but since when: the gate refuses a store of another birth
    local born
    born=$(redis-cli -p "$redis" get '{portcullis}:born')
    redis-cli -p "$redis" flushall >/dev/null
    redis-cli -p "$redis" mset '{portcullis}:born' "$born" '{portcullis}:clock' 1 >/dev/null
}

script_rate() { # script_rate SHA KIND ALERTS: calls/s of the gate's script, nine words for each signal
    local document words range=999999999
    words=("$(redis-cli -p "$redis" get '{portcullis}:born')")
    document="{\"name\":\"Load\",\"padding\":\"$(printf 'x%.0s' $(seq 500))\"}"
    [ "$2" = new ] || range=50
    for _ in $(seq "$3"); do
        words+=(__rand_int__00000000000000000000 f 0 0 "$document" __rand_int__0000 "" '{"name":"Load"}' '{"name":"Load"}')
    done
    redis-benchmark -p "$redis" -c "$connections" -n $((40000 / $3)) -r "$range" -q \
        EVALSHA "$1" 1 '{portcullis}:clock' "${words[@]}" | tr '\r' '\n' \
        | sed --quiet --regexp-extended 's/.* ([0-9]+)\.[0-9]+ requests per second.*/\1/p' | tail --lines=1
}

row() { printf '%-34s %-9s %6s %11s %10s %9s %8s\n' "$@"; }

load() { # load WHAT KIND ALERTS PORT
    local rate p99 failed
    read -r rate p99 failed < <(wrk --threads 1 --connections "$connections" --duration "${seconds}s" --timeout 10s \
        --script "$here/post.lua" "http://127.0.0.1:$4/api/v2/alerts" -- "$2" "$3" | sed -n 's/^RESULT //p')
    row "$1" "$2" "$3" "$rate" "$((rate * $3))" "$p99" "$failed"
}

row "" "alerts" "each" "requests/s" "alerts/s" "p99 ms" "not 2xx"
for alerts in 1 64; do
    for kind in new repeated; do
        start_host "{embedded: {directory: $work/var}}"
        load "portcullis, fsync each write" "$kind" "$alerts" "$port"
        stop_all
    done
done

for alerts in 1 64; do
    for kind in new repeated; do
        port=$(free_port)
        rm -rf "$work/alertmanager"
        printf 'route: {receiver: none}\nreceivers: [{name: none}]\n' >"$work/alertmanager.yml"
        prometheus-alertmanager --config.file="$work/alertmanager.yml" --storage.path="$work/alertmanager" \
            --web.listen-address="127.0.0.1:$port" --cluster.listen-address= >"$work/alertmanager.log" 2>&1 &
        started+=($!)
        eventually "Alertmanager ready" curl --silent --fail "http://127.0.0.1:$port/-/ready"
        load "Alertmanager, in memory" "$kind" "$alerts" "$port"
        stop_all
    done
done

# Redis alone: the calls that a host made for a second of new alerts, recorded from Redis itself (MONITOR) and sent
# to it again without the host. MONITOR runs while they are recorded, not while they are measured.
redis=$(free_port)
for alerts in 1 64; do
    rm -rf "${work:?}/redis"
    mkdir "$work/redis"
    redis-server --bind 127.0.0.1 --port "$redis" --dir "$work/redis" --save '' --appendonly yes --appendfsync always \
        >"$work/redis.log" 2>&1 &
    started+=($!)
    eventually "Redis" redis-cli -p "$redis" ping
    start_host "{url: 'redis://127.0.0.1:$redis/0'}"
    redis-cli -p "$redis" monitor >"$work/monitor" &
    monitor=$!
    started+=("$monitor")
    wrk --threads 1 --connections 4 --duration 1s --script "$here/post.lua" "http://127.0.0.1:$port/api/v2/alerts" -- new "$alerts" >/dev/null
    stop "$monitor"
    stop "${started[1]}"
    "$here/calls.pl" <"$work/monitor" >"$work/calls"
    for kind in new repeated; do
        [ "$kind" = repeated ] || empty
        begin=$(date +%s%N)
        calls=$(redis-cli -p "$redis" --pipe <"$work/calls" | sed -n 's/^errors: \([0-9]*\), replies: \([0-9]*\)$/\1 \2/p')
        spent=$(($(date +%s%N) - begin))
        read -r failed replies <<<"$calls"
        rate=$((replies * 1000000000 / spent))
        row "Redis alone, the same calls" "$kind" "$alerts" "$rate" "$((rate * alerts))" "-" "$failed"
    done
    # The gate's script by redis-benchmark, with arguments of its own: many connections, one call each at a time.
    gate=$(LC_ALL=C grep --text --max-count=1 --extended-regexp '^[0-9a-f]{40}' "$work/calls" | tr -d '\r')
    for kind in new repeated; do
        empty
        rate=$(script_rate "$gate" "$kind" "$alerts")
        redis-cli -p "$redis" exists '{portcullis}:q:file' | grep --quiet 1 || { echo "bench: nothing was accepted" >&2; exit 1; }
        row "redis-benchmark, the gate's script" "$kind" "$alerts" "$rate" "$((rate * alerts))" "-" "-"
    done
    stop_all
done

# The ceiling of this Redis for any write at all, fsync included.
rm -rf "${work:?}/redis"
mkdir "$work/redis"
redis-server --bind 127.0.0.1 --port "$redis" --dir "$work/redis" --save '' --appendonly yes --appendfsync always >"$work/redis.log" 2>&1 &
started+=($!)
eventually "Redis" redis-cli -p "$redis" ping
echo
echo "redis-benchmark, SET of 700 bytes, $connections connections, fsync each write:"
redis-benchmark -p "$redis" -c "$connections" -d 700 -n 50000 -r 1000000 -t set -q | tr '\r' '\n' | grep 'requests per second'
