#!/usr/bin/env bash
# refresh-readme.sh EXECUTABLE: runs the demo and puts what it printed between the demo's markers in README.md.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
readme="$here/../README.md"
work=$(mktemp -d /tmp/portcullis-readme.XXXXXX)
trap 'rm -rf "$work"' EXIT

"$here/demo.sh" "$1" >"$work/output"
{
    sed '/<!-- demo -->/q' "$readme"
    printf '\n```console\n'
    # Blanks at the ends of lines, and the blank line at the end, are of no use in a document.
    sed -e 's/ *$//' "$work/output" | sed -e '${/^$/d}'
    printf '```\n\n'
    sed -n '/<!-- \/demo -->/,$p' "$readme"
} >"$work/README.md"
cat "$work/README.md" >"$readme"
