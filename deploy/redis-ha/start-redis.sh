#!/bin/sh
# start-redis.sh: starts this member's Redis as what the Sentinels say that it is.
# shellcheck source=deploy/redis-ha/group.sh
. "$(dirname "$0")/group.sh"

mkdir -p "$DATA/redis" "$RUN"
log=$DATA/redis/appendonlydir

users "$here/redis-users.acl" >"$RUN/users.acl"
replication=$(secret replication-password)

# may_start: whether it is known whose turn it is to be the master. Sets `master`, `<host> <port>`, and `priority`.
#
# A member never makes itself the master. It starts when a majority of Sentinels has answered, and believes the one that has
# seen the latest failover; a majority lacks that one only while it is away, so all three are waited for, a few seconds. Cut
# off from the others it does not start at all: without a replica it could not take a write anyway.
may_start() {
    seen=$(sightings | sort -rn)
    count=$(echo "$seen" | grep -c . || true)
    if [ "$count" -lt 2 ] || { [ "$count" -lt 3 ] && [ "$waited" -lt 5 ]; }; then
        why="$count of 3 Sentinels answer"
        return 1
    fi
    # shellcheck disable=SC2046
    set -- $(echo "$seen" | head -n 1)
    master="$2 $3" priority=100
    if [ "$master" = "$own_host $own_redis_port" ]; then
        # What is acknowledged by a master that is being replaced would be lost.
        if echo "$seen" | grep -q failover_in_progress; then
            why="a failover from here is going on"
            return 1
        fi
        # An empty master would empty its replicas, which may have everything: one of them is promoted while this waits.
        if [ ! -e "$log" ] && [ -n "$(replicas)" ]; then
            why="this is the master, and its volume is empty"
            return 1
        fi
    elif [ "$(ask "$2" "$3" PING)" = PONG ]; then
        # Sentinel promotes no replica of priority 0: this one does not have everything yet.
        priority=0
    elif [ "$waited" -lt "$MASTER_SECONDS" ] || [ ! -e "$log" ]; then
        # When all are started at once, the first that is up would be promoted while the master still reads its log, and may
        # not have been the last to be written to. After a while it may be the best that there is; an empty one never is.
        why="the master, $master, does not answer"
        return 1
    fi
}

# promotable: from when on this replica may be promoted: once it has been in step with its master.
promotable() {
    until [ "$(ask 127.0.0.1 "$own_redis_port" PING)" = PONG ]; do sleep 1; done
    ask 127.0.0.1 "$own_redis_port" CONFIG SET replica-priority 100 >/dev/null
}

waited=0 told=
until may_start; do
    if [ "$why" != "$told" ]; then say "waiting: $why"; fi
    told=$why
    sleep 1
    waited=$((waited + 1))
done

{
    echo "include $here/redis.conf"
    echo "bind $BIND"
    echo "port $own_redis_port"
    echo "dir $DATA/redis"
    echo "aclfile $RUN/users.acl"
    echo "replica-announce-ip $own_host"
    echo "replica-announce-port $own_redis_port"
    echo "replica-priority $priority"
    echo "masteruser replication"
    echo "masterauth $replication"
    if [ "$master" != "$own_host $own_redis_port" ]; then echo "replicaof $master"; fi
} >"$RUN/redis.conf"
if [ "$priority" = 0 ]; then promotable & fi
say "starting; the master is $master"
exec redis-server "$RUN/redis.conf"
