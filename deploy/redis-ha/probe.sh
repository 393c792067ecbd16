#!/bin/sh
# probe.sh: what the kubelet asks.
#
#   probe.sh alive PORT   something answers there. LOADING, MASTERDOWN and NOAUTH are answers: a Redis that reads its log, or
#                         waits for its master, is not helped by a restart.
#   probe.sh ready PORT   PING is answered with PONG: it has read its log, and as a replica it is in step with its master.
# shellcheck source=deploy/redis-ha/group.sh
. "$(dirname "$0")/group.sh"

case $1 in
alive) redis-cli -h 127.0.0.1 -p "$2" PING >/dev/null ;;
ready) [ "$(ask 127.0.0.1 "$2" PING)" = PONG ] ;;
*) exit 2 ;;
esac
