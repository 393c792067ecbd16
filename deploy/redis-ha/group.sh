# shellcheck shell=sh disable=SC2034
# group.sh: what the other scripts know of the group, read by each of them. The settings come from the environment:
#
#   MEMBERS            the three members, `host:port of Redis:port of Sentinel` each
#   SELF               this one's name; it ends with `-` and its place in MEMBERS, from 0
#   BIND               addresses to listen on (* -::*)
#   DATA               a directory that outlives the pod (/data)
#   RUN                a directory that does not (/run/redis-ha)
#   SECRETS            a directory with a file for each password (/secrets)
#   BOOTSTRAP_SECONDS  how long a first Sentinel looks for others before it begins a new group (5)
#   MASTER_SECONDS     how long a replica that starts waits for a master that does not answer (60)
#   DOWN_AFTER         in place of sentinel.conf's down-after-milliseconds
set -efu
umask 077

here=$(cd "$(dirname "$0")" && pwd)
: "${BIND:=* -::*}" "${DATA:=/data}" "${RUN:=/run/redis-ha}" "${SECRETS:=/secrets}"
: "${BOOTSTRAP_SECONDS:=5}" "${MASTER_SECONDS:=60}" "${DOWN_AFTER:=}"
master_name=mymaster

# host PLACE, redis_port PLACE, sentinel_port PLACE
member() { # shellcheck disable=SC2086
    (place=$1 && set -- $MEMBERS && shift "$place" && printf '%s' "$1")
}
host() { member "$1" | cut -d : -f 1; }
redis_port() { member "$1" | cut -d : -f 2; }
sentinel_port() { member "$1" | cut -d : -f 3; }

own=${SELF##*-}
own_host=$(host "$own")
own_redis_port=$(redis_port "$own")
own_sentinel_port=$(sentinel_port "$own")

say() { echo "$(basename "$0"): $*" >&2; }

# secret NAME: a password. Other characters would have to be quoted, differently in each file that it goes to.
secret() {
    word=$(cat "$SECRETS/$1")
    case $word in
    '' | *[!A-Za-z0-9]*) say "$1: a password is letters and digits" && exit 1 ;;
    esac
    printf '%s' "$word"
}

# users FILE: its lines with hashes in place of the passwords' names.
users() {
    grep '^user ' "$1" | while read -r line; do
        for word in $line; do
            case $word in
            '>'*)
                for name in "${word#>}" "${word#>}-also"; do
                    [ -e "$SECRETS/$name" ] || [ "$name" = "${word#>}" ] || continue
                    password=$(secret "$name")
                    printf '#%s ' "$(printf '%s' "$password" | sha256sum | cut -d ' ' -f 1)"
                done
                ;;
            *) printf '%s ' "$word" ;;
            esac
        done
        echo
    done
}

# ask HOST PORT WORD...: what it answers the operator within 2 s.
ask() (
    REDISCLI_AUTH=$(secret operator-password)
    export REDISCLI_AUTH
    host=$1 port=$2
    shift 2
    exec timeout 2 redis-cli -e -h "$host" -p "$port" --user operator "$@" 2>/dev/null
)

# field NAME: of lines that hold a name and a value in turn.
field() {
    while read -r name && read -r value; do
        if [ "$name" = "$1" ]; then echo "$value"; fi
    done
}

# sightings: what each Sentinel that answers knows of the master, a line each: `<config epoch> <host> <port> <flags>`. The
# highest epoch is of the latest failover. `failover_in_progress` is among the flags while it may yet come to nothing.
#
# From the promotion until all replicas follow, SENTINEL MASTER has the new epoch with the old address. A Sentinel that started
# with both would believe nobody, the others' epoch not being higher. When the two differ, the epoch is asked for again: the
# first may be of before the promotion.
sightings() {
    for member in $MEMBERS; do
        set -- "${member%%:*}" "${member##*:}"
        if seen=$(ask "$@" SENTINEL MASTER "$master_name") &&
            address=$(ask "$@" SENTINEL GET-MASTER-ADDR-BY-NAME "$master_name"); then
            # On one line.
            # shellcheck disable=SC2086,SC2116
            address=$(echo $address)
            named() { echo "$(echo "$seen" | field ip) $(echo "$seen" | field port)"; }
            if [ "$address" != "$(named)" ]; then seen=$(ask "$@" SENTINEL MASTER "$master_name") || continue; fi
            flags=$(echo "$seen" | field flags)
            if [ "$address" != "$(named)" ]; then flags=promoted; fi
            echo "$(echo "$seen" | field config-epoch) $address $flags"
        fi
    done
}

# replicas: `host:port` of each that a Sentinel knows.
replicas() {
    for member in $MEMBERS; do
        if seen=$(ask "${member%%:*}" "${member##*:}" SENTINEL REPLICAS "$master_name"); then
            echo "$seen" | field name
        fi
    done | sort -u
}
