#!/usr/bin/env bash
# demo.sh EXECUTABLE: one alert through a real host and a real Redis. Every answer is checked: a demo that shows
# something else than its story fails. It uses free ports and a temporary directory, and stops what it started.
set -euo pipefail

executable=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d /tmp/portcullis-demo.XXXXXX)
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
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

eventually() { # eventually WHAT COMMAND...: up to 10 s
    local what=$1
    shift
    for _ in $(seq 100); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "demo: never saw: $what" >&2
    tail -n 20 "$work/host.log" >&2
    exit 1
}

port=$(free_port)
admin=$(free_port)
sed -e "s|127.0.0.1:8080|127.0.0.1:$port|; s|127.0.0.1:9090|127.0.0.1:$admin|; s|\./var|$work/var|" \
    "$here/../examples/quickstart.yaml" >"$work/portcullis.yaml"
cp "$here/../examples/alert.json" "$work/alert.json"
sed -e 's|"status": "firing"|"status": "resolved"|; s|"endsAt": "[^"]*"|"endsAt": "2026-08-01T12:30:00.000Z"|' \
    "$work/alert.json" >"$work/resolved.json"

post() { # post FILE EXPECTED: shows the request and the answer, and checks the status
    local status body
    echo "\$ curl --json @$1 http://127.0.0.1:8080/api/v1/signals/alertmanager"
    body=$(cd "$work" && curl --silent --show-error --max-time 10 --write-out '\n%{http_code}' \
        --json "@$1" "http://127.0.0.1:$port/api/v1/signals/alertmanager")
    status=${body##*$'\n'}
    printf '%s\n  %s\n\n' "$status" "${body%$'\n'*}"
    [ "$status" = "$2" ] || { echo "demo: expected $2" >&2; tail -n 20 "$work/host.log" >&2; exit 1; }
}

"$executable" serve --config "$work/portcullis.yaml" 2>"$work/host.log" &
host=$!
eventually "the host listening" curl --silent --fail "http://127.0.0.1:$admin/readyz"

echo "# A new problem: stored, then delivered."
post alert.json 201
echo "# The same alert again."
post alert.json 202

redis=$(cat "$work/var/redis.pid")
echo "# Redis stops answering (kill -STOP $redis): the store cannot confirm a signal, so the sender must try again."
kill -STOP "$redis"
post alert.json 503
kill -CONT "$redis"
eventually "the store open again" bash -c "curl --silent 'http://127.0.0.1:$admin/readyz?verbose' | grep --quiet 'store.*ok'"
echo "# Redis is back; the sender's retry is a duplicate, as it should be."
post alert.json 202
echo "# The problem ends."
post resolved.json 202

eventually "two deliveries" bash -c "[ \$(wc -l <'$work/var/signals.jsonl') -eq 2 ]"
echo "# What the sink got: the problem once, and its end once."
echo "\$ cat var/signals.jsonl"
cat "$work/var/signals.jsonl"
