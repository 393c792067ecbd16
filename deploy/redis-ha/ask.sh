#!/bin/sh
# ask.sh: redis-cli as the operator, at this member.
#
#   ask.sh redis WORD...
#   ask.sh sentinel WORD...
# shellcheck source=deploy/redis-ha/group.sh
. "$(dirname "$0")/group.sh"

case $1 in
redis) port=$own_redis_port ;;
sentinel) port=$own_sentinel_port ;;
*) exit 2 ;;
esac
shift
REDISCLI_AUTH=$(secret operator-password)
export REDISCLI_AUTH
exec redis-cli -e -h 127.0.0.1 -p "$port" --user operator "$@"
