#!/bin/sh
# hand-over.sh: makes another member the master without losing what this one has acknowledged. A replica has nothing to hand over.
# Kubernetes runs it before it stops a pod, a replica's too: it waits until Redis can be stopped.
# shellcheck source=deploy/redis-ha/group.sh
. "$(dirname "$0")/group.sh"

started=$(date +%s)

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

# linked, written: whether Redis heeds SIGTERM. It refuses while it writes a first log, as it does when a master has sent it
# everything; and Kubernetes says it once.
linked() { info=$(redis INFO replication) && ! echo "$info" | grep -q '^master_link_status:down'; }
written() { info=$(redis INFO persistence) && ! echo "$info" | grep -qE '^aof_rewrite_(in_progress|scheduled):1'; }

# come_to_rest: until Redis may be stopped, and no longer than the pod has.
come_to_rest() {
    within 15 linked || say "Redis has no link to its master"
    within $((100 - $(date +%s) + started)) written || say "Redis writes its whole log"
}

# give_up WHY: this member goes on as the master.
give_up() {
    redis CLIENT UNPAUSE >/dev/null || :
    say "not handed over: $1"
    come_to_rest
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

# steps_on MEMBER: whether its Sentinel goes on with what it begins. After its machine stood still for 2 s it does nothing for 30,
# while it answers OK to everything.
steps_on() {
    ask "${1%%:*}" "${1##*:}" INFO sentinel | tr -d '\r' | grep -qx sentinel_tilt:0
}

# begin: has a Sentinel begin a failover, when none is at one. This pod's own comes last: it may be on its way out too. Whoever was
# asked has time to come to an end, also when nobody heard its answer: of two failovers at once each could promote another replica.
begun=0
begin() {
    now=$(date +%s)
    if [ "$now" -lt $((begun + 13)) ] || [ "$now" -ge "$last_begin" ]; then return; fi
    if sightings | grep -qE 'failover_in_progress|promoted'; then return; fi
    # shellcheck disable=SC2086
    for member in $(printf '%s\n' $MEMBERS | grep -vxF "$(member "$own")") "$(member "$own")"; do
        if ! steps_on "$member"; then continue; fi
        status=0
        ask "${member%%:*}" "${member##*:}" SENTINEL FAILOVER "$master_name" >/dev/null || status=$?
        # 124: it did not answer in time.
        if [ "$status" = 0 ] || [ "$status" = 124 ]; then
            begun=$(date +%s)
            return
        fi
    done
}

# handed_over: whether the Sentinels name another master. What a Sentinel has begun may come to nothing, and is begun again then.
handed_over() {
    if replaced; then return; fi
    # For as long as this goes on.
    redis CLIENT PAUSE 60000 WRITE >/dev/null || :
    begin
    return 1
}

if [ "$(redis ROLE | head -n 1)" != master ]; then
    come_to_rest
    exit 0
fi

# Without the pause this member would go on acknowledging writes that the promoted one never sees. It ends by itself, should
# this script be killed.
redis CLIENT PAUSE 90000 WRITE >/dev/null
offset=$(redis INFO replication | sed -n 's/^master_repl_offset:\([0-9]*\).*/\1/p')
within 10 in_step "$offset" || give_up "no replica is in step, or not all that live"
# A Sentinel may take 12 s to hear that a replica may be promoted, one that stood still 30 s to go on, and a failover 10 s to come
# to nothing: what is begun last has the time for it, or this member would take writes that the promoted one never sees.
last_begin=$(($(date +%s) + 35))
within 50 handed_over || give_up "the Sentinels name no other master"
# Sentinel would tell it only some seconds later. Paused clients find a replica and go to the new master.
# shellcheck disable=SC2086
redis REPLICAOF $successor >/dev/null
redis CLIENT UNPAUSE >/dev/null
say "handed over to $successor"
come_to_rest
