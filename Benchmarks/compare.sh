#!/usr/bin/env bash
# compare.sh BASE EXECUTABLE [WORD...]: builds BASE, a commit, and measures its executable and this one in turns (compare.py,
# which gets the words). BASE is built in a worktree of its own, which is removed, with the packages that this checkout has.
set -euo pipefail

[ -n "${1:-}" ] || { echo "compare: which commit? make bench-compare BASE=main" >&2; exit 2; }
here=$(dirname "$(realpath "$0")")
base=$(git -C "$here" rev-parse --verify --quiet "$1^{commit}") || { echo "compare: there is no commit $1" >&2; exit 2; }
executable=$(realpath "$2")
shift 2
work=$(mktemp -d /var/tmp/portcullis-compare.XXXXXX)
finish() {
    git -C "$here" worktree remove --force "$work/base" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

git -C "$here" worktree add --quiet --detach "$work/base" "$base"
[ -f "$work/base/Package.resolved" ] || [ ! -f "$here/../Package.resolved" ] || cp "$here/../Package.resolved" "$work/base/"
# As that commit builds it.
make -C "$work/base" build
"$here/compare.py" "$work/base/.build/release/portcullis" "$executable" "$@"
