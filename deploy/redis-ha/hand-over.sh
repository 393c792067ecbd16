#!/bin/sh
# hand-over.sh: makes another member the master without losing what this one has acknowledged. It does nothing at a replica.
# Kubernetes runs it before it stops a pod.
# shellcheck source=deploy/redis-ha/group.sh
. "$(dirname "$0")/group.sh"

redis() { ask 127.0.0.1 "$own_redis_port" "$@"; }

# within SECONDS WORD...: whether the command succeeds once.
within() {
    deadline=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}

# give_up WHY: this member goes on as the master.
give_up() {
    redis CLIENT UNPAUSE >/dev/null
    say "not handed over: $1"
    exit 1
}

# living: how many replicas a Sentinel could promote.
living() {
    for member in $MEMBERS; do
        if seen=$(ask "${member%%:*}" "${member##*:}" SENTINEL REPLICAS "$master_name"); then
            echo "$seen" | field flags | grep -cx slave
            return
        fi
    done
    echo 0
}

# in_step OFFSET: whether every replica that could be promoted has everything up to there. What Sentinel knows of a replica's
# offset is some seconds old, so one that is behind could be chosen.
in_step() {
    ready=0
    for offset in $(redis INFO replication | sed -n 's/^slave[0-9]*:.*,state=online,offset=\([0-9]*\),.*/\1/p'); do
        if [ "$offset" -ge "$1" ]; then ready=$((ready + 1)); fi
    done
    [ "$ready" -gt 0 ] && [ "$ready" -ge "$(living)" ]
}

# replaced: whether the Sentinels name another master. Sets `successor`, `<host> <port>`.
replaced() {
    successor=$(sightings | sort -rn | head -n 1 | cut -d ' ' -f 2,3)
    [ -n "$successor" ] && [ "$successor" != "$own_host $own_redis_port" ]
}

# begun: whether a Sentinel has begun the failover. This pod's own comes last: it may be on its way out too.
begun() {
    if replaced; then return; fi
    # shellcheck disable=SC2086
    for member in $(printf '%s\n' $MEMBERS | grep -vxF "$(member "$own")") "$(member "$own")"; do
        if ask "${member%%:*}" "${member##*:}" SENTINEL FAILOVER "$master_name" >/dev/null; then return; fi
    done
    return 1
}

if [ "$(redis ROLE | head -n 1)" != master ]; then exit 0; fi

# Without the pause this member would go on acknowledging writes that the promoted one never sees. It ends by itself, should
# this script be killed.
redis CLIENT PAUSE 90000 WRITE >/dev/null
offset=$(redis INFO replication | sed -n 's/^master_repl_offset:\([0-9]*\).*/\1/p')
within 10 in_step "$offset" || give_up "no replica is in step, or not all that live"
# As long as it may take a Sentinel to hear that a replica may be promoted.
within 12 begun || give_up "no Sentinel begins a failover"
within 20 replaced || give_up "the Sentinels name no other master"
# Sentinel would tell it only some seconds later. Paused clients find a replica and go to the new master.
# shellcheck disable=SC2086
redis REPLICAOF $successor >/dev/null
redis CLIENT UNPAUSE >/dev/null
say "handed over to $successor"
