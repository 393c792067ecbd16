#!/bin/sh
# start-sentinel.sh: starts this member's Sentinel with what it knew before.
# shellcheck source=deploy/redis-ha/group.sh
. "$(dirname "$0")/group.sh"

mkdir -p "$DATA/sentinel" "$RUN"
file=$DATA/sentinel/sentinel.conf

users "$here/sentinel-users.acl" >"$RUN/sentinel-users.acl"
password=$(secret sentinel-password)

# What Sentinel wrote to its file and must know again: who the master is, whom else there is, and for whom it has voted.
kept='^sentinel (monitor|myid|current-epoch|(config|leader)-epoch|known-(replica|sentinel)) '
if ! memory=$(grep -E "$kept" "$file" 2>/dev/null); then
    # A first start, or a lost volume. The others know, if there are any; if not, the first member alone begins a group.
    say "nothing is known here: asking the others"
    waited=0
    until seen=$(sightings | sort -rn | grep .); do
        if [ "$own" = 0 ] && [ "$waited" -ge "$BOOTSTRAP_SECONDS" ]; then
            seen="0 $own_host $own_redis_port"
            say "no other Sentinel answers: a new group begins"
            break
        fi
        sleep 1
        waited=$((waited + 1))
    done
    # shellcheck disable=SC2046
    set -- $(echo "$seen" | head -n 1)
    # Of replicas it would hear from the master, which may be what is gone.
    replicas=$(replicas | sed "s/^\(.*\):\([0-9]*\)$/sentinel known-replica $master_name \1 \2/")
    memory="sentinel monitor $master_name $2 $3 2
sentinel config-epoch $master_name $1
$replicas"
fi
# Sentinel takes two names that it can't resolve yet for one, and writes the master down as its own replica. It would make it
# one when it reads that.
master=$(echo "$memory" | sed -n "s/^sentinel monitor $master_name \(.*\) [0-9]*$/\1/p")
memory=$(echo "$memory" | grep -vxF "sentinel known-replica $master_name $master")

{
    cat "$here/sentinel.conf"
    echo "bind $BIND"
    echo "port $own_sentinel_port"
    echo "dir $DATA/sentinel"
    echo "aclfile $RUN/sentinel-users.acl"
    echo "sentinel announce-ip $own_host"
    echo "sentinel announce-port $own_sentinel_port"
    echo "sentinel auth-pass $master_name $password"
    echo "sentinel sentinel-pass $password"
    if [ -n "$DOWN_AFTER" ]; then echo "sentinel down-after-milliseconds $master_name $DOWN_AFTER"; fi
    echo "$memory"
} >"$file.new"
sync "$file.new"
mv "$file.new" "$file"
exec redis-sentinel "$file"
