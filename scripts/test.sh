#!/usr/bin/env bash
# test.sh: runs every test of the build, one group after the other. What only computes would take the threads from tests
# that wait for real processes, and what builds a package of its own would take the processor from both. The first group
# takes whatever no other names, so that a new target is never left out.
set -euo pipefail

compute='^(SignalKit|SignalTesting|JSON|Policies|Tidy|Docs)Tests\.'
hosts='^AcceptanceTests\.'
faults='^FaultsTests\.'
matrix='^FaultsTests\.MatrixTests'
package='^AcceptanceTests\.ThirdParty'
table='^FaultsTests\.FailureTable'
output=$(mktemp /tmp/portcullis-tests.XXXXXX)
trap 'rm -f "$output"' EXIT

group() { # group WHAT OPTION...
    echo "--- $1"
    shift
    # All at once, hundreds of tests start their servers in the same second, and on two cores some run out of time.
    swift test --skip-build --experimental-maximum-parallelization-width 8 "$@" 2>&1 | tee "$output"
    # A filter that fits nothing would pass.
    grep --quiet 'Test run with [1-9]' "$output" || { echo "test.sh: no test was run" >&2; exit 1; }
}

group "stores and sinks" --skip "$compute" --skip "$hosts" --skip "$faults"
group "what only computes" --filter "$compute"
group "whole hosts" --filter "$hosts" --skip "$package"
group "faults" --filter "$faults" --skip "$table" --skip "$matrix"
# It measures an outage against the Sentinels' own.
group "the failure table" --filter "$table"
# It runs its cells side by side itself.
group "the fault matrix" --filter "$matrix"
group "another package" --filter "$package"
