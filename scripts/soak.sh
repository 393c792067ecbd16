#!/usr/bin/env bash
# soak.sh MINUTES [SEED]: cells of the fault matrix at random for so long, then the same summary as the tests print.
# docs/fault-matrix.md says how to run one of them again. Whatever it started has ended when it has.
set -euo pipefail

minutes=${1:?usage: soak.sh MINUTES [SEED]}
seed=${2:-$((RANDOM * 32768 + RANDOM))}
output=$(mktemp /tmp/portcullis-soak.XXXXXX)
export PORTCULLIS_SOAK="soak-$$"

finish() { # what carries this run's mark, in whatever group it is
    local environment pid
    for environment in /proc/[0-9]*/environ; do
        pid=${environment//[^0-9]/}
        if [ "$pid" != $$ ] && { tr '\0' '\n' <"$environment" | grep -qx "PORTCULLIS_SOAK=soak-$$"; } 2>/dev/null; then
            kill -9 "$pid" 2>/dev/null || true
        fi
    done
    rm -f "$output"
}
trap finish EXIT
trap 'exit 130' INT TERM

echo "soak: $minutes minutes, seed $seed"
# Waited for, not run in front: a signal is heard at once.
export PORTCULLIS_MATRIX_MINUTES=$minutes PORTCULLIS_MATRIX_SEED=$seed
{ swift test --skip-build --filter MatrixTests/nothingIsLost 2>&1 | tee "$output"; } &
wait $!
grep --quiet 'matrix: runs [1-9]' "$output" || { echo "soak.sh: no cell was run" >&2; exit 1; }
