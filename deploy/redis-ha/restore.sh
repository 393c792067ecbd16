#!/bin/sh
# restore.sh <BACKUP: puts a backup in place of everything that the group holds. At the master, and with no host connected.
# shellcheck source=deploy/redis-ha/group.sh
. "$(dirname "$0")/group.sh"

redis() { ask 127.0.0.1 "$own_redis_port" "$@"; }

if [ "$(redis ROLE | head -n 1)" != master ]; then say "this is not the master" && exit 1; fi
if redis CLIENT LIST | grep -q ' user=portcullis '; then say "stop the hosts first" && exit 1; fi

folder=$DATA/restore
rm -rf "$folder"
mkdir "$folder"
socket=$folder/redis.sock
loader=
trap 'if [ -n "$loader" ]; then kill "$loader" && wait "$loader"; fi; rm -rf "$folder"' EXIT
cat >"$folder/dump.rdb"
redis-check-rdb "$folder/dump.rdb" >&2

# A second Redis reads the backup and hands it over key by key, so that it reaches the log and the replicas like any write.
# First the old data goes: there is no memory for both.
redis FLUSHALL ASYNC >/dev/null
redis-server --port 0 --unixsocket "$socket" --dir "$folder" --save '' --loglevel warning >&2 &
loader=$!
until [ "$(redis-cli -s "$socket" PING 2>/dev/null)" = PONG ]; do
    kill -0 "$loader"
    sleep 0.2
done
count=$(redis-cli -s "$socket" DBSIZE)
# Keys are bytes, which no shell may read.
secret operator-password | redis-cli -e -x -s "$socket" EVAL '
    local cursor = "0"
    repeat
        local reply = redis.call("SCAN", cursor, "COUNT", 100)
        cursor = reply[1]
        if #reply[2] > 0 then
            redis.call("MIGRATE", ARGV[1], ARGV[2], "", 0, 60000, "REPLACE", "AUTH2", "operator", ARGV[3], "KEYS", unpack(reply[2]))
        end
    until cursor == "0"' 0 127.0.0.1 "$own_redis_port" >&2
now=$(redis DBSIZE)
say "$now of $count keys restored"
[ "$now" = "$count" ]
